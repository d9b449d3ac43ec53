"""Fewer bits: what ``export --precision int8`` costs and brings, network by network.

    python benchmarks/precision.py --json precision.json
    python benchmarks/precision.py --networks simple-cnn --photos 24 --rounds 1      # a minute, to see that it runs

Each network is exported in float32, and int8 is made of that file by the command line, with ``--force``, so that a
broken budget is reported and still measured. The pretrained EfficientNet-Lite0 is judged on hymenoptera's photos, whose
folders are named as ImageNet's classes ``ant`` and ``bee``: some calibrate, the others judge. The other networks have
random weights, which do for speed; of their accuracy only the share of other top-1 is said. Then ``clsbench infer``
runs both files in turns, each with the plan that it measures for itself; the ratio is the median over the rounds. Where
the plugin clsbench-openvino is installed, the file made for ONNX Runtime is run there as well, and one is made for it.
Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import clsbench_command, infer, median, note, print_table, write_json

#: Network, photos that ``infer`` runs in each round: some seconds of work on two cores.
NETWORKS = {
    models.LITE0: 397, "resnet50": 128, "mobilenet_v3_small": 397, "efficientnet_b0": 256, "vit_b_16": 24, "swin_t": 64,
    "simple-cnn": 397,
}  # fmt: skip

#: What is measured unless others are named.
DEFAULT = [name for name in NETWORKS if name != "simple-cnn"]


def quantize(model: Path, photos: Path, *options: object) -> dict[str, Any]:
    """``export --precision int8``: the facts of its ``--json``, and what it warned of."""
    facts = model.with_suffix(".json")
    command = [*clsbench_command(), "export", model, "--precision", "int8", "--force", "--json", facts]
    command += ["--calibrate-images", photos / "calibrate", "--gate-images", photos / "judge", *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{model.name}: {done.stderr}")
    found: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
    return found


def in_turns(files: Sequence[Path], photos: Path, folder: Path, rounds: int) -> list[list[float]]:
    """Images a second of ``infer`` for each file, round by round; one uncounted run of each lets it choose its plan."""
    rates: list[list[float]] = [[] for _ in files]
    environment = {"XDG_CACHE_HOME": str(folder / "cache")}
    for number in range(rounds + 1):
        for file, found in zip(files, rates, strict=True):
            options = ("--tune", "off") if number else ("--tune", "quick")
            facts = infer(photos, file, folder / "preds.csv", *options, environment=environment)
            if number:
                found.append(facts["throughput"]["images_per_second"])
    return rates


def elsewhere(file: Path, photos: Path) -> str:
    """What ``infer`` says of a file in OpenVINO: the labels that differ, or why it is refused."""
    command = [*clsbench_command(), "infer", photos, "--model", file, "--backend", "openvino", "--labels", "none"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if "carried" in line or "answer" in line]
    return f"{'refused' if done.returncode else 'flagged'}: {' '.join(lines)}"


def measure(name: str, folder: Path, photos: Path, count: int, rounds: int) -> dict[str, Any]:
    """Everything about one network."""
    model = models.export_lite0(folder) if name == models.LITE0 else models.export_random(name, folder)
    labelled = name == models.LITE0
    note(f"{name}: quantizing")
    facts = quantize(model, photos, *(() if labelled else ("--gate-n", min(64, count))))
    file = Path(facts["file"])
    some = pictures.hard_links(sorted((photos / "judge").rglob("*.jp*g")), folder / f"some-{name}", count)
    note(f"{name}: {rounds} rounds of infer")
    before, after = in_turns([model, file], some, folder, rounds)
    ratios = [new / old for new, old in zip(after, before, strict=True)]
    found = {"name": name, "labelled": labelled, "end_to_end": median(ratios), "ratios": ratios, "before": before,
             "after": after, "export": facts}  # fmt: skip
    if labelled and find_spec("clsbench_openvino"):
        found["in_openvino"] = elsewhere(file, some)
        found["for_openvino"] = quantize(model, photos, "--for", "openvino", "--out", folder / "openvino.onnx")
    return found


def row(found: dict[str, Any], key: str = "export") -> list[str]:
    facts = found[key]
    parity, cost = facts["parity"], facts["precision"]
    drop = parity.get("drop_interval")
    lost = "-" if drop is None else f"{100 * (parity['reference_accuracy'] - parity['accuracy']):+.2f}"
    interval = "-" if drop is None else f"{drop[0]:+.2f} to {drop[1]:+.2f}"
    alone = cost["speed"] and f"{cost['speed']['model_only']['ratio']:.2f}"
    whole = f"{found['end_to_end']:.2f}" if key == "export" else f"{cost['speed']['end_to_end']['ratio']:.2f}"
    kept = f"{len(facts['card'].get('float_layers', ()))} of {cost['layers']}"
    name = found["name"] if key == "export" else f"{found['name']}, OpenVINO"
    return [name, whole, alone or "-", lost, interval, f"{1 - parity['top1_agreement']:.1%}", kept,
            f"{cost['size'] / cost['parent_size']:.2f}", "; ".join(cost["broken"]) or "kept"]  # fmt: skip


def divide(archive: Path, folder: Path, photos: int | None) -> Path:
    """The photos as ``calibrate/`` and ``judge/`` with ImageNet's names of their classes: every fifth calibrates."""
    files = pictures.photos(archive, folder / "data")
    for number, file in enumerate(files if photos is None else files[:: max(1, len(files) // photos)]):
        place = folder / ("calibrate" if number % 5 == 0 else "judge") / file.parent.name.removesuffix("s")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place / file.name)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=DEFAULT)
    parser.add_argument("--photos", type=int, help="of the archive at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        photos = divide(pictures.HYMENOPTERA, folder, given.photos)
        counts = {one: min(NETWORKS[one], given.photos or 397) for one in given.networks}
        results = [measure(one, folder, photos, count, given.rounds) for one, count in counts.items()]
    rows = [row(found, key) for found in results for key in ("export", "for_openvino") if key in found]
    columns = ("network", "× end to end", "× alone", "points lost", "95% interval", "other top-1", "in float", "size",
               "budgets")  # fmt: skip
    print_table(f"int8 against float32, medians of {given.rounds} rounds", columns, rows)
    for found in results:
        if "in_openvino" in found:
            print(f"\n{found['name']}, made for ONNX Runtime, in OpenVINO: {found['in_openvino']}")
    write_json(given.json, {"networks": results})


if __name__ == "__main__":
    main()
