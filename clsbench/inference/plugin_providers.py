"""ONNX Runtime's plugin providers: libraries of their own that bring devices along, asked for as ``ep:NAME``.

Pip packages called ``onnxruntime-ep-NAME`` hold such a library and a function that tells its path; any other library is
named by ``ep_library``. ONNX Runtime loads it (``register_execution_provider_library``) and lists the devices it can
use here (``get_ep_devices``), often none. As with the built-in providers nothing falls back silently: a library without
a device, a session without the provider and compute nodes left to the CPU are errors.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME
from clsbench.errors import DeviceError, OptionError
from clsbench.inference.devices import CPU, DeviceRequest
from clsbench.inference.native_messages import native_messages, pass_on
from clsbench.inference.sessions import logged, prove_nodes, refused_file, session_options
from clsbench.text import counted

#: How the modules of those packages begin.
PREFIX = "onnxruntime_ep_"

#: What a provider needs before it lists a device, as its package says; for people.
NEEDS = {
    "openvino": "it needs an Intel CPU, GPU or NPU; the plugin clsbench-openvino runs OpenVINO on other CPUs too",
    "webgpu": "it needs a GPU and, on Linux, the Vulkan loader libvulkan.so.1",
    "nv-tensorrt-rtx": "it needs an NVIDIA RTX GPU and its driver",
}


@dataclass(frozen=True)
class PluginDevice:
    """A device that a plugin provider lists.

    Args:
        ep: ONNX Runtime's ``OrtEpDevice``.
        index: Its number among the provider's devices.
    """

    ep: Any
    index: int

    @property
    def provider(self) -> str:
        """``WebGpuExecutionProvider``."""
        return str(self.ep.ep_name)

    @property
    def kind(self) -> str:
        """``cpu``, ``gpu`` or ``npu``."""
        return str(self.ep.device.type.name).lower()

    @property
    def name(self) -> str:
        """The maker and the kind, and what the system calls it, where it does."""
        described = dict(self.ep.device.metadata).get("Description")
        return " ".join(filter(None, (str(self.ep.device.vendor), self.kind.upper(), described and f"({described})")))


def installed() -> list[str]:
    """Names of the installed packages with a provider: ``webgpu`` of ``onnxruntime-ep-webgpu``."""
    found = {module.name for module in pkgutil.iter_modules() if module.name.startswith(PREFIX)}
    return sorted(name.removeprefix(PREFIX).replace("_", "-") for name in found)


def find_device(request: DeviceRequest, library: Path | None = None) -> PluginDevice:
    """The device that ``ep:NAME`` or ``ep:NAME:1`` means; of several the first.

    Args:
        request: Of kind ``ep``.
        library: The provider's library; by default that of the package of this name.

    Raises:
        OptionError: if there is no such library file.
        DeviceError: if there is no such package, its library cannot be loaded, or it lists no such device.
    """
    found, where = devices_of(request.name, library), f"--device ep:{request.name}"
    if not found:
        raise DeviceError(
            f"the provider {request.name} was loaded, and lists no device on this machine", where=where,
            got=", ".join(_with_devices()) or None, hint=needs(request.name),
        )  # fmt: skip
    index = request.indices[0] if request.indices else 0
    if index >= len(found):
        shown = ", ".join(f"{device.index}: {device.name}" for device in found)
        raise DeviceError(f"the provider {request.name} has no device {index}", where=where, expected=shown)
    return found[index]


def devices_of(name: str, library: Path | None = None) -> list[PluginDevice]:
    """The devices that a provider lists on this machine, often none; its library is loaded if need be.

    Raises:
        OptionError, DeviceError: as for :func:`find_device`, but not where there is none.
    """
    import onnxruntime as ort

    found = [] if library else _listed(name)  # a provider may come with ONNX Runtime itself
    if not found:
        where = f"--device ep:{name}"
        file, origin = _library(name, library, where)
        with native_messages():
            try:
                ort.register_execution_provider_library(file, file)
            except Exception as error:
                if "already registered" not in str(error):
                    raise DeviceError(
                        f"ONNX Runtime cannot load the provider {name}", where=where, got=_essence(error),
                        hint=f"update onnxruntime and {origin}: their versions have to fit",
                    ) from error  # fmt: skip
            found = _listed(name)
    return [PluginDevice(device, index) for index, device in enumerate(found)]


def needs(name: str) -> str:
    """What a provider needs before it lists a device."""
    known = next((known for known in NEEDS if _plain(known) == _plain(name)), None)
    return NEEDS[known] if known else "its package says what it needs"


def _listed(name: str) -> list[Any]:
    """The devices of a provider that is registered; the CPU's own is none of these."""
    import onnxruntime as ort

    return [ep for ep in ort.get_ep_devices() if ep.ep_name != CPU and _plain(ep.ep_name) == _plain(name)]


def _with_devices() -> list[str]:
    """The plugin providers that list a device."""
    import onnxruntime as ort

    return sorted({ep.ep_name for ep in ort.get_ep_devices()} - {CPU})


def _plain(name: str) -> str:
    """``WebGpuExecutionProvider`` and ``webgpu``, ``NvTensorRTRTX…`` and ``nv-tensorrt-rtx``: the same name.

    >>> _plain("NvTensorRTRTXExecutionProvider") == _plain("nv-tensorrt-rtx")
    True
    """
    return "".join(filter(str.isalnum, name.lower())).removesuffix("executionprovider")


def _library(name: str, given: Path | None, where: str) -> tuple[str, str]:
    """The provider's library, and what to call its origin."""
    if given is not None:
        if not given.is_file():
            raise OptionError("there is no such library", where="ep_library", got=given)
        return str(given.resolve()), str(given)
    package = next((other for other in installed() if _plain(other) == _plain(name)), None)
    if package is None:
        raise DeviceError(
            f"there is no provider {name} here", where=where, got=", ".join(installed()) or "no plugin provider",
            expected=", ".join(sorted(NEEDS)),
            hint="pip install onnxruntime-ep-NAME, or name the provider's library: --with backend.ep_library=PATH",
        )  # fmt: skip
    try:
        return str(import_module(PREFIX + package.replace("-", "_")).get_library_path()), f"onnxruntime-ep-{package}"
    except Exception as error:
        raise DeviceError(
            f"the package onnxruntime-ep-{package} is broken", where=where, got=_essence(error),
            hint=f"pip install --force-reinstall onnxruntime-ep-{package}",
        ) from error  # fmt: skip


def _essence(error: Exception) -> str:
    """The first line of an error without ONNX Runtime's ``[ONNXRuntimeError] : 1 : FAIL : ``."""
    return (str(error).splitlines() or [type(error).__name__])[0].rpartition(" : ")[2][:300]


def open_plugin_session(
    file: Path | bytes, device: PluginDevice, *, threads: int = 1, spinning: bool = False, allow_fallback: bool = False
) -> Any:
    """A session that runs on a plugin provider's device; the rest as for ``open_session``.

    Raises:
        ModelError: if ONNX Runtime cannot open the file.
        DeviceError: if the session or a part of its work landed elsewhere.
    """
    import onnxruntime as ort

    options = session_options(file, threads, spinning, record=True)
    options.add_provider_for_devices([device.ep], {})
    content = file if isinstance(file, bytes) else str(file)
    failure: Exception | None = None
    with native_messages() as said:
        try:
            session = ort.InferenceSession(content, options, enable_fallback=0)
        except Exception as error:  # noqa: BLE001  what it means is found out below
            failure = error
    where = f"--device ep:{_plain(device.provider)}"
    if failure is not None:
        raise refused_file(file) or DeviceError(
            f"{device.provider} cannot run the network", where=where, got=_essence(failure), hint="use --device cpu"
        ) from failure
    _prove(session, device, where, said)
    pass_on(said)
    if not allow_fallback:
        prove_nodes(session, where)
    return session


def _prove(session: Any, device: PluginDevice, where: str, said: list[str]) -> None:
    """Hold a session to its provider: it has to be there, and to run a part of the network."""
    used = session.get_providers()
    parts = session.get_provider_graph_assignment_info()
    count = sum(len(part.get_nodes()) for part in parts if part.ep_name == device.provider)
    if device.provider not in used or not count:
        raise DeviceError(
            f"ONNX Runtime did not use {device.provider} although it was asked to", where=where,
            got=f"{', '.join(used)}; {counted(count, 'node')} on it" + "".join(f": {line}" for line in logged(said)),
            expected=device.provider, code="CB-H003",
        )  # fmt: skip


class Padded:
    """A session that is always called with batches of one size: a new one can cost a device a compilation.

    Args:
        session: On a device.
        batch_size: N.
    """

    def __init__(self, session: Any, batch_size: int) -> None:
        self._session, self._size = session, batch_size

    def run(self, outputs: tuple[str, ...], feeds: dict[str, NDArray[np.uint8]], options: Any = None) -> list[Any]:
        """As ``InferenceSession.run``, of at most N images."""
        images = feeds[INPUT_NAME]
        padded = np.zeros((self._size, *images.shape[1:]), np.uint8)
        padded[: len(images)] = images
        return [found[: len(images)].copy() for found in self._session.run(outputs, {INPUT_NAME: padded}, options)]
