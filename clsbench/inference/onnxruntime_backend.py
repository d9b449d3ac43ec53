"""The ``onnxruntime`` backend, on the CPU or one CUDA device.

On a CPU several calls at once, each on one thread, beat one call on all threads, so
that is how it runs; spinning is off, since it would steal the decoders' time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME, OUTPUT_NAME
from clsbench.errors import DeviceError, ModelError, OptionError
from clsbench.inference.backend import check_contract, read_card
from clsbench.inference.devices import missing_for_cuda
from clsbench.inference.machine import available_cores

DEVICES = ("auto", "cpu", "cuda")

#: Batches of more than this are slower on CPUs: the activations leave the cache.
CPU_BATCH, CUDA_BATCH = 4, 64


class OnnxRuntimeBackend:
    """One ONNX Runtime session; see :class:`clsbench.inference.backend.Backend`."""

    def __init__(self, session: Any, *, device: dict[str, Any], streams: int, batch_size: int) -> None:
        self._session = session
        self.device, self.streams, self.batch_size = device, streams, batch_size
        self.shares_cores = device["device"] == "cpu"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K)."""
        logits: NDArray[np.float32] = self._session.run([OUTPUT_NAME], {INPUT_NAME: images})[0]
        return logits

    def close(self) -> None:
        """Free the session."""
        self._session = None


def build(
    model_path: Path,
    device: str = "auto",
    *,
    batch_size: int | None = None,
    streams: int | None = None,
    threads: int | None = None,
) -> OnnxRuntimeBackend:
    """Open a model file on a device.

    Args:
        model_path: An .onnx file with a card.
        device: ``cpu``, ``cuda``, or ``auto`` for the best that truly works.
        batch_size: Images a call; by default what suits the device.
        streams: Concurrent calls; by default the cores over ``threads``, or 2 on CUDA.
        threads: Threads of one call on the CPU; 1 by default.

    Raises:
        OptionError: for a device of another name, or a number below 1.
        DeviceError: if the device cannot be used, with what is missing.
        ModelError: if the file cannot be used.
    """
    if device not in DEVICES:
        raise OptionError("unknown device", where="--device", got=device, expected=", ".join(DEVICES))
    for name, value in {"batch_size": batch_size, "streams": streams, "threads": threads}.items():
        if value is not None and value < 1:
            raise OptionError(f"{name} must be at least 1", got=value)
    card = read_card(model_path)
    missing = missing_for_cuda() if device != "cpu" else None
    if device == "cuda" and missing:
        raise DeviceError("CUDA cannot be used", where="--device cuda", got=missing.what, hint=missing.remedy)
    use_cuda = device != "cpu" and missing is None
    session = _session(model_path, use_cuda, threads or 1)
    providers = session.get_providers()
    if use_cuda and providers[0] != "CUDAExecutionProvider":
        raise DeviceError(
            "ONNX Runtime fell back to the CPU although CUDA was asked for",
            got=", ".join(providers),
            hint="--device cpu to accept that",
        )
    check_contract(_describe(session.get_inputs()), _describe(session.get_outputs()), card, model_path)
    facts = {
        "requested": device,
        "device": "cuda" if use_cuda else "cpu",
        "provider": providers[0],
        "reason": missing.what if device == "auto" and missing else None,
    }
    default_streams = 2 if use_cuda else max(1, available_cores() // (threads or 1))
    return OnnxRuntimeBackend(
        session,
        device=facts,
        streams=streams or default_streams,
        batch_size=batch_size or (CUDA_BATCH if use_cuda else CPU_BATCH),
    )


def _session(file: Path, use_cuda: bool, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = ["CPUExecutionProvider"]
    if use_cuda:
        ort.preload_dlls()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        settings = {"cudnn_conv_algo_search": "HEURISTIC", "prefer_nhwc": "1"}
        providers = [("CUDAExecutionProvider", settings), *providers]
    try:
        return ort.InferenceSession(str(file), options, providers=providers)
    except Exception as error:
        raise ModelError("ONNX Runtime cannot open the model", where=file, got=str(error).splitlines()[0]) from error


def _describe(tensors: list[Any]) -> list[tuple[str, str, list[Any]]]:
    return [(tensor.name, tensor.type, list(tensor.shape)) for tensor in tensors]
