"""Small images: 10,000 CIFAR-10 files (32×32 JPEG), simple-cnn with random weights.

    python benchmarks/small_images.py --json small.json

Runs ``clsbench infer … --out preds.csv`` through the command line. One uncounted run lets it
choose its plan. Prints images/s (median over the rounds) and the stage table of the median
run: core ms and wall ms an image by stage. ``outside of the stages`` is what the cores had
to give in that time and no stage used: Python between the stages, waiting for the
interpreter lock, handing over, and whatever else the machine did.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import infer, median, note, print_table, write_json

STAGES = ("read", "decode", "resize", "copy", "inference", "post", "write", "wait")


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
    rest = total - sum(core.values())
    return [*rows, ["outside of the stages", f"{rest:.4f}", "", f"{rest / total:.1%}"], ["sum", f"{total:.4f}", "", ""]]


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
            runs.append(infer(chosen, model, folder / "preds.csv", environment=environment))
    counted = sorted((r["throughput"] for r in runs[1:]), key=lambda facts: facts["images_per_second"])
    middle, plan = counted[len(counted) // 2], runs[-1]["options"]
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
