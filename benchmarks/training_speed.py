"""Images a second of full fine-tuning, through ``clsbench train`` and in a plain torch loop.

    python benchmarks/training_speed.py --json speed.json
    python benchmarks/training_speed.py --models resnet18 --rounds 1 --epochs 1

Needs the repository with clsbench[train] and clsbench-efficientnet-lite installed, and an archive (--hymenoptera).

Ants and bees at 224 pixels, batches of 32, augmentation, the whole network from the first epoch on: EfficientNet-Lite0
from its published weights, ResNet-18 from a file of random ones, which learns as fast and needs no download.

- *clsbench*: ``train --recipe fine-tune --freeze-epochs 0`` and defaults otherwise, in a process of its own.
- *loop*: what the tutorials write, in another: the same network, ImageFolder, RandomResizedCrop, flip, ToTensor,
  Normalize, DataLoader(num_workers=2), AdamW with one rate, float32, default memory format; it validates after every
  epoch, and its batch norms learn, as nobody would have told them not to.

The measure is training images over the seconds of an epoch after the first, from end to end, validation included;
decoding is in both. clsbench reads its images once before the first epoch: *process* has that, and all else, by the
caller's clock. Rounds are interleaved, ratios are taken within a round, all is a median over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pictures
from reporting import HERE, clsbench_command, median, note, print_table, write_json

#: Times the loop's images a second that are wanted.
WANTED = 2.0

MODELS = ("efficientnet-lite0", "resnet18")
SIZE, BATCH, WORKERS, RATE = 224, 32, 2, 7.5e-4

Run = dict[str, Any]


def network(name: str, classes: int, weights: Path | None) -> Any:
    """The classifier that clsbench builds."""
    from clsbench.testing import installed

    component = installed("model", name)
    return component.build(classes, weights=weights) if weights else component.build(classes, pretrained=True)


def random_weights(folder: Path) -> Path:
    """A file of random weights for ResNet-18, always the same."""
    import torch
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    torch.manual_seed(0)
    file = folder / "resnet18.safetensors"
    save_file(resnet18(num_classes=2).state_dict(), file)
    return file


def loop(given: argparse.Namespace) -> Run:
    """The plain loop."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import (
        CenterCrop,
        Compose,
        Normalize,
        RandomHorizontalFlip,
        RandomResizedCrop,
        Resize,
        ToTensor,
    )

    torch.manual_seed(given.seed)
    classifier = network(given.loop, 2, given.weights)
    model = nn.Sequential(classifier.backbone, classifier.head)
    pixels = [ToTensor(), Normalize(classifier.transform.mean, classifier.transform.std)]
    drawn = Compose([RandomResizedCrop(SIZE, scale=(0.35, 1.0)), RandomHorizontalFlip(), *pixels])
    train = ImageFolder(str(given.data / "train"), drawn)
    val = ImageFolder(str(given.data / "val"), Compose([Resize(256), CenterCrop(SIZE), *pixels]))
    batches = DataLoader(train, BATCH, shuffle=True, drop_last=True, num_workers=WORKERS)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=given.epochs * len(batches) + 1)
    history, started = [], time.perf_counter()
    for _ in range(given.epochs):
        model.train()
        for images, labels in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum(
                int((model(images).argmax(1) == labels).sum())
                for images, labels in DataLoader(val, BATCH, num_workers=WORKERS)
            )
        history.append({"val_accuracy": right / len(val), "elapsed": time.perf_counter() - started})
    return {"history": history, "images": len(batches) * BATCH}


def clsbench(given: argparse.Namespace, name: str, data: Path, work: Path, seed: int) -> Run:
    """``clsbench train``, by the command line."""
    start = ["--weights", given.weights] if name == "resnet18" else ["--pretrained"]
    command = [
        *clsbench_command(), "train", data, "--model", name, *start, "--recipe", "fine-tune", "--freeze-epochs", 0,
        "--epochs", given.epochs, "--batch-size", BATCH, "--lr", RATE, "--seed", seed, "--device", "cpu", "--quiet",
        "--json", "facts.json",
    ]  # fmt: skip
    seconds = ended([*command, *given.clsbench_options.split()], work)
    facts = json.loads((work / "facts.json").read_text(encoding="utf-8"))
    images = facts["counts"]["train"] // BATCH * BATCH
    return {
        "history": facts["history"], "images": images, "process": seconds, "precision": facts["precision"],
    }  # fmt: skip


def plain(given: argparse.Namespace, name: str, data: Path, work: Path, seed: int) -> Run:
    """The loop, in a process of its own."""
    words = [sys.executable, __file__, "--loop", name, "--data", data, "--epochs", given.epochs, "--seed", seed]
    words += ["--weights", given.weights] if name == "resnet18" else []
    seconds = ended([*words, "--json", "loop.json"], work)
    run: Run = json.loads((work / "loop.json").read_text(encoding="utf-8"))
    return {**run, "process": seconds, "precision": "float32"}


def ended(command: Sequence[object], work: Path) -> float:
    """Run a command to its end; its seconds."""
    started = time.perf_counter()
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run(
        [str(word) for word in command], cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def rate(run: Run) -> float:
    """Training images a second of the epochs after the first, from end to end; of the only one where it is one."""
    elapsed = [epoch["elapsed"] for epoch in run["history"]]
    seconds = [after - before for before, after in pairwise(elapsed)] or [run["history"][0].get("seconds", elapsed[0])]
    return float(run["images"]) / median(seconds)


def accuracy(run: Run) -> float:
    """The best on val/."""
    return max(float(epoch["val_accuracy"]) for epoch in run["history"])


def measure(given: argparse.Namespace, data: Path, folder: Path) -> dict[str, list[dict[str, Run]]]:
    """The runs of each network, round by round."""
    found: dict[str, list[dict[str, Run]]] = {name: [] for name in given.models.split(",")}
    for number in range(given.rounds):
        for name, rounds in found.items():
            runs = {}
            for kind, train in (("clsbench", clsbench), ("loop", plain)):
                note(f"round {number + 1} of {given.rounds}: {name}, {kind}")
                with tempfile.TemporaryDirectory(dir=folder) as work:
                    runs[kind] = train(given, name, data, Path(work), number)
                note(f"  {rate(runs[kind]):.1f} images/s, {accuracy(runs[kind]):.1%}, {runs[kind]['precision']}")
            rounds.append(runs)
    return found


def figures(found: dict[str, list[dict[str, Run]]]) -> dict[str, dict[str, float]]:
    """Network -> measure -> median over the rounds."""
    return {
        name: {
            "clsbench": median(rate(r["clsbench"]) for r in rounds),
            "loop": median(rate(r["loop"]) for r in rounds),
            "ratio": median(rate(r["clsbench"]) / rate(r["loop"]) for r in rounds),
            "process ratio": median(r["loop"]["process"] / r["clsbench"]["process"] for r in rounds),
            "accuracy": median(accuracy(r["clsbench"]) for r in rounds),
            "loop accuracy": median(accuracy(r["loop"]) for r in rounds),
        }
        for name, rounds in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hymenoptera", type=Path, default=pictures.HYMENOPTERA, help="a tar with hymenoptera/")
    parser.add_argument("--models", default=",".join(MODELS), help="names with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--clsbench-options", default="", help="further options, such as '--precision fp32'")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--loop", choices=MODELS, help="be the plain loop on --data; what this script starts itself")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.loop:
        given.json.write_text(json.dumps(loop(given)), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory(prefix="clsbench-") as folder:
        data = pictures.unpack(given.hymenoptera, Path(folder)) / "hymenoptera"
        given.weights = random_weights(Path(folder))
        runs = measure(given, data, Path(folder))
    found = figures(runs)
    columns = ("network", "clsbench, images/s", "loop", "ratio", "whole process", "accuracy", "loop's")
    rows = [
        [name, f"{f['clsbench']:.1f}", f"{f['loop']:.1f}", f"{f['ratio']:.2f} ×", f"{f['process ratio']:.2f} ×",
         f"{f['accuracy']:.1%}", f"{f['loop accuracy']:.1%}"]
        for name, f in found.items()
    ]  # fmt: skip
    print_table(f"Full fine-tuning at {SIZE} pixels (wanted: {WANTED:g} ×)", columns, rows)
    write_json(given.json, {"rounds": given.rounds, "epochs": given.epochs, "figures": found, "runs": runs})


if __name__ == "__main__":
    main()
