"""Device truth: which devices can be used, found out before a session is made.

``onnxruntime.get_available_providers()`` lists what was compiled, not what loads, and a
session asked for CUDA without it runs on the CPU after one log line. So the driver is
asked for its version and its devices, and the provider's own library is loaded: the loader
names the library that is missing. cuDNN is loaded too: since microsoft/onnxruntime#29252 the
provider opens it only at the first convolution, which fails then.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clsbench.errors import DeviceError, OptionError
from clsbench.inference.cuda_driver import NO_DEVICE, Driver, find_driver

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

#: Kinds of device -> the provider that must run the network, best first for ``auto``.
PROVIDERS = {"tensorrt": TENSORRT, "cuda": CUDA, "cpu": CPU}

#: The provider's library, beside onnxruntime's own.
LIBRARIES = {CUDA: "libonnxruntime_providers_cuda.so", TENSORRT: "libonnxruntime_providers_tensorrt.so"}

#: What the TensorRT provider links; the pip package does not put it on the loader's path.
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")

#: What the CUDA provider opens at its first convolution, by these names (its cudnn_loader.cc); TensorRT's links it.
CUDNN_LIBRARIES = ("libcudnn.so.9", "libcudnn.so")

#: The CUDA that a provider needs if it does not say so, and the driver that first supports a CUDA.
DEFAULT_CUDA, FIRST_DRIVERS = 12, {12: "525", 13: "580"}

#: A device of a plugin provider, as people write it: the provider's name, and its number.
PLUGIN = re.compile(r"ep:([A-Za-z][\w-]*)(?::([0-9]+))?", re.ASCII)

#: Operators that are the network's work. Shape arithmetic belongs on the CPU.
COMPUTE = re.compile(r"Conv|Gemm|MatMul|Pool|Attention|Normalization|Softmax|Resize|Relu|Gelu|Sigmoid|Clip")


@dataclass(frozen=True)
class Missing:
    """Why a device cannot be used, and how to fix it.

    Args:
        what: The reason.
        remedy: What to do.
        absent: Whether nothing is broken: this machine has no such device, or nothing for it is installed.
    """

    what: str
    remedy: str
    absent: bool = False


@dataclass(frozen=True)
class DeviceRequest:
    """What ``--device`` says: a kind, and the numbers of its devices (none: all of them); a plugin provider's name."""

    kind: str
    indices: tuple[int, ...] = ()
    name: str = ""


def parse_device(text: str) -> DeviceRequest:
    """Read ``auto``, ``cpu``, ``cuda``, ``cuda:0,1``, ``tensorrt:0``, ``ep:webgpu`` or ``ep:webgpu:1``.

    Raises:
        OptionError: for anything else.
    """
    if found := PLUGIN.fullmatch(text):
        return DeviceRequest("ep", (int(found[2]),) if found[2] else (), found[1])
    kind, _, numbers = text.partition(":")
    parts = numbers.split(",") if numbers else []
    if kind not in ("auto", *PROVIDERS) or not all(p.isdigit() for p in parts) or (parts and kind in ("auto", "cpu")):
        raise OptionError(
            "unknown device", where="--device", got=text,
            expected="auto, cpu, cuda, cuda:0,1, tensorrt, tensorrt:0, ep:NAME or ep:NAME:1",
        )  # fmt: skip
    return DeviceRequest(kind, tuple(dict.fromkeys(int(p) for p in parts)))


def missing_for(kind: str) -> Missing | None:
    """What keeps ONNX Runtime from using a kind of device here; None if nothing does."""
    if kind == "cpu":
        return None
    import onnxruntime as ort

    provider = PROVIDERS[kind]
    if provider not in ort.get_available_providers():
        return Missing(
            f"this onnxruntime was built without {kind}",
            "pip uninstall -y onnxruntime onnxruntime-gpu; pip install 'clsbench[cuda]'",
            absent=True,
        )
    driver = find_driver()
    if driver is None:
        remedy = "install the driver, or use --device cpu"
        return Missing("no NVIDIA driver: libcuda.so.1 is not found", remedy, absent=True)
    return _missing_driver(driver) or _missing_library(provider, Path(ort.__file__).parent / "capi")


def _missing_driver(driver: Driver) -> Missing | None:
    """What is wrong with the driver: its own trouble, or its age."""
    if driver.trouble:
        return Missing(*driver.trouble, absent=driver.error in (0, NO_DEVICE))
    needed = built_for_cuda()
    if driver.cuda[0] < needed:
        newer = f", {FIRST_DRIVERS[needed]} or newer" if needed in FIRST_DRIVERS else ""
        return Missing(
            f"the NVIDIA driver is too old: it supports CUDA {driver.version}, and this onnxruntime needs {needed}.0",
            f"update the NVIDIA driver{newer}, or use --device cpu",
        )
    return None


def built_for_cuda() -> int:
    """The major version of CUDA that this onnxruntime was built for, and a driver has to support.

    Newer minor versions run on the first driver of their major one (CUDA's minor version compatibility).
    """
    import onnxruntime as ort

    major = str(getattr(ort, "cuda_version", "")).partition(".")[0]
    return int(major) if major.isdigit() else DEFAULT_CUDA


def _missing_library(provider: str, folder: Path) -> Missing | None:
    """Load the provider's library as ONNX Runtime will; the loader's complaint names what is missing."""
    preload()
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / LIBRARIES[provider]))
    except OSError as error:
        library = str(error).partition(":")[0]
        if "nvinfer" in library or "nvonnxparser" in library:
            remedy = f"pip install 'tensorrt-cu{built_for_cuda()}>=10,<11'"
            return Missing(f"TensorRT 10 is missing: {library}", remedy, absent=True)
        if "undefined symbol" in str(error):
            remedy = "update the NVIDIA driver; pip install --upgrade 'clsbench[cuda]'"
            return Missing(f"the CUDA libraries or the driver do not fit this onnxruntime: {error}", remedy)
        return Missing(f"a CUDA library is missing: {error}", "pip install 'clsbench[cuda]'")
    cudnn = load_cudnn()
    if isinstance(cudnn, OSError):
        return Missing(f"cuDNN 9 is missing: {cudnn}", f"pip install 'nvidia-cudnn-cu{built_for_cuda()}>=9,<10'")
    return None


def load_cudnn() -> Any:
    """cuDNN's library, or the loader's complaint; after :func:`preload`, which finds the one that came by pip."""
    complaints = []
    for name in CUDNN_LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            complaints.append(error)
    return complaints[0]


def preload() -> None:
    """Load the CUDA, cuDNN and TensorRT libraries that came by pip."""
    import onnxruntime as ort

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        ort.preload_dlls()
    package = find_spec("tensorrt_libs")
    for folder in (package.submodule_search_locations or []) if package else []:
        for library in TENSORRT_LIBRARIES:
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(Path(folder) / library), mode=ctypes.RTLD_GLOBAL)


def choose(request: DeviceRequest) -> tuple[DeviceRequest, str | None]:
    """Settle what a request means here.

    Returns:
        The device, its indices filled in, and why ``auto`` did not take a better one.

    Raises:
        DeviceError: if a named device cannot be used; says how to fix it.
    """
    if request.kind != "auto":
        missing = missing_for(request.kind)
        if missing:
            raise DeviceError(f"{request.kind} cannot be used", where="--device", got=missing.what, hint=missing.remedy)
        return _numbered(request), None
    # TensorRT takes minutes to build an engine: it is for those who ask for it.
    missing = missing_for("cuda")
    if missing is None:
        return _numbered(DeviceRequest("cuda")), None
    return DeviceRequest("cpu"), missing.what


def _numbered(request: DeviceRequest) -> DeviceRequest:
    if request.kind == "cpu":
        return request
    driver = find_driver()
    count = len(driver.gpus) if driver else 0
    wrong = [index for index in request.indices if index >= count]
    if wrong:
        raise DeviceError(
            "there is no such GPU", where="--device", got=", ".join(map(str, wrong)), expected=f"0 to {count - 1}"
        )
    return DeviceRequest(request.kind, request.indices or tuple(range(count)))


def strays(session: Any) -> list[str]:
    """Compute nodes that a GPU session put on the CPU: ``name (operator)``.

    The session must have been made with ``session.record_ep_graph_assignment_info``.
    """
    return [
        f"{node.name or 'unnamed'} ({node.op_type})"
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name == CPU
        for node in part.get_nodes()
        if COMPUTE.search(node.op_type)
    ]
