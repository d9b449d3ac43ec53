"""ONNX Runtime sessions: the options each kind of device needs, and the proof of where they run.

ONNX Runtime falls back to the CPU in two places, and says so on standard output or error only: where a provider's
library cannot be loaded (provider_bridge_ort.cc), and in its Python wrapper, where opening or running a session fails
(onnxruntime_inference_collection.py). The second is turned off here, by ``enable_fallback``; the first is found out
after opening, and what was logged is the reason in the error.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from clsbench.errors import ClsbenchError, DeviceError, ModelError, OptionError
from clsbench.graph_checks import has_padded_max_pool
from clsbench.inference.backend import GraphLevel
from clsbench.inference.cuda_driver import gpu_versions, wait_asleep
from clsbench.inference.devices import CPU, CUDA, PROVIDERS, TENSORRT, missing_for, preload, strays
from clsbench.inference.gpu_slot import is_used_up, shortage
from clsbench.inference.native_messages import native_messages, pass_on
from clsbench.machine import cache_folder
from clsbench.model_file import model_hash
from clsbench.onnx_file import read_onnx
from clsbench.text import counted

#: The part of an error of a GPU provider that says what it is (cuda_call.cc).
FAILURE = re.compile(r"\w+ failure -?\d+: [^;\n]*[^;\s]")

#: A line of ONNX Runtime's log that tells of an error, and its message.
LOGGED = re.compile(r"\[[EW]:onnxruntime[^\]]*\] ?(.*?)(?:\x1b\[m)?$")


def open_session(
    file: Path | bytes,
    kind: str,
    *,
    index: int = 0,
    threads: int = 1,
    spinning: bool = False,
    allow_fallback: bool = False,
    tf32: bool = True,
    float16: bool = False,
    graph_level: GraphLevel = "all",
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
        tf32: Whether a GPU may use TF32.
        float16: Whether the file holds float16, which TensorRT has to be told.
        graph_level: How far the graph is rewritten.

    Raises:
        ModelError: if ONNX Runtime cannot open the file.
        DeviceError: if the session or a part of its work landed elsewhere.
        DeviceMemoryError: if a GPU has not enough memory for the network.
        OptionError: if TensorRT is to do without TF32.
    """
    engines = _engine_folder(file) if kind == "tensorrt" else None
    providers = provider_options(kind, index, tf32=tf32, float16=float16, engines=engines)
    if kind == "cpu":
        try:
            return _opened(file, kind, threads, spinning, providers, graph_level)
        except Exception as error:
            raise _unreadable(file, error) from error
    preload()
    wait_asleep(index)
    with native_messages() as said:
        try:
            session: Any = _opened(file, kind, threads, spinning, providers, graph_level)
        except Exception as error:  # noqa: BLE001  what it means is found out below
            session = error
    if isinstance(session, Exception):
        raise _failure(file, kind, index, session) from session
    _prove_provider(session, kind, said)
    pass_on(said)
    if not allow_fallback:
        prove_nodes(session, f"--device {kind}")
    return session


def _opened(
    file: Path | bytes, kind: str, threads: int, spinning: bool, providers: list[Any], level: GraphLevel = "all"
) -> Any:
    import onnxruntime as ort

    options = session_options(file, threads, spinning, record=kind != "cpu", level=level)
    content = file if isinstance(file, bytes) else str(file)
    return ort.InferenceSession(content, options, providers=providers, enable_fallback=0)


def wrong_optimizers(file: Path | bytes) -> list[str]:
    """Optimizers of ONNX Runtime that would change what this model computes.

    ``Pad_Fusion`` makes a Pad before a MaxPool the pool's own padding, which is of -∞ and not of the Pad's zeros: where
    all numbers at a border are negative, the result is another one (microsoft/onnxruntime#18136; seen in 1.31).
    """
    try:
        if isinstance(file, bytes):
            import onnx

            padded = has_padded_max_pool(onnx.load_from_string(file))
        else:
            padded = read_onnx(file).padded_max_pool
    except Exception:  # noqa: BLE001  no ONNX: opening it says so
        return []
    return ["Pad_Fusion"] if padded else []


def session_options(
    file: Path | bytes, threads: int, spinning: bool, *, record: bool, level: GraphLevel = "all"
) -> Any:
    """ONNX Runtime's options of a session.

    Args:
        file, threads, spinning: As for :func:`open_session`.
        record: Whether the session is to remember which provider runs which node.
        level: How far the graph is rewritten.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    if left_out := wrong_optimizers(file):
        options.add_session_config_entry("optimization.disable_specified_optimizers", ";".join(left_out))
    if record:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if level == "all" else levels.ORT_ENABLE_EXTENDED
    return options


def _unreadable(file: Path | bytes, error: Exception) -> ModelError:
    where = None if isinstance(file, bytes) else file
    return ModelError("ONNX Runtime cannot open the model", where=where, got=str(error).splitlines()[0])


def refused_file(file: Path | bytes) -> ModelError | None:
    """The error for a file that the CPU cannot open either; None if it can, and so the file is not at fault."""
    try:
        _opened(file, "cpu", 1, False, [CPU])
    except Exception as refused:  # noqa: BLE001  whatever it is, the file is the reason
        return _unreadable(file, refused)
    return None


def _failure(file: Path | bytes, kind: str, index: int, error: Exception) -> ClsbenchError:
    """Why a session on a device could not be opened: memory, the device, or a file that the CPU refuses too."""
    if is_used_up(error):
        hint = "nvidia-smi shows what else uses the GPU; another --device, or a smaller network"
        return shortage(error, f"{kind}:{index}", index, "the network alone", hint)
    if (unreadable := refused_file(file)) is not None:
        return unreadable
    missing = missing_for(kind)
    return DeviceError(
        f"ONNX Runtime cannot run the network on {kind}",
        where=f"--device {kind}",
        got=missing.what if missing else _essence(error),
        hint=missing.remedy if missing else "update the NVIDIA driver and clsbench[cuda], or use --device cpu",
    )


def _essence(error: Exception) -> str:
    found = FAILURE.search(str(error))
    return found.group() if found else str(error).splitlines()[0]


def provider_options(
    kind: str, index: int, *, tf32: bool = True, float16: bool = False, engines: Path | None = None
) -> list[Any]:
    """Providers with their options, the wanted one first.

    Args:
        kind: ``cpu``, ``cuda`` or ``tensorrt``.
        index: Which GPU.
        tf32: Whether a GPU may use TF32.
        float16: Whether the network is in float16.
        engines: Where TensorRT keeps this network's engines, if anywhere.

    Raises:
        OptionError: if TensorRT is to do without TF32, for which its provider has no option (1.31).
    """
    # HEURISTIC: DEFAULT is 4 to 50 times slower, EXHAUSTIVE costs 0.6 s for each new shape.
    cuda = (
        CUDA,
        {
            "device_id": str(index),
            "cudnn_conv_algo_search": "HEURISTIC",
            "prefer_nhwc": "1",
            "use_tf32": str(int(tf32)),
        },
    )
    if kind == "cuda":
        return [cuda, CPU]
    if kind == "tensorrt":
        if not tf32:
            raise OptionError(
                "TensorRT cannot be told to do without TF32", where="tf32=false",
                hint="set NVIDIA_TF32_OVERRIDE=0 in the environment, or use --device cuda",
            )  # fmt: skip
        tensorrt = {"device_id": str(index), **(_engine_cache(engines) if engines else {})}
        if float16:  # or the builder refuses the layers: "fp16 is not configured in the builder"
            tensorrt["trt_fp16_enable"] = "1"
        return [(TENSORRT, tensorrt), cuda, CPU]
    return [CPU]


def _engine_folder(file: Path | bytes) -> Path | None:
    """A folder for the engines of one network here; None where none can be written to.

    An engine's name tells the graph but not the weights, so that of two networks of one architecture the second would
    be answered by the first (microsoft/onnxruntime#6455). Nor can another TensorRT read it, which is then an error.
    """
    content = hashlib.sha256(file).hexdigest() if isinstance(file, bytes) else model_hash(file)
    versions = [f"{name} {version}" for name, version in gpu_versions().items() if name.startswith("tensorrt")]
    engines = cache_folder() / "tensorrt" / hashlib.sha256(" ".join((content, *versions)).encode()).hexdigest()
    try:
        engines.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return engines if os.access(engines, os.W_OK) else None


def _engine_cache(engines: Path) -> dict[str, str]:
    """Engines are kept for each network, the timings of kernels for all together."""
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(engines.parent),
    }


def _prove_provider(session: Any, kind: str, said: list[str]) -> None:
    """Hold a session to the provider that was asked for.

    Args:
        session: Just opened.
        kind: What was asked for.
        said: What was logged meanwhile.
    """
    provider, used = PROVIDERS[kind], session.get_providers()
    if used[:1] == [provider]:
        return
    missing = missing_for(kind)
    reason = missing.what if missing else " ".join(logged(said))
    raise DeviceError(
        f"ONNX Runtime did not use {kind} although it was asked to",
        got=f"{', '.join(used)}{f': {reason}' if reason else ''}",
        expected=provider,
        hint=missing.remedy if missing else "`clsbench doctor` looks for the reason",
        code="CB-H003",
    )


def logged(said: list[str]) -> list[str]:
    """The messages of warnings and errors among lines that ONNX Runtime has written."""
    return [found.group(1) for line in said if (found := LOGGED.search(line))]


def prove_nodes(session: Any, where: str) -> None:
    """Refuse a session that would compute a part of the network on the CPU.

    Raises:
        DeviceError: if it would; ``where`` says what had asked for the device.
    """
    stray = strays(session)
    if stray:
        raise DeviceError(
            f"{counted(len(stray), 'compute node')} of the network would run on the CPU",
            where=where,
            got=", ".join(stray[:5]) + (", …" if len(stray) > 5 else ""),
            hint="--allow-fallback to accept that",
            code="CB-H002",
        )
