"""What the ledger costs: 10,000 CIFAR-10 files (32×32 JPEG), simple-cnn with random weights.

    python benchmarks/ledger.py --json ledger.json
    python benchmarks/ledger.py --rows 100000      # how long a finished job takes to be recognised

Runs ``clsbench infer … --out preds.csv`` through the command line, once as it is and once with the
ledger's threshold out of reach, in turns; one uncounted run lets it choose its plan. A ratio is taken
within a round. Small images and a small network leave the least time an image: this is where the
ledger hurts most. Wanted: at least 0.97 of the throughput without it.

With ``--rows`` a job of so many images (hard links of the same files) is finished, and run again with
``--resume``: the seconds of the whole command are shown. Wanted for 100,000 rows: below 5 s.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import call, clsbench_command, median, note, print_table, write_json

WITHOUT = (
    "from clsbench.api import infer_rerun as u; u.WORTH_A_LEDGER = 10**12; from clsbench.cli.main import run; run()"
)

#: See the docstring.
WANTED, WANTED_SECONDS = 0.97, 5.0


def infer(command: list[str], images: Path, model: Path, out: Path, *options: object, cache: Path) -> dict[str, Any]:
    """``clsbench infer`` by one of two commands: the facts of its ``--json``."""
    facts = out.with_suffix(".facts.json")
    words = [*command, "infer", images, "--model", model, "--out", out, "--json", facts, "--quiet", "--device", "cpu"]
    call([*words, "--labels", "none", *options], {"XDG_CACHE_HOME": str(cache)})
    found: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
    return found


def overhead(given: argparse.Namespace, images: Path, model: Path, folder: Path) -> dict[str, Any]:
    """Images/s with and without the ledger, round by round, and the ratios."""
    commands = {"with": clsbench_command(), "without": [sys.executable, "-c", WITHOUT]}
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(given.rounds + 1):
        note(f"round {number} of {given.rounds}" + ("" if number else " (not counted)"))
        for name in sorted(commands, reverse=bool(number % 2)):
            facts = infer(commands[name], images, model, folder / "preds.csv", "--overwrite", cache=folder / "cache")
            rates[name].append(facts["throughput"]["images_per_second"])
    rates = {name: values[1:] for name, values in rates.items()}
    ratios = [a / b for a, b in zip(rates["with"], rates["without"], strict=True)]
    return {"rates": rates, "ratios": ratios, "ratio": median(ratios)}


def recognition(count: int, files: list[Path], model: Path, folder: Path) -> float:
    """Seconds in which a finished job of so many images is recognised."""
    note(f"finishing a job of {count} images")
    images = pictures.hard_links([files[k % len(files)] for k in range(count)], folder / "many", count)
    infer(clsbench_command(), images, model, folder / "many.csv", cache=folder / "cache")
    started = time.perf_counter()
    infer(clsbench_command(), images, model, folder / "many.csv", "--resume", cache=folder / "cache")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.CIFAR10, help="a tar with cifar10/test/<class>/")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        note("unpacking and exporting")
        root = pictures.unpack(given.data, folder / "data", below="cifar10/test/") / "cifar10" / "test"
        files = sorted(root.rglob("*.jp*g"))
        images = pictures.hard_links(files[:: max(1, len(files) // given.files)], folder / "files", given.files)
        model = models.export_random("simple-cnn", folder, sorted(entry.name for entry in root.iterdir()))
        found = overhead(given, images, model, folder)
        if given.rows:
            found["recognition_seconds"] = recognition(given.rows, files, model, folder)
    print_table(
        f"{given.files} images of 32×32, simple-cnn, medians of {given.rounds} rounds",
        ("", "images/s", "of the rate without"),
        [["with the ledger", f"{median(found['rates']['with']):.0f}", f"{found['ratio']:.3f} (wanted {WANTED})"],
         ["without", f"{median(found['rates']['without']):.0f}", "1"]],
    )  # fmt: skip
    print(f"\nratios of the rounds: {min(found['ratios']):.3f} to {max(found['ratios']):.3f}")
    if given.rows:
        seconds = found["recognition_seconds"]
        print(f"a finished job of {given.rows} rows is recognised in {seconds:.2f} s (wanted {WANTED_SECONDS})")
    write_json(given.json, found)


if __name__ == "__main__":
    main()
