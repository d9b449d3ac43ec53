"""Trainings that are killed and resumed against uninterrupted ones, and the time that checkpoints cost.

    python benchmarks/resume.py --data ~/data/hymenoptera --cifar ~/data/cifar10 [--kills 5] [--json resume.json]
    python benchmarks/resume.py --cifar ~/data/cifar10 --cost

Each training runs once undisturbed, and once more in processes that get SIGKILL at random points of its time and are
resumed each time; weights and logs (but for the times in them) are then compared byte by byte. With ``--cost``,
simple-cnn is trained on a part of CIFAR-10 and the clock is read around everything that writes checkpoints, log and
run.json: their share of the training. Both folders hold class folders, CIFAR-10's below train/ and test/.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from clsbench.runs import Run
from clsbench.training.run_state import read_state

COMMAND = [sys.executable, "-m", "clsbench", "train"]


def trainings(options: argparse.Namespace) -> dict[str, list[str]]:
    """Name -> arguments of ``clsbench train``."""
    found = {}
    if options.data:
        net = ["--model", options.model, "--pretrained"]
        found[f"ants and bees, fine-tune {options.model}"] = [
            str(options.data), *net, "--epochs", "3", "--freeze-epochs", "1", "--batch-size", "16",
        ]  # fmt: skip
    if options.cifar:
        share = ["--data-fraction", str(options.share), "--epochs", "3"]
        found["CIFAR-10, simple-cnn"] = [str(options.cifar), "--model", "simple-cnn", *share]
    return found


def uninterrupted(arguments: list[str], run: str) -> float:
    """Train once; the seconds it took."""
    started = time.perf_counter()
    subprocess.run([*COMMAND, *arguments, "--run", run, "-q"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def killed(arguments: list[str], run: Path, points: list[int], chance: random.Random) -> list[str]:
    """Train with a kill soon after each of so many steps; where the next process went on from, as ``epoch/batch``."""
    places, resumed = [], ["--resume", str(run)]
    for point in points:
        begun = (run / "run.json").exists()
        process = subprocess.Popen(
            [*COMMAND, *(resumed if begun else [*arguments, "--checkpoint-every", "3", "--run", run.name]), "-q"],
            stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while position(run)[1] < point:
            if process.poll() is not None:
                raise SystemExit(f"a training ended by itself with {process.returncode}")
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.7))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        places.append(position(run)[0])
    subprocess.run([*COMMAND, *resumed, "-q"], check=True, stdout=subprocess.DEVNULL)
    return places


def position(run: Path) -> tuple[str, int]:
    """Epoch and batch of the state that the next process goes on from, and how many steps it is of."""
    file = run / "state.safetensors"
    if not file.exists():
        return "start", -1
    parts = read_state(file).parts
    history, rates = parts["run"]["history"], parts["rates"]["rates"]
    assert isinstance(history, list)
    return f"{len(history) + 1}/{parts.get('epoch', {}).get('batch', 0)}", len(rates)  # type: ignore[arg-type]


def same(one: Path, other: Path) -> dict[str, bool]:
    """Which files of two runs hold the same."""
    found = {}
    for name in ("best.safetensors", "last.safetensors"):
        first, second = load_file(one / name), load_file(other / name)
        found[name] = first.keys() == second.keys() and all(
            first[key].tobytes() == second[key].tobytes() and first[key].shape == second[key].shape for key in first
        )
    logs = [list(csv.DictReader((run / "log.csv").open(newline=""))) for run in (one, other)]
    for line in [line for log in logs for line in log]:
        for measured in ("seconds", "elapsed", "images_per_second", "waited"):
            del line[measured]
    return {**found, "log.csv": logs[0] == logs[1]}


def cost(options: argparse.Namespace) -> list[dict[str, object]]:
    """Seconds of whole trainings, and of what they wrote meanwhile."""
    from clsbench import train
    from clsbench.training import loop, training_run
    from clsbench.training.checkpoints import Checkpoints
    from clsbench.training.journal import Journal

    spent, within = [0.0], [False]

    def timed(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def run(*arguments: Any, **named: Any) -> Any:
            if within[0]:  # its caller's clock runs
                return function(*arguments, **named)
            started, within[0] = time.perf_counter(), True
            try:
                return function(*arguments, **named)
            finally:
                spent[0] += time.perf_counter() - started
                within[0] = False

        setattr(owner, name, run)

    vars(training_run)["save_plots"] = lambda *_, **__: None
    timed(loop, "write_log")
    for name in ("keep", "write", "write_state"):
        timed(Checkpoints, name)
    timed(loop.Trainer, "parts")
    timed(Journal, "saved")
    rows: list[dict[str, object]] = []
    for number in range(options.repeats):
        spent[0] = 0.0
        result = train(options.cifar, data_fraction=options.share, epochs=options.epochs, run=f"cost{number}")
        total = sum(epoch.seconds for epoch in result.history)
        rows.append({"training_s": total, "writing_s": spent[0], "share": spent[0] / total})
        print(f"training {total:.1f} s, of it writing {spent[0]:.3f} s: {spent[0] / total:.2%}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="ants and bees, or other class folders")
    parser.add_argument("--cifar", type=Path, help="class folders of CIFAR-10")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--share", type=float, default=0.1, help="of CIFAR-10's training images")
    parser.add_argument("--epochs", type=int, default=5, help="of --cost")
    parser.add_argument("--repeats", type=int, default=3, help="of --cost")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cost", action="store_true", help="measure what checkpoints cost instead")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.data, options.cifar = (p.resolve() if p else None for p in (options.data, options.cifar))
    out = options.json.resolve() if options.json else None
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if options.cost:
            rows += cost(options)
        else:
            for number, (name, arguments) in enumerate(trainings(options).items()):
                whole, again = Path("runs", f"whole{number}"), Path("runs", f"killed{number}")
                seconds = uninterrupted(arguments, whole.name)
                record, chance = Run(whole).read_record(), random.Random(options.seed)
                steps = record.counts["train"] // int(record.training["batch_size"] or 1) * (record.epochs_asked or 0)
                points = sorted(chance.sample(range(max(1, steps - 8)), options.kills))
                places = killed(arguments, again, points, chance)
                found = same(whole, again)
                rows.append({"training": name, "seconds": seconds, "resumed_at": places, "same": found})
                print(f"{name}: {seconds:.0f} s, {steps} steps; killed {len(places)} times, resumed at epoch/batch")
                print(f"  {', '.join(places)}")
                for file, equal in found.items():
                    print(f"  {file}: {'the same bits' if equal else 'DIFFERENT'}")
    if out:
        out.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
