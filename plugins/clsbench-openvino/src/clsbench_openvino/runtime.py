"""OpenVINO itself: imported without its telemetry, its devices, and a model file read by its ONNX reader alone.

``import openvino`` imports its converter, which sends an event to Google Analytics and writes a client id into the home
folder, unless a file there says no (openvino/tools/ovc/__init__.py, openvino_telemetry/main.py of 2026.4). Where the
package ``openvino_telemetry`` cannot be imported, the converter takes a stub that does nothing.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from clsbench import DeviceError, ModelError, OptionError, without_package

TELEMETRY = "openvino_telemetry"

#: What to install where a kind of device is not listed.
DRIVERS = {"gpu": "Intel's compute runtime (libOpenCL.so.1 and intel-opencl-icd)", "npu": "Intel's NPU driver"}


@lru_cache(maxsize=1)
def openvino() -> Any:
    """The package ``openvino``, whose import has told nobody."""
    with without_package(TELEMETRY):
        import openvino

    return openvino


@lru_cache(maxsize=1)
def core() -> Any:
    """The one Core of this process: each has its own copy of every device's code."""
    return openvino().Core()


def settle(device: str) -> str:
    """OpenVINO's own name of the device that is meant: ``gpu:1`` is ``GPU.1``.

    ``auto`` is a GPU that is a card of its own, and else the CPU: one inside the processor is often the slower of
    the two.

    Raises:
        OptionError: if the text names no kind of device.
        DeviceError: if there is no such device; says which there are.
    """
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "gpu", "npu") or (number and (not number.isdigit() or kind in ("auto", "cpu"))):
        raise OptionError("unknown device", where="--device", got=device, expected="auto, cpu, gpu, gpu:1 or npu")
    listed = list(core().available_devices)
    if kind == "auto":
        return next((name for name in listed if name.startswith("GPU") and _is_card(name)), "CPU")
    wanted = kind.upper() + (f".{number}" if number else "")
    # OpenVINO calls a device by its kind alone where it has one of them, and the first of several too.
    single = wanted.removesuffix(".0")
    found = next((name for name in (wanted, single, f"{single}.0") if name in listed), None)
    if found is None:
        raise DeviceError(
            f"OpenVINO lists no {device} here", where=f"--device {device}",
            got=", ".join(f"{name.lower().replace('.', ':')} ({full_name(name)})" for name in listed),
            hint=f"install {DRIVERS[kind]}, or use --device cpu" if kind in DRIVERS else None,
        )  # fmt: skip
    return found


def full_name(name: str) -> str:
    """What the maker calls a device."""
    return str(core().get_property(name, "FULL_DEVICE_NAME")).strip()


def _is_card(name: str) -> bool:
    return bool(core().get_property(name, "DEVICE_TYPE") == openvino().properties.device.Type.DISCRETE)


def read_model(file: Path) -> Any:
    """An ONNX file as OpenVINO's model.

    ``Core.read_model`` would hand a file that it cannot read to the readers of all other formats, which print.

    Raises:
        ModelError: if OpenVINO cannot read it, or has no rule for one of its operators.
    """
    openvino()
    from openvino.frontend import FrontEndManager

    reader = FrontEndManager().load_by_framework("onnx")
    try:
        return reader.convert(reader.load(str(file)))
    except Exception as error:
        raise refused(file, error) from error


def refused(file: Path, error: Exception) -> ModelError:
    """Why OpenVINO does not take a file: the last line that it gave as the reason."""
    lines = [line.strip("- ") for line in str(error).splitlines() if line.strip()]
    return ModelError("OpenVINO cannot open the model", where=file, got=(lines or [type(error).__name__])[-1][:300])
