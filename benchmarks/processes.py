"""Two processes against one with the same global batches: do they train the same network?

    python benchmarks/processes.py --cifar ~/data/cifar10 [--share 0.05] [--json processes.json]

A simple-cnn is trained on a part of CIFAR-10 for two epochs; from its weights, each recipe then trains with one
process and with two (gloo, on the CPU). The largest differences of losses, accuracies and final weights are printed,
and whether both runs hold the same files. Batch norm that learns sees half a batch in each process on a CPU, so
``scratch`` is shown as well, and is not expected to agree. The folder holds class folders below train/ and test/.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from reporting import call, clsbench_command, note, print_table, write_json
from safetensors.numpy import load_file

#: What is compared of each epoch.
METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")

#: Recipe -> further arguments. Of fine-tuning the statistics of batch norms stay as they are.
RECIPES = {
    "frozen": ["--recipe", "frozen", "--epochs", "3"],
    "fine-tune": ["--recipe", "fine-tune", "--epochs", "2", "--freeze-epochs", "1"],
    "scratch": ["--recipe", "scratch", "--epochs", "2"],
}


def train(arguments: list[str], run: str) -> Path:
    """Train in a process of its own; the run's directory."""
    call([*clsbench_command(), "train", *arguments, "--run", run, "--json", f"{run}.json", "-q"])
    return Path("runs", run)


def compare(one: Path, two: Path) -> dict[str, object]:
    """The largest differences of two runs, and whether they hold the same files."""
    histories = [json.loads(Path(f"{run.name}.json").read_text())["history"] for run in (one, two)]
    metrics = [abs(a[name] - b[name]) for a, b in zip(*histories, strict=True) for name in METRICS]
    weights = [load_file(run / "last.safetensors") for run in (one, two)]
    apart = [
        float(np.abs(weights[0][name] - weights[1][name]).max() / max(np.abs(weights[0][name]).max(), 1e-12))
        for name in weights[0]
        if weights[0][name].dtype == np.float32
    ]
    files = [sorted(file.name for file in run.iterdir()) for run in (one, two)]
    return {"metrics": max(metrics), "weights": max(apart), "files": files[0] == files[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", type=Path, required=True, help="class folders of CIFAR-10")
    parser.add_argument("--share", default="0.05", help="of its training images")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data, out, facts = str(options.cifar.resolve()), options.json and options.json.resolve(), {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        part = [data, "--data-fraction", options.share]
        started = train([*part, "--model", "simple-cnn", "--epochs", "2"], "start")
        for recipe, arguments in RECIPES.items():
            given = [*part, "--weights", str(started), *arguments]
            runs = [train([*given, "--devices", str(count)], f"{recipe}-{count}") for count in (1, 2)]
            facts[recipe] = compare(*runs)
            note(f"{recipe}: {facts[recipe]}")
    rows = [
        (recipe, f"{found['metrics']:.1e}", f"{found['weights']:.1e}", "yes" if found["files"] else "NO")
        for recipe, found in facts.items()
    ]
    columns = ("recipe", "metrics differ by at most", "weights, relative", "the same files")
    print_table("Two processes against one", columns, rows)
    write_json(out, facts)


if __name__ == "__main__":
    main()
