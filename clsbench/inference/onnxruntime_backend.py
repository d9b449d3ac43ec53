"""The ``onnxruntime`` backend: CPU, CUDA on one or several GPUs, TensorRT, and plugin providers.

On a CPU several calls at once, each on one thread, beat one call on all threads. On a GPU
two batches are in flight, so that one is copied while the other is computed, and the last
batch is padded: a new shape would cost a new search for algorithms. No call ever falls back
to another device: sessions are opened without ONNX Runtime's own fallback, which only prints.
"""

from __future__ import annotations

import os
import queue
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clsbench.card import FEATURES_NAME, INPUT_NAME, OUTPUT_NAME
from clsbench.errors import DeviceError, OptionError
from clsbench.inference.backend import DeviceInfo, FeatureBackend, GraphLevel, Plan
from clsbench.inference.cuda_driver import find_driver, pinned
from clsbench.inference.devices import DeviceRequest, choose, parse_device
from clsbench.inference.gpu_slot import GpuSlot
from clsbench.inference.interrupts import Calls
from clsbench.inference.plugin_providers import Padded, PluginDevice, find_device, open_plugin_session
from clsbench.inference.sessions import open_session
from clsbench.inference.tuning import plan_for, rule
from clsbench.model_file import Tensors, check_contract, read_card

#: Devices whose calls go through buffers of a :class:`GpuSlot`.
GPU_KINDS = ("cuda", "tensorrt")

#: Major compute capability of the first GPUs with TF32.
FIRST_WITH_TF32 = 8


class OnnxRuntimeBackend(FeatureBackend):
    """Sessions of ONNX Runtime; see :class:`clsbench.inference.backend.Backend`."""

    def __init__(self, sessions: list[Any], *, device: DeviceInfo, plan: Plan) -> None:
        self.device, self.plan_source, self.graph_level = device, plan.source, plan.graph_level
        self.batch_size = plan.batch_size
        self.threads = plan.threads
        self.shares_cores = device.device == "cpu"
        self.streams = plan.streams * len(sessions)
        self._on_gpu = device.device in GPU_KINDS
        self._sessions = sessions
        self._calls = Calls()
        # A call takes a slot and puts it back, so no two calls share buffers.
        self._slots: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(plan.streams):
            for index, session in enumerate(sessions):
                gpu = device.indices[index] if self._on_gpu else None
                slot = None if gpu is None else GpuSlot(session, device.device, gpu, plan.batch_size, plan.streams)
                self._slots.put(slot or session)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K); N up to ``batch_size`` on a GPU."""
        return self._run(images, (OUTPUT_NAME,))[0]

    def with_features(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same, and features float32 (N, D), of a file that has them."""
        logits, features = self._run(images, (OUTPUT_NAME, FEATURES_NAME))
        return logits, features

    def _run(self, images: NDArray[np.uint8], outputs: tuple[str, ...]) -> list[NDArray[np.float32]]:
        slot = self._slots.get()
        try:
            if isinstance(slot, GpuSlot):
                return slot.run(images, self._calls, outputs)
            found: list[NDArray[np.float32]] = self._calls.run(partial(slot.run, outputs, {INPUT_NAME: images}))
            return found
        finally:
            self._slots.put(slot)

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Memory for a batch, uint8; pinned for GPUs, for copies at full speed, or ``device`` says it is not."""
        if not self._on_gpu:
            return np.zeros(shape, np.uint8)
        memory = pinned(shape, self.device.indices[0])
        self.device = replace(self.device, pinned=memory is not None and self.device.pinned is not False)
        return np.zeros(shape, np.uint8) if memory is None else memory

    def interrupt(self) -> None:
        """End the calls under way; see :class:`clsbench.inference.backend.Backend`."""
        self._calls.stop()

    def close(self) -> None:
        """Free the sessions."""
        self._sessions, self._slots = [], queue.SimpleQueue()


def build(
    model_path: Path,
    device: str = "auto",
    *,
    batch_size: int | None = None,
    streams: int | None = None,
    threads: int | None = None,
    tune: Literal["off", "cached", "quick", "full"] = "off",
    spinning: bool = False,
    allow_fallback: bool = False,
    tf32: bool = True,
    ep_library: Path | None = None,
    graph_level: GraphLevel | None = None,
) -> OnnxRuntimeBackend:
    """Open a model file on a device.

    Args:
        model_path: An .onnx file with a card.
        device: ``auto``, ``cpu``, ``cuda[:i,j]`` or ``tensorrt[:i,j]``. Where ``auto`` cannot open the file on a GPU,
            it takes the CPU, and the device says why. ``ep:NAME[:i]`` is a device of a plugin provider.
        batch_size: Images a call.
        streams: Concurrent calls, on each GPU or on the CPU.
        threads: Of one call, on the CPU.
        tune: How to choose what is not given: by rule, from the cache, or by measuring
            on this model and machine (quick, full) where the cache has nothing.
        spinning: Let the threads of a call wait actively: faster where nothing else needs the cores.
        allow_fallback: Accept compute nodes of a GPU session on the CPU.
        tf32: Let GPUs multiply float32 with the 10 bits of TF32, as CUDA does by default: faster, and less exact.
        ep_library: The library of the plugin provider; by default that of the package ``onnxruntime-ep-NAME``.
        graph_level: How far ONNX Runtime rewrites the graph; all it can by default, ``full`` tuning tries ``extended``.

    Raises:
        OptionError: for an unknown device, a number below 1, TensorRT or a plugin provider without TF32, or a library
            where no plugin provider is asked for.
        DeviceError: if the device cannot be used; says how to fix it.
        ModelError: if the file cannot be used.
    """
    for name, value in {"batch_size": batch_size, "streams": streams, "threads": threads}.items():
        if value is not None and value < 1:
            raise OptionError(f"{name} must be at least 1", got=value)
    request = parse_device(device)
    if ep_library is not None and request.kind != "ep":
        raise OptionError("a provider's library is for its devices", where="ep_library", expected="--device ep:NAME")
    numbers = {"batch_size": batch_size, "streams": streams, "threads": threads}
    if request.kind == "ep":
        if not tf32:
            raise OptionError("a plugin provider cannot be told to do without TF32", where="tf32=false")
        found = find_device(request, ep_library)
        return _open_plugin(
            model_path, found, requested=device, numbers=numbers, spinning=spinning, allow_fallback=allow_fallback
        )
    chosen, reason = choose(request)
    opened = partial(
        _open, model_path, requested=device, numbers=numbers, tune=tune, spinning=spinning,
        allow_fallback=allow_fallback, tf32=tf32, graph_level=graph_level,
    )  # fmt: skip
    try:
        return opened(chosen, reason=reason)
    except DeviceError as error:
        if request.kind != "auto":
            raise
        return opened(DeviceRequest("cpu"), reason=error.one_line())


def _open(
    model_path: Path,
    device: DeviceRequest,
    *,
    requested: str,
    reason: str | None,
    numbers: dict[str, int | None],
    tune: str,
    spinning: bool,
    allow_fallback: bool,
    tf32: bool,
    graph_level: GraphLevel | None,
) -> OnnxRuntimeBackend:
    """Open a model file on a device that has been settled; otherwise as :func:`build`."""
    card = read_card(model_path)
    plan = plan_for(
        model_path, device, card.transform.size, mode=tune, given=numbers, tf32=tf32, graph_level=graph_level
    )
    plan = replace(plan, graph_level=graph_level or plan.graph_level)
    opened = partial(
        open_session, model_path, device.kind, threads=plan.threads, spinning=spinning,
        allow_fallback=allow_fallback, tf32=tf32, float16=card.precision == "float16",
        graph_level=plan.graph_level or "all",
    )  # fmt: skip
    sessions = [opened(index=index) for index in device.indices or (0,)]
    first = sessions[0]
    check_contract(_describe(first.get_inputs()), _describe(first.get_outputs()), card, model_path)
    info = DeviceInfo(
        requested=requested,
        device=device.kind,
        indices=device.indices,
        provider=first.get_providers()[0],
        reason=reason,
        **gpu_facts(device, tf32=tf32),
    )
    return OnnxRuntimeBackend(sessions, device=info, plan=plan)


def _open_plugin(
    model_path: Path,
    found: PluginDevice,
    *,
    requested: str,
    numbers: dict[str, int | None],
    spinning: bool,
    allow_fallback: bool,
) -> OnnxRuntimeBackend:
    """Open a model file on a plugin provider's device; otherwise as :func:`build`. Such a device is not tuned."""
    card = read_card(model_path)
    plan = rule(DeviceRequest("cpu" if found.kind == "cpu" else "ep"), numbers)
    session = open_plugin_session(
        model_path, found, threads=plan.threads, spinning=spinning, allow_fallback=allow_fallback
    )
    check_contract(_describe(session.get_inputs()), _describe(session.get_outputs()), card, model_path)
    info = DeviceInfo(
        requested=requested,
        device=found.kind,
        indices=(found.index,),
        provider=found.provider,
        names=(found.name,),
    )
    called = session if found.kind == "cpu" else Padded(session, plan.batch_size)
    return OnnxRuntimeBackend([called], device=info, plan=plan)


def gpu_facts(device: DeviceRequest, *, tf32: bool) -> dict[str, Any]:
    """Names of the GPUs, whether memory can be pinned for them, and whether they use TF32."""
    driver = None if device.kind == "cpu" else find_driver()
    if driver is None:
        return {}
    gpus = [driver.gpus[index] for index in device.indices]
    allowed = tf32 and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"
    return {
        "names": tuple(gpu.name for gpu in gpus),
        "pinned": pinned((1,), device.indices[0]) is not None,
        "tf32": allowed and any(gpu.capability >= FIRST_WITH_TF32 for gpu in gpus),
    }


def _describe(tensors: list[Any]) -> Tensors:
    return [(tensor.name, tensor.type, list(tensor.shape)) for tensor in tensors]
