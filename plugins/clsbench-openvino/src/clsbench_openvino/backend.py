"""The ``openvino`` backend: one compiled network, a request for each of its streams, calls from any thread.

OpenVINO computes in threads of its own, one stream beside another; the thread that calls sleeps meanwhile. So calls
and decoding share the cores as they do in ONNX Runtime: while a stream computes, one thread less decodes. Its threads
are not pinned to cores, since decoding threads use the same ones.
"""

from __future__ import annotations

import queue
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench import (
    DeviceError,
    DeviceInfo,
    FeatureBackend,
    ModelCard,
    OptionError,
    available_cores,
    check_contract,
    read_card,
)
from clsbench_openvino.precision import Precision, check_capability, prove
from clsbench_openvino.runtime import core, full_name, openvino, read_model, refused, settle

#: Images a call where nobody says: larger batches leave a CPU's cache, those of shorter numbers later; other devices
#: need more to be busy.
CPU_BATCH, HALF_BATCH, INT8_BATCH, DEVICE_BATCH = 4, 8, 16, 32

#: OpenVINO's element types in the words of clsbench's contract.
TYPES = {"u8": "tensor(uint8)", "f32": "tensor(float)"}


class OpenVinoBackend(FeatureBackend):
    """A compiled network and its requests; see :class:`clsbench.Backend`."""

    own_threads = True

    def __init__(self, compiled: Any, *, device: DeviceInfo, threads: int, batch_size: int) -> None:
        self.device = device
        self.streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self.threads, self.batch_size = threads, batch_size
        self.shares_cores = device.device == "cpu"
        self._tensor = openvino().Tensor
        # A call takes a request and puts it back, so no two calls share buffers.
        self._all = [compiled.create_infer_request() for _ in range(self.streams)]
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in self._all:
            self._free.put(request)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K)."""
        return self._run(images, 1)[0]

    def with_features(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same, and features float32 (N, D), of a file that has them."""
        logits, features = self._run(images, 2)
        return logits, features

    def _run(self, images: NDArray[np.uint8], outputs: int) -> list[NDArray[np.float32]]:
        """The first outputs, in memory of their own; the images are read where they lie."""
        request = self._free.get()
        try:
            request.set_input_tensor(self._tensor(np.ascontiguousarray(images), shared_memory=True))
            request.infer(share_outputs=True)
            return [np.array(request.get_output_tensor(index).data) for index in range(outputs)]
        finally:
            self._free.put(request)

    def interrupt(self) -> None:
        """Cancel the calls under way; OpenVINO stops before its next layer."""
        for request in self._all:
            with suppress(RuntimeError):
                request.cancel()

    def close(self) -> None:
        """Free the network."""
        self._all, self._free = [], queue.SimpleQueue()


def build(
    model_path: Path,
    device: str = "auto",
    *,
    precision: Precision = "f32",
    batch_size: int | None = None,
    streams: int | None = None,
    threads: int | None = None,
) -> OpenVinoBackend:
    """Open a model file on a device.

    Args:
        model_path: An .onnx file with a card.
        device: ``auto``, ``cpu``, ``gpu``, ``gpu:1`` or ``npu``. ``auto`` is a graphics card that OpenVINO lists, or
            else the CPU.
        precision: What to compute in. OpenVINO alone would take bfloat16 or float16 wherever it can; here it does so
            only where that is asked for. Layers of an int8 file stay int8.
        batch_size: Images a call.
        streams: Concurrent calls; by default as many as OpenVINO thinks best for throughput.
        threads: Of one call, on the CPU.

    Raises:
        OptionError: for an unknown device, a number below 1, or more threads than OpenVINO finds cores for.
        DeviceError: if there is no such device, or it does not compute in that precision.
        ModelError: if the file cannot be used.
    """
    for name, value in {"batch_size": batch_size, "streams": streams, "threads": threads}.items():
        if value is not None and value < 1:
            raise OptionError(f"{name} must be at least 1", got=value)
    card = read_card(model_path)
    name = settle(device)
    check_capability(precision, name, core().get_property(name, "OPTIMIZATION_CAPABILITIES"))
    model = read_model(model_path)
    check_contract(_described(model.inputs), _described(model.outputs), card, model_path)
    try:
        compiled = core().compile_model(model, name, settings(name, precision, streams, threads))
    except Exception as error:
        raise refused(model_path, error) from error
    _prove_device(compiled, name)
    on_cpu = name == "CPU"
    kind, _, index = name.partition(".")
    info = DeviceInfo(
        requested=device,
        device=kind.lower(),
        indices=() if on_cpu else (int(index or 0),),
        provider=f"OpenVINO {_version()}",
        names=() if on_cpu else (full_name(name),),
        precision=prove(compiled, precision),
    )
    used = _cpu_threads(compiled, streams, threads) if on_cpu else 1
    return OpenVinoBackend(
        compiled,
        device=info,
        threads=used,
        batch_size=batch_size or (_batch(card, precision) if on_cpu else DEVICE_BATCH),
    )


def _batch(card: ModelCard, precision: Precision) -> int:
    """Images a call on a CPU."""
    if card.precision == "int8":
        return INT8_BATCH
    return CPU_BATCH if precision == "f32" else HALF_BATCH


def settings(name: str, precision: Precision, streams: int | None, threads: int | None) -> dict[str, Any]:
    """What OpenVINO is told about a device.

    Args:
        name: OpenVINO's name of the device.
        precision: See :func:`build`.
        streams, threads: Of the user, or None.
    """
    found: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    cores = available_cores()
    if name == "CPU":
        streams = streams or (max(1, cores // threads) if threads else None)
        found |= {
            "INFERENCE_NUM_THREADS": streams * threads if streams and threads else max(cores, streams or 1),
            "ENABLE_CPU_PINNING": False,
        }
    elif name.startswith("GPU"):
        found["ALLOW_AUTO_BATCHING"] = False  # it would wait for images of other calls
    return found | ({"NUM_STREAMS": streams} if streams else {})


def _prove_device(compiled: Any, name: str) -> None:
    """Refuse a network that OpenVINO put elsewhere.

    Raises:
        DeviceError: if it did.
    """
    used = list(compiled.get_property("EXECUTION_DEVICES"))
    if used != [name]:
        raise DeviceError(
            f"OpenVINO does not use {name.lower()} although it was asked to", got=", ".join(used), expected=name
        )


def _cpu_threads(compiled: Any, streams: int | None, threads: int | None) -> int:
    """The threads of one call, as OpenVINO has settled them: it takes fewer than it is told where cores are few.

    Raises:
        OptionError: if these are not those that were asked for.
    """
    found, total = (int(compiled.get_property(key)) for key in ("NUM_STREAMS", "INFERENCE_NUM_THREADS"))
    each = max(1, total // max(1, found))
    if (streams or found, threads or each) != (found, each):
        raise OptionError(
            "OpenVINO does not run as many threads as asked for", where="streams, threads",
            got=f"{found} × {each}", expected=f"{streams or found} × {threads or each}",
            hint=f"{available_cores()} cores can be used here: leave these options out",
        )  # fmt: skip
    return each


def _version() -> str:
    """``2026.4.1`` of ``2026.4.1-21820-…``."""
    return str(openvino().get_version()).partition("-")[0]


def _described(ports: list[Any]) -> list[tuple[str, str, list[Any]]]:
    """Name, type and shape as ``check_contract`` takes them; a free dimension is ``N``."""
    return [
        (
            port.get_any_name(),
            TYPES.get(port.get_element_type().get_type_name(), "another type"),
            [dim.get_length() if dim.is_static else "N" for dim in port.get_partial_shape()],
        )
        for port in ports
    ]
