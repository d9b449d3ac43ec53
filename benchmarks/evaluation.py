"""How long judging a large predictions file takes, and how much memory.

    python benchmarks/evaluation.py --json evaluation.json

The file has --rows rows and --classes probability columns, written by clsbench's own writer with
``probabilities`` (random logits, that of the true class 4 higher). Each round is a fresh process:
``clsbench evaluate FILE --json facts.json``, with interpreter, imports, reading and all built-in
metrics. Memory is the peak resident size (``ru_maxrss`` of that one process, from ``wait4``).
Wanted for 1,000,000 × 10 as CSV: under 10 s and 1 GB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from reporting import call, clsbench_command, median, note, print_table, write_json
from startup_memory import finish

#: Writes a predictions file: path, rows, classes.
MAKE = """
import sys
from pathlib import Path
import numpy as np
from clsbench.card import ModelCard
from clsbench.predictions.block import Predictions
from clsbench.testing import installed
from clsbench.transform import ImageTransform

file, rows, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
card = ModelCard(classes=tuple(f"class {k:04d}" for k in range(count)), transform=ImageTransform(size=(2, 2)))
random = np.random.default_rng(0)
with installed("writer", file.suffix[1:]).build(file, card, probabilities=True) as writer:
    for start in range(0, rows, 4096):
        size = min(4096, rows - start)
        labels = random.integers(0, count, size)
        logits = random.normal(size=(size, count)).astype(np.float32)
        logits[np.arange(size), labels] += 4
        names = [f"some/folder/of/images/image-{start + k:07d}.jpg" for k in range(size)]
        writer.write(Predictions(names, logits, [None] * size, labels))
"""

#: What the command does, while there is none: predictions file, JSON file.
EVALUATE = """
import sys
from pathlib import Path
from clsbench import builtin
from clsbench.evaluation.judging import judge
from clsbench.predictions.reading import read_predictions
from clsbench.json_fields import write_json

with read_predictions(Path(sys.argv[1])) as table:
    metrics = [(component.name, component.build()) for component in builtin.register_metrics()]
    write_json(Path(sys.argv[2]), judge(table, metrics).to_json())
"""


def command(file: Path, facts: Path) -> list[str]:
    """``clsbench evaluate``, or the library where this clsbench does not have it."""
    has = subprocess.run([*clsbench_command(), "evaluate", "--help"], capture_output=True, check=False)
    if has.returncode == 0:
        return [*clsbench_command(), "evaluate", str(file), "--json", str(facts)]
    return [sys.executable, "-c", EVALUATE, str(file), str(facts)]


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds and peak bytes, round by round."""
    file, facts = folder / f"preds.{given.format}", folder / "facts.json"
    note(f"writing {given.rows} rows of {given.classes} classes")
    call([sys.executable, "-c", MAKE, file, given.rows, given.classes])
    words = command(file, facts)
    seconds, peaks = [], []
    for number in range(given.rounds + 1):  # the first round warms the disk's cache
        note(f"round {number} of {given.rounds}" + ("" if number else " (not counted)"))
        took, peak = finish(words, {})
        if number:
            seconds.append(took)
            peaks.append(peak)
    found = json.loads(facts.read_text(encoding="utf-8"))
    if found["counts"]["judged"] != given.rows or found["metric_errors"]:
        sys.exit(f"not everything was measured: {found['counts']}, {found['metric_errors']}")
    return {
        "rows": given.rows,
        "classes": given.classes,
        "format": given.format,
        "file_bytes": file.stat().st_size,
        "through": "command line" if "evaluate" in words else "library",
        "seconds": seconds,
        "peak_bytes": peaks,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--format", default="csv", choices=("csv", "jsonl", "parquet"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        found = measure(given, Path(name))
    cells = [
        ["seconds", *(f"{pick(found['seconds']):.2f}" for pick in (median, min, max))],
        ["peak MB", *(f"{pick(found['peak_bytes']) / 1e6:.0f}" for pick in (median, min, max))],
    ]
    size = f"{found['file_bytes'] / 1e6:.0f} MB"
    title = f"{given.rows} rows × {given.classes} classes, {given.format} of {size}, by the {found['through']}"
    print_table(f"{title}, {given.rounds} runs (wanted: under 10 s and 1000 MB)", ("", "median", "min", "max"), cells)
    write_json(given.json, found)


if __name__ == "__main__":
    main()
