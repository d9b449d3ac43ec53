"""ONNX Runtime sessions: the options each kind of device needs, and the proof of where they run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from clsbench.errors import DeviceError, ModelError
from clsbench.inference.devices import CPU, CUDA, PROVIDERS, TENSORRT, preload, strays
from clsbench.machine import cache_folder
from clsbench.text import counted


def open_session(
    file: Path | bytes,
    kind: str,
    *,
    index: int = 0,
    threads: int = 1,
    spinning: bool = False,
    allow_fallback: bool = False,
) -> Any:
    """A session that runs where it was asked to.

    Args:
        file: An .onnx file, or its bytes.
        kind: ``cpu``, ``cuda`` or ``tensorrt``.
        index: Which GPU.
        threads: Of one call, on the CPU.
        spinning: Whether these wait actively for a moment, ready for the next layer. They take the
            cores of decoders meanwhile, so this is for calls that have the cores to themselves.
        allow_fallback: Accept compute nodes of a GPU session on the CPU.

    Raises:
        ModelError: if ONNX Runtime cannot open the file.
        DeviceError: if the session or a part of its work landed elsewhere.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    if kind != "cpu":
        preload()
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        content = file if isinstance(file, bytes) else str(file)
        session = ort.InferenceSession(content, options, providers=provider_options(kind, index))
    except Exception as error:
        where = None if isinstance(file, bytes) else file
        raise ModelError("ONNX Runtime cannot open the model", where=where, got=str(error).splitlines()[0]) from error
    if kind != "cpu":
        _prove(session, kind, allow_fallback)
    return session


def provider_options(kind: str, index: int) -> list[Any]:
    """Providers with their options, the wanted one first."""
    # HEURISTIC: DEFAULT is 4 to 50 times slower, EXHAUSTIVE costs 0.6 s for each new shape.
    cuda = (CUDA, {"device_id": str(index), "cudnn_conv_algo_search": "HEURISTIC", "prefer_nhwc": "1"})
    if kind == "cuda":
        return [cuda, CPU]
    if kind == "tensorrt":
        return [(TENSORRT, {"device_id": str(index), **_engine_cache()}), cuda, CPU]
    return [CPU]


def _engine_cache() -> dict[str, str]:
    """Where TensorRT keeps its engines; nowhere if there is no folder to write to."""
    engines = cache_folder() / "tensorrt"
    try:
        engines.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    if not os.access(engines, os.W_OK):
        return {}
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(engines),
    }


def _prove(session: Any, kind: str, allow_fallback: bool) -> None:
    provider, used = PROVIDERS[kind], session.get_providers()
    if used[:1] != [provider]:
        raise DeviceError(
            f"ONNX Runtime did not use {kind} although it was asked to",
            got=", ".join(used),
            expected=provider,
            hint="`clsbench doctor` looks for the reason",
        )
    stray = [] if allow_fallback else strays(session)
    if stray:
        raise DeviceError(
            f"{counted(len(stray), 'compute node')} of the network would run on the CPU",
            where=f"--device {kind}",
            got=", ".join(stray[:5]) + (", …" if len(stray) > 5 else ""),
            hint="--allow-fallback to accept that",
        )
