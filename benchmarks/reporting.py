"""What every benchmark here shares: running commands, medians, tables, JSON.

Standard library only: a process measured by its parent (see startup_memory.py) must not
inherit the parent's memory, and what is imported here is nobody's start-up time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

#: Where the project keeps data that is not committed.
DATA = HERE.parents[1] / "shared" / "data"


def clsbench_command() -> list[str]:
    """The console script beside this interpreter, or the same thing by hand."""
    script = Path(sys.executable).with_name("clsbench")
    return [str(script)] if script.is_file() else [sys.executable, "-c", "from clsbench.cli.main import run; run()"]


def call(command: Sequence[object], environment: Mapping[str, str] | None = None, folder: str | None = None) -> str:
    """Run a command to its end, in a folder or in this one; its stdout.

    Raises:
        SystemExit: if it fails, with what it said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n  ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def infer(images: Path, model: Path, out: Path, *options: object, environment: Mapping[str, str]) -> dict[str, Any]:
    """``clsbench infer`` through the command line: the facts of its ``--json``."""
    facts = out.with_suffix(".facts.json")
    command = [*clsbench_command(), "infer", images, "--model", model, "--out", out, "--overwrite", "--json", facts]
    call([*command, "--quiet", "--labels", "none", "--device", "cpu", *options], environment)
    found: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
    return found


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table in plain text: the first column to the left, the others to the right."""
    texts = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[k]) for row in texts) for k in range(len(columns))]
    print(f"\n{title}")
    for number, row in enumerate(texts):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def note(text: str) -> None:
    """Progress, on stderr."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def write_json(file: Path | None, facts: Mapping[str, Any]) -> None:
    """Write ``--json``, if it was asked for, with what the figures depend on."""
    if file:
        environment = json.loads(
            call([sys.executable, "-c", "import json; from clsbench.inference.bench import environment_json as e; "
                  "print(json.dumps(e()))"])
        )  # fmt: skip
        load = os.getloadavg()
        text = json.dumps({"environment": environment, "load_average": load, **facts}, indent=2)
        file.write_text(text + "\n", encoding="utf-8")
