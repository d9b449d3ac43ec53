"""What runs where, for gpu.py: doctor with cuDNN in sight and hidden, and the nodes of each network by provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_parts import Checks, Row, Settings

#: Names that cuDNN is looked for by.
CUDNN = ("libcudnn.so.9", "libcudnn.so")

#: A process that finds no cuDNN. An empty file of its name stands first on the loader's path, which ends dlopen's
#: search; and the one that came by pip is not loaded before.
WITHOUT_CUDNN = """
import functools, json, sys
import clsbench, onnxruntime
onnxruntime.preload_dlls = functools.partial(onnxruntime.preload_dlls, cudnn=False)
from clsbench.inference.devices import choose, load_cudnn, parse_device, preload
from clsbench.inference.diagnostics import diagnose_provider
preload()
cudnn = load_cudnn()
found = diagnose_provider(sys.argv[1])
device, reason = choose(parse_device("auto"))
print(json.dumps([
    ["cuDNN, hidden", "absent" if isinstance(cudnn, OSError) else "ok", str(cudnn)],
    [f"{found.name}, cuDNN hidden", found.status, found.found],
    ["--device auto, cuDNN hidden", device.kind, reason or ""],
]))
"""


def facts(settings: Settings) -> tuple[list[Row], Checks]:
    """Doctor's table, the GPU by nvidia-smi, and what is said where cuDNN is missing."""
    import clsbench

    found = clsbench.doctor()
    rows = [{"what": check.name, "status": check.status, "found": check.found} for check in found.checks]
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except OSError:
        told = ""
    rows.append({"what": "nvidia-smi", "status": "ok" if told else "absent", "found": told})
    kind = f"convolution on {settings.device}"
    status = next((check.status for check in found.checks if check.name == kind), "absent")
    hidden = _without_cudnn(settings)
    by_name = {row["what"]: row for row in hidden}
    checks = [
        (kind, status == "ok" or settings.device == "cpu", status),
        ("cuDNN is hidden", by_name["cuDNN, hidden"]["status"] == "absent", by_name["cuDNN, hidden"]["found"]),
        ("auto takes the CPU without cuDNN", hidden[-1]["status"] == "cpu", hidden[-1]["status"]),
    ]
    if settings.device != "cpu":
        said = by_name[f"{kind}, cuDNN hidden"]
        checks.append(("doctor misses cuDNN", said["status"] == "fault" and "cuDNN" in said["found"], said["found"]))
        checks.append(("auto says why", "cuDNN" in hidden[-1]["found"], hidden[-1]["found"]))
    return rows + hidden, checks


def _without_cudnn(settings: Settings) -> list[Row]:
    empty = settings.folder / "no-cudnn"
    empty.mkdir(exist_ok=True)
    for name in CUDNN:
        (empty / name).touch()
    path = os.pathsep.join(filter(None, (str(empty), os.environ.get("LD_LIBRARY_PATH"))))
    command = [sys.executable, "-c", WITHOUT_CUDNN, settings.device]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=50, env={**os.environ, "LD_LIBRARY_PATH": path}
    )
    if done.returncode:
        raise RuntimeError(f"without cuDNN: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return [{"what": what, "status": status, "found": text} for what, status, text in found]


def nodes(settings: Settings) -> tuple[list[Row], Checks]:
    """How many nodes each provider got, which compute nodes the CPU got, and copies that ONNX Runtime put between."""
    from clsbench.inference.devices import PROVIDERS, preload, strays

    rows: list[Row] = []
    checks: Checks = []
    preload()
    for name in settings.models:
        for precision in ("float32", "float16"):
            session, copies = placed(settings.file(name, precision), settings.device, settings.folder)
            counts: Counter[str] = Counter()
            for part in session.get_provider_graph_assignment_info():
                counts[part.ep_name] += len(part.get_nodes())
            wanted = PROVIDERS[settings.device]
            on_cpu = strays(session) if settings.device != "cpu" else []
            others = {provider: count for provider, count in counts.items() if provider != wanted}
            rows.append(
                {"model": name, "precision": precision, "provider": wanted, "nodes": counts[wanted],
                 "elsewhere": ", ".join(f"{count} {provider}" for provider, count in others.items()) or 0,
                 "MemcpyToHost": copies["MemcpyToHost"], "MemcpyFromHost": copies["MemcpyFromHost"]}
            )  # fmt: skip
            checks.append((f"{name} {precision} computes on {settings.device}", not on_cpu, on_cpu))
            checks.append((f"{name} {precision} is copied nowhere in between", not copies, dict(copies)))
    return rows, checks


def placed(file: Path, device: str, folder: Path) -> tuple[Any, Counter[str]]:
    """A session, and its Memcpy nodes by operator: ONNX Runtime inserts them last (transformer_memcpy.cc).

    The assignment of nodes was recorded before, so they are counted in the graph that it writes.
    """
    import onnx
    import onnxruntime as ort

    from clsbench.inference.sessions import provider_options

    options, written = ort.SessionOptions(), folder / "optimized.onnx"
    options.log_severity_level = 4
    options.optimized_model_filepath = str(written)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(str(file), options, providers=provider_options(device, 0), enable_fallback=0)
    graph = onnx.load(written, load_external_data=False).graph
    return session, Counter(node.op_type for node in graph.node if node.op_type.startswith("Memcpy"))
