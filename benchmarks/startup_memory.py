"""How soon the first batch is done, and how much memory a large job takes.

    python benchmarks/startup_memory.py --json startup_memory.json

Start-up, EfficientNet-Lite0, warm disk, medians. The clock starts before the process is
started and is the system's monotonic one, so that both processes read the same:

- *first batch*: until the pipeline hands the first batch of predictions on, in
  ``clsbench infer`` on --images photos. A wrapper round ``Pipeline.run`` notes the time; the
  interpreter, every import, listing, reading the card and opening the session are in it.
- *whole process*: until ``clsbench infer`` on 8 photos, not wrapped, has ended, tables and
  manifest included.
- *--help*, *models* (the list), and *completion* of a model name by bash's protocol: until the process has ended.

Memory: the peak resident size (``ru_maxrss`` of that one process, from ``wait4``) of
``clsbench infer --out preds.csv`` on 100,000 images and on 1,000. The images are hard links
to 1,000 CIFAR-10 files. This process imports nothing large, because a child's peak starts
from its parent's size. Wanted: within 10 % + 50 MB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import clsbench_command, median, note, print_table, write_json

#: Runs the command line and writes the monotonic time of the first batch to the first argument.
WRAPPED = """
import sys, time
from clsbench.inference.pipeline import Pipeline
note, run_pipeline = sys.argv.pop(1), Pipeline.run

def run(self, entries):
    for number, block in enumerate(run_pipeline(self, entries)):
        if number == 0:
            with open(note, "w") as file:
                file.write(repr(time.monotonic()))
        yield block

Pipeline.run = run
from clsbench.cli.main import run as main
main()
"""

#: Commands that load little -> their words, and what bash sets beside them.
SHORT: dict[str, tuple[list[str], dict[str, str]]] = {
    "help_seconds": (["--help"], {}),
    "models_seconds": (["models"], {}),
    "completion_seconds": (
        [],
        {"_CLSBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "clsbench train --model resn", "COMP_CWORD": "3"},
    ),
}


def options(images: Path, model: Path, out: Path) -> list[str]:
    out = out.with_name(f"{time.monotonic_ns()}-{out.name}")  # infer replaces no earlier file
    return [
        "infer",
        str(images),
        "--model",
        str(model),
        "--out",
        str(out),
        "--overwrite",
        "--labels",
        "none",
        "--device",
        "cpu",
    ]


def finish(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Seconds and peak resident bytes of a command, of that one process."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **environment}
    )
    complaint = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{complaint.decode()}")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def first_batch(arguments: list[str], stamp: Path, environment: dict[str, str]) -> float:
    """Seconds from before the process started to the first batch handed on."""
    started = time.monotonic()
    finish([sys.executable, "-c", WRAPPED, str(stamp), *arguments], environment)
    return float(stamp.read_text(encoding="utf-8")) - started


def startup(given: argparse.Namespace, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Both times, run by run."""
    note("start-up: unpacking and exporting")
    distinct = pictures.photos(given.photos, folder / "distinct")
    pictures.round_robin(distinct, folder / "photos", given.images)
    pictures.round_robin(distinct, folder / "eight", 8)
    model, out = models.export_lite0(folder), folder / "preds.csv"
    firsts: list[float] = []
    wholes: list[float] = []
    short: dict[str, list[float]] = {name: [] for name in SHORT}
    for number in range(given.rounds + 1):  # the first round warms the disk's cache
        note(f"start-up: round {number} of {given.rounds}")
        first = first_batch(options(folder / "photos", model, out), folder / "stamp", environment)
        whole, _ = finish(
            [*clsbench_command(), *options(folder / "eight", model, folder / f"{number}.csv")], environment
        )
        times = {
            name: finish([*clsbench_command(), *words], {**environment, **extra})[0]
            for name, (words, extra) in SHORT.items()
        }
        if number:
            firsts.append(first)
            wholes.append(whole)
            for name, seconds in times.items():
                short[name].append(seconds)
    return {"first_batch_seconds": firsts, "whole_process_seconds": wholes, **short}


def memory(given: argparse.Namespace, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Peak resident bytes by number of images."""
    note("memory: unpacking and exporting")
    root = pictures.unpack(given.small, folder / "small", below="cifar10/test/cat") / "cifar10" / "test"
    sources = sorted(root.rglob("*.jp*g"))[:1000]
    if given.memory_model == models.LITE0:
        model = folder / f"{models.LITE0}.onnx"
    else:
        model = models.export_random(given.memory_model, folder, ["cat", "dog"])
    found = {}
    for count in (given.few, given.many):
        images = pictures.hard_links(sources, folder / f"links-{count}", count)
        command = [*clsbench_command(), *options(images, model, folder / "preds.csv")]
        if count == given.few:
            # Not counted: it may measure plans, which takes memory that the larger job would not take.
            finish([*command, "--tune", "quick"], environment)
        note(f"memory: {count} images")
        seconds, peak = finish(command, environment)
        found[count] = {"images": count, "seconds": seconds, "peak_bytes": peak}
    allowed = 1.1 * found[given.few]["peak_bytes"] + 50e6
    return {"model": given.memory_model, "runs": list(found.values()), "allowed_bytes": allowed}


def print_report(times: dict[str, Any], sizes: dict[str, Any], given: argparse.Namespace) -> None:
    names = {
        "first_batch_seconds": f"start to first batch done, {given.images} photos",
        "whole_process_seconds": "whole process, 8 photos",
        "help_seconds": "whole process, --help (wanted: 0.25)",
        "models_seconds": "whole process, models (wanted: 1.5)",
        "completion_seconds": "completion of a model name (wanted: 0.3)",
    }
    rows = [
        [text, f"{median(times[key]):.2f}", f"{min(times[key]):.2f}", f"{max(times[key]):.2f}"]
        for key, text in names.items()
    ]
    print_table(
        f"Start-up, Lite0, seconds, {given.rounds} runs (wanted: first batch under 1)",
        ("", "median", "min", "max"), rows,
    )  # fmt: skip
    cells = [[f"{r['images']}", f"{r['seconds']:.1f}", f"{r['peak_bytes'] / 1e6:.1f}"] for r in sizes["runs"]]
    print_table(f"Peak memory, {sizes['model']}, 32×32 images", ("images", "seconds", "MB"), cells)
    few, many = (run["peak_bytes"] for run in sizes["runs"])
    fits = "within" if many <= sizes["allowed_bytes"] else "BEYOND"
    print(f"\n{(many - few) / 1e6:+.1f} MB ({many / few - 1:+.1%}): {fits} 10 % + 50 MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=pictures.HYMENOPTERA, help="a tar of photos, for start-up")
    parser.add_argument("--small", type=Path, default=pictures.CIFAR10, help="CIFAR-10 as a tar, for memory")
    parser.add_argument("--images", type=int, default=64, help="photos of a start-up run")
    parser.add_argument("--rounds", type=int, default=9, help="of start-up")
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--memory-model", default="simple-cnn", choices=("simple-cnn", models.LITE0))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        environment = {"XDG_CACHE_HOME": str(folder / "cache")}
        times, sizes = startup(given, folder, environment), memory(given, folder, environment)
    print_report(times, sizes, given)
    write_json(given.json, {"startup": times, "memory": sizes})


if __name__ == "__main__":
    main()
