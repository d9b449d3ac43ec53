"""Small images: 10,000 CIFAR-10 files (32×32 JPEG), simple-cnn with random weights.

    python benchmarks/small_images.py --json small.json

Runs ``clsbench infer … --out preds.csv`` through the command line. One uncounted run lets it
choose its plan. Prints images/s (median over the rounds) and the stage table of the median
run: core ms and wall ms an image by stage. What the cores had to give in that time and no
stage used is told apart: Python between the stages; other programs, by what they used while
the command ran; and cores without work, mostly because one thread waits for another's
interpreter lock. On a busy machine read the share of the cores' time that others left.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import infer, median, note, print_table, write_json

STAGES = ("read", "decode", "resize", "copy", "inference", "post", "write", "wait")


def used_by_all() -> float:
    """Core-seconds that the machine has been busy since it started; 0 where the system does not say (Linux does)."""
    try:
        numbers = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
    except OSError:
        return 0.0
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


def watched(*job: Path, environment: dict[str, str]) -> dict[str, Any]:
    """The facts of a run, and ``others``: how many cores other programs used in the meantime."""

    def used() -> tuple[float, float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), used_by_all(), children.ru_utime + children.ru_stime

    before = used()
    facts = infer(*job, environment=environment)
    seconds, everything, ours = (now - then for now, then in zip(used(), before, strict=True))
    others = max(0.0, everything - ours) / seconds
    return {**facts["throughput"], "others": others, "plan": facts["options"]}


def stage_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Stage, core ms, wall ms (all threads together), share of the cores' time."""
    core, total = facts["core_ms_per_image"], 1000 * facts["cores"] / facts["images_per_second"]
    rows = []
    for stage in STAGES:
        spent = core.get(stage)
        wall = f"{facts[f'{stage}_ms_per_image']:.4f}"
        rows.append(
            [stage, "" if spent is None else f"{spent:.4f}", wall, "" if spent is None else f"{spent / total:.1%}"]
        )
    stages, process = sum(core.values()), facts["process_core_ms_per_image"]
    others = min(1000 * facts["others"] / facts["images_per_second"], total - process)
    rest = {
        "Python between the stages": process - stages,
        "other programs": others,
        "no core at work": total - process - others,
        "sum": total,
    }
    rows += [[name, f"{spent:.4f}", "", f"{spent / total:.1%}"] for name, spent in rest.items()]
    return [*rows, ["stages, of what others left", f"{stages:.4f}", "", f"{stages / (total - others):.1%}"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.CIFAR10, help="a tar with cifar10/test/<class>/")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        note("unpacking and exporting")
        root = pictures.unpack(given.data, folder / "data", below="cifar10/test/") / "cifar10" / "test"
        classes = sorted(entry.name for entry in root.iterdir())
        files = sorted(root.rglob("*.jp*g"))
        chosen = pictures.hard_links(files[:: max(1, len(files) // given.files)], folder / "files", given.files)
        model = models.export_random("simple-cnn", folder, classes)
        runs = []
        for number in range(given.rounds + 1):
            note(f"run {number} of {given.rounds}" + ("" if number else " (not counted)"))
            environment = {"XDG_CACHE_HOME": str(folder / "cache")}
            runs.append(watched(chosen, model, folder / "preds.csv", environment=environment))
    counted = sorted(runs[1:], key=lambda facts: facts["images_per_second"])
    middle, plan = counted[len(counted) // 2], runs[-1]["plan"]
    rates = {key: median(f[key] for f in counted) for key in ("images_per_second", "steady_images_per_second", "limit")}
    print_table(
        f"{given.files} images of 32×32, simple-cnn, medians of {given.rounds} runs",
        ("", "images/s"),
        [["overall", f"{rates['images_per_second']:.0f}"], ["steady", f"{rates['steady_images_per_second']:.0f}"],
         ["limit by the run's own account", f"{rates['limit']:.0f}"], ["wanted", "5000"]],
    )  # fmt: skip
    print("\nplan: {streams} streams × {threads} threads, batches of {batch_size} ({plan})".format(**plan))
    columns = ("stage", "core ms", "wall ms", "of the cores' time")
    print_table(
        f"Where the time of the median run went ({middle['images_per_second']:.0f}/s)", columns, stage_rows(middle)
    )
    print(f"\n{middle['verdict']}")
    write_json(given.json, {**rates, "files": given.files, "plan": plan, "median_run": middle, "runs": counted})


if __name__ == "__main__":
    main()
