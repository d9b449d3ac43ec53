"""What ``clsbench doctor`` looks at: each part is used, and the result says how to fix it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import ClsbenchError
from clsbench.inference.cuda_driver import find_driver, pinned
from clsbench.inference.devices import load_cudnn, missing_for
from clsbench.inference.plugin_providers import devices_of, installed, needs, open_plugin_session
from clsbench.inference.sessions import open_session
from clsbench.machine import available_cores, cpu_name
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.registry import Plugin

#: ``absent`` is not a fault: many machines have no GPU.
Status = Literal["ok", "absent", "warning", "fault"]

#: The variable that turns ONNX Runtime's telemetry off; ``clsbench/__init__.py`` sets it.
TELEMETRY = "ORT_DISABLE_TELEMETRY"

#: How far a convolution may be from numpy's: TF32 keeps 10 bits of the mantissa.
CONV_TOLERANCE = 2e-2


@dataclass(frozen=True)
class Diagnostic:
    """What was found of one part."""

    name: str
    status: Status
    found: str
    remedy: str | None = None


def installed_version(distribution: str) -> str | None:
    """The version of a distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def diagnose_runtimes() -> Diagnostic:
    """``onnxruntime`` and ``onnxruntime-gpu`` write the same files over each other."""
    found = {name: installed_version(name) for name in ("onnxruntime", "onnxruntime-gpu")}
    shown = ", ".join(f"{name} {v}" for name, v in found.items() if v)
    if all(found.values()):
        return Diagnostic(
            "one ONNX Runtime",
            "fault",
            f"both are installed: {shown}",
            "pip uninstall -y onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu",
        )
    return Diagnostic(
        "one ONNX Runtime", "ok" if shown else "fault", shown or "none", None if shown else "pip install clsbench"
    )


def diagnose_provider(kind: str) -> Diagnostic:
    """Runs a convolution on a kind of device and compares it with numpy's."""
    name = f"convolution on {kind}"
    if kind == "tensorrt" and (found := installed_version("tensorrt")) and not found.startswith("10."):
        remedy = "pip install 'tensorrt-cu13>=10,<11'"
        return Diagnostic(name, "fault", f"TensorRT {found}; ONNX Runtime needs 10", remedy)
    missing = missing_for(kind)
    if missing:
        return Diagnostic(name, "absent" if missing.absent else "fault", missing.what, missing.remedy)
    try:
        difference = convolution_difference(lambda file: open_session(file, kind))
    except ClsbenchError as error:
        found = ": ".join(str(fact) for fact in (error.what, error.facts["got"]) if fact)
        return Diagnostic(name, "fault", found, str(error.facts["to do"] or "") or None)
    except Exception as error:  # noqa: BLE001  what fails at the first convolution can be almost anything
        found = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return Diagnostic(name, "fault", found, "pip install 'clsbench[cuda]'")
    if difference > CONV_TOLERANCE:
        return Diagnostic(name, "fault", f"wrong by {difference:.2g}", "report it to ONNX Runtime")
    return Diagnostic(name, "ok", f"right to {difference:.1g}{_described(kind)}")


def _described(kind: str) -> str:
    """What the GPUs are and what drives them; whether memory for batches can be pinned."""
    driver = None if kind == "cpu" else find_driver()
    if driver is None:
        return ""
    cudnn = load_cudnn()
    number = 0 if isinstance(cudnn, OSError) else int(cudnn.cudnnGetVersion())  # 92400 is 9.24.0
    facts = [
        ", ".join(gpu.name for gpu in driver.gpus),
        f"driver for CUDA {driver.version}",
        f"cuDNN {number // 10000}.{number % 10000 // 100}",
        "memory is pinned" if pinned((1,), 0) is not None else "memory is not pinned: copies are slow",
    ]
    return "; " + "; ".join(facts)


def diagnose_plugin_provider(name: str) -> Diagnostic:
    """Loads an installed plugin provider and runs a convolution on the first device that it lists."""
    check = f"convolution on ep:{name}"
    try:
        devices = devices_of(name)
        if not devices:
            return Diagnostic(check, "absent", f"onnxruntime-ep-{name} lists no device here", needs(name))
        difference = convolution_difference(lambda file: open_plugin_session(file, devices[0]))
    except Exception as error:  # noqa: BLE001  a stranger's library can fail in any way
        found = error.one_line() if isinstance(error, ClsbenchError) else str(error).splitlines()[0]
        return Diagnostic(check, "fault", found, f"pip install --upgrade onnxruntime-ep-{name}, or uninstall it")
    right = difference <= CONV_TOLERANCE
    found = f"right to {difference:.1g}; {', '.join(device.name for device in devices)}"
    return Diagnostic(check, "ok" if right else "fault", found if right else f"wrong by {difference:.2g}")


def convolution_difference(opened: Callable[[Path], Any]) -> float:
    """The largest difference of a 3×3 convolution from numpy's.

    Args:
        opened: Opens an .onnx file on a device, as a session.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    images = random.standard_normal((2, 3, 18, 18), dtype=np.float32)
    weights = random.standard_normal((4, 3, 3, 3), dtype=np.float32) / np.float32(27)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(images.shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4, 16, 16])],
        [numpy_helper.from_array(weights, "w")],
    )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "convolution.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)
        got: NDArray[np.float32] = opened(file).run(None, {"x": images})[0]
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(2, 3))
    return float(np.abs(got - np.einsum("nchwij,kcij->nkhw", windows, weights)).max())


def diagnose_threads() -> Diagnostic:
    """The cores this process may use, and settings that would tie its threads down."""
    cores, all_cores = available_cores(), os.cpu_count() or 1
    found = f"{cores} of {counted(all_cores, 'core')}, {cpu_name()}"
    limits = [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ]
    if limits:
        return Diagnostic("threads", "warning", f"{found}; {', '.join(limits)} is set", "unset it: training follows it")
    return Diagnostic("threads", "ok", found)


def diagnose_telemetry() -> Diagnostic:
    """ONNX Runtime's telemetry: clsbench turns it off, unless the user has set its variable."""
    value = os.environ.get(TELEMETRY)
    if value == "1":
        return Diagnostic("telemetry", "ok", f"ONNX Runtime's is off ({TELEMETRY}=1)")
    return Diagnostic("telemetry", "warning", f"ONNX Runtime's may be on: {TELEMETRY}={value}", f"unset {TELEMETRY}")


def diagnose_codecs() -> Iterator[Diagnostic]:
    """Decodes an image in every common format, and compares the fast routes with Pillow."""
    from PIL import Image, features

    from clsbench.images.decoders import PillowDecoder, SimplejpegDecoder
    from clsbench.images.resize import resize, resize_pillow
    from clsbench.transform import ImageTransform

    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    encoded: dict[str, bytes] = {}
    missing = []
    for name in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"):
        stream = io.BytesIO()
        try:
            Image.fromarray(pixels).save(stream, name)
            PillowDecoder()(encoded.setdefault(name, stream.getvalue()))
        except Exception:  # noqa: BLE001  whatever it is, the format cannot be used
            missing.append(name)
    found = f"Pillow {installed_version('pillow')}, libjpeg-turbo {features.version('libjpeg_turbo') or 'missing'}"
    if missing:
        yield Diagnostic(
            "image codecs", "warning", f"{found}; cannot read {', '.join(missing)}", "pip install --upgrade pillow"
        )
    else:
        yield Diagnostic("image codecs", "ok", f"{found}; {', '.join(encoded)}")
    same = np.array_equal(SimplejpegDecoder()(encoded["JPEG"]), PillowDecoder()(encoded["JPEG"]))
    yield Diagnostic(
        "simplejpeg equals Pillow", "ok" if same else "fault", "the same pixels" if same else "other pixels",
        None if same else "pip install --upgrade simplejpeg pillow",
    )  # fmt: skip
    geometry = ImageTransform(size=(32, 32), crop_fraction=0.875).geometry(90, 60)
    slow, fast = (f(pixels, geometry, "bicubic").astype(int) for f in (resize_pillow, resize))
    levels = int(np.abs(slow - fast).max())
    yield Diagnostic(
        "fast resize equals Pillow", "ok" if levels <= 2 else "fault", f"within {counted(levels, 'level')} of 255",
        None if levels <= 2 else "pip install --upgrade cykooz.resizer pillow",
    )  # fmt: skip


def diagnose(plugins: Callable[[], list[Plugin]]) -> Iterator[Diagnostic]:
    """Look at every part, in order.

    Args:
        plugins: The plugins of the registry, loaded.
    """
    yield diagnose_runtimes()
    for kind in ("cpu", "cuda", "tensorrt"):
        yield diagnose_provider(kind)
    for name in installed():
        yield diagnose_plugin_provider(name)
    yield diagnose_threads()
    yield diagnose_telemetry()
    yield from diagnose_codecs()
    for plugin in plugins():
        trouble = plugin.trouble
        status: Status = "fault" if trouble else "ok"
        offers = ", ".join(counted(len(n), kind) for kind, n in plugin.components.items())
        remedy = f"pip install --upgrade {plugin.distribution}, or uninstall it" if trouble else None
        yield Diagnostic(f"plugin {plugin}", status, trouble or offers, remedy)
    torch, vision = installed_version("torch"), installed_version("torchvision")
    if torch and vision:
        yield Diagnostic("training", "ok", f"torch {torch}, torchvision {vision}")
    else:
        yield Diagnostic("training", "absent", "torch or torchvision is not installed", "pip install 'clsbench[train]'")
