"""What a GPU does with clsbench, in one call of a few minutes: a table and JSON for each part, and a verdict.

    python benchmarks/gpu.py --json gpu.json                       # on a machine with a GPU; at most 8 minutes
    python benchmarks/gpu.py --parts model,training --limit 200
    python benchmarks/gpu.py --device cpu --small                  # proves the script itself, in seconds

Needs clsbench[train,cuda]; clsbench-efficientnet-lite for real weights (else random ones), and --data, a tar of photos
(else crops of two embedded ones). Parts, in order of what matters most:

- *facts*: doctor, versions, the GPU and its driver; what doctor and ``--device auto`` say where cuDNN is hidden.
- *files*: the networks as float32 and float16 files.
- *nodes*: of each network by provider, and the copies between them that ONNX Runtime put in (Memcpy).
- *agreement*, *agreement without TF32*: probabilities and labels on the device against float32 on the CPU.
- *end to end*: from JPEGs to labels, and the fraction of the limit that the run itself accounts for.
- *model*, *model without TF32*: images/s of the network alone by precision, batch size and streams; cores in use
  meanwhile, of which a waiting stream should take none.
- *decode*: images/s read, decoded and resized by 1 to all threads, of photos and of 16×16 JPEGs (Python's own cost).
- *copies*: GB/s to the GPU from ordinary and from pinned memory, and images/s of batches in each; whether `allocate`
  gives the latter.
- *training*: steps as clsbench takes them, with EMA, with RandAugment; a plain torch loop in float32, channels-last,
  bfloat16, and with batches from ordinary and from pinned memory.
- *model on TensorRT*: last, for engines take minutes to build.

Each part runs in a process of its own, so that one that fails or hangs takes no other with it; what starts after the
limit is left out. The exit status is 1 where a check fails: a result that is not finite, a label that differs where
the network was sure, a fraction of the limit above 1.02.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gpu_parts
import pictures
from reporting import note, print_table, write_json

#: Name -> (function, options of its own, environment, seconds that it may take at most).
PARTS: dict[str, tuple[str, dict[str, Any], dict[str, str], int]] = {
    "facts": ("facts", {}, {}, 75),
    "files": ("files", {}, {}, 150),
    "nodes": ("nodes", {}, {}, 60),
    "agreement": ("agreement", {}, {}, 90),
    "agreement without TF32": ("agreement", {}, {"NVIDIA_TF32_OVERRIDE": "0"}, 90),
    "end to end": ("end_to_end", {}, {}, 60),
    "model": ("model", {}, {}, 100),
    "model without TF32": ("model", {"brief": True}, {"NVIDIA_TF32_OVERRIDE": "0"}, 60),
    "decode": ("decode", {}, {}, 60),
    "copies": ("copies", {}, {}, 30),
    "training": ("training", {}, {}, 120),
    "model on TensorRT": ("model", {"brief": True, "kind": "tensorrt"}, {}, 180),
}

#: What a fraction of the limit, measured by the run itself, may be at most.
FRACTION = 1.02

Found = dict[str, Any]


def run_part(name: str, settings: gpu_parts.Settings) -> Found:
    """A part in this process: its rows and checks, or its error."""
    function, options, _, _ = PARTS[name]
    try:
        rows, checks = getattr(gpu_parts, function)(settings, **options)
        return {"rows": rows, "checks": [{"what": what, "ok": bool(ok), "got": str(got)} for what, ok, got in checks]}
    except Exception as error:  # noqa: BLE001  the next part is to be run too
        note(traceback.format_exc())
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}


def run_apart(name: str, given: argparse.Namespace, folder: Path, seconds: float) -> Found:
    """A part in a process of its own, with its own environment and at most so many seconds."""
    out = folder / "part.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--part", name, "--folder", folder, "--device", given.device, "--json", out]
    command += ["--data", given.data, *(["--small"] if given.small else [])]
    try:
        done = subprocess.run(
            [str(word) for word in command], check=False, capture_output=True, text=True, timeout=seconds,
            env={**os.environ, **PARTS[name][2]},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds:.0f} s"}
    if not out.is_file():
        lines = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        return {"error": f"the process ended with {done.returncode}: {lines[-1]}"}
    found: Found = json.loads(out.read_text(encoding="utf-8"))
    return found


def print_part(name: str, found: Mapping[str, Any]) -> None:
    rows = found.get("rows", [])
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = [[gpu_parts.shown(row.get(column)) for column in columns] for row in rows]
    seconds = f" ({found['seconds']:.0f} s)"
    if rows:
        print_table(name + seconds, columns, shown)
    else:
        print(f"\n{name}{seconds}")
    if "error" in found:
        print(f"  FAILED: {found['error']}")
    for check in found.get("checks", []):
        if not check["ok"]:
            print(f"  WRONG: {check['what']}: {check['got']}")


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Found]:
    """Every part that was asked for and has time left."""
    settings = gpu_parts.Settings(given.device, given.small, folder, given.data)
    started, results = time.monotonic(), {}
    for name in given.parts:
        begun = time.monotonic()
        left = given.limit - (begun - started)
        if left <= 0:
            results[name] = {"error": f"left out: the limit of {given.limit:g} s was reached", "seconds": 0.0}
        else:
            note(name)
            seconds = min(left, PARTS[name][3])
            found = run_part(name, settings) if given.small else run_apart(name, given, folder, seconds)
            results[name] = {**found, "seconds": time.monotonic() - begun}
        print_part(name, results[name])
    return results


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script")
    parser.add_argument("--small", action="store_true", help="tiny networks, in one process: a test of the script")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS), help="with commas between")
    parser.add_argument("--limit", type=float, default=450, help="seconds after which no part begins")
    parser.add_argument("--data", type=Path, default=pictures.HYMENOPTERA, help="a tar of photos")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.parts if name not in PARTS]:
        parser.error(f"unknown parts: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return given


def main(arguments: list[str] | None = None) -> int:
    given = parsed(arguments)
    if given.part:
        settings = gpu_parts.Settings(given.device, given.small, given.folder, given.data)
        given.json.write_text(json.dumps(run_part(given.part, settings)), encoding="utf-8")
        return 0
    with tempfile.TemporaryDirectory(prefix="clsbench-") as folder:
        results = measure(given, Path(folder))
    wrong = [name for name, found in results.items() if not all(check["ok"] for check in found.get("checks", []))]
    failed = [name for name, found in results.items() if "error" in found]
    print(f"\n{len(results) - len(failed)} of {len(results)} parts ran; wrong: {', '.join(wrong) or 'none'}", end="")
    print(f"; failed: {', '.join(failed)}" if failed else "")
    write_json(given.json, {"device": given.device, "small": given.small, "parts": results})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
