"""Training as a practitioner would judge it: accuracy and time, against fastai and a plain torch loop.

    python benchmarks/training.py --json training.json
    python benchmarks/training.py --peer-python /tmp/peers/bin/python --scratch /tmp/training
    python benchmarks/training.py --figures cifar --rounds 1

Needs the repository with clsbench[train] and clsbench-efficientnet-lite installed, and two
archives (--hymenoptera, --cifar10). The peers need requirements.txt beside this file, in this
environment or in another (--peer-python) that also has clsbench; a peer that is not installed
is skipped, and said to be.

Three figures; the runs of a round take turns, each in a process of its own, with caches and
run directories of its own. Ratios are taken within a round; everything is a median over the
rounds. clsbench runs through its command line, and its clock (``history[].elapsed``) starts before
it builds the network or reads an image: decoding, exporting the backbone, cached features and
checkpoints are in it, imports are not. fastai's and the loop's start at the call that trains.

- *frozen*: ants and bees, pretrained EfficientNet-Lite0, the head alone is trained. Seconds until
  94.5 % of the images of val/ are right, against the whole of fastai's frozen
  ``fit_one_cycle(5)`` on the same network; also against the epoch in which fastai first got there.
- *fine-tune*: the same with the defaults of ``--recipe fine-tune``, several seeds, no peer.
- *cifar*: CIFAR-10 as class folders, simple-cnn, 5 epochs. Test accuracy, and seconds an epoch
  after the first (from the end of one to the end of the next, validation and checkpoints included),
  against the same network, batch size and optimiser in a loop over DataLoader(num_workers=2).

*process* is a whole process by the caller's clock, interpreter and imports included: nothing
can be hidden from it.

On two slow cores a round takes about ten minutes, nearly all of it the peers' (fastai 2 to 5
minutes, the loop 2 to 4), and all of it half an hour to an hour; clsbench takes seconds for a
frozen head.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pictures
from reporting import HERE, clsbench_command, median, note, print_table, write_json

#: What has to be reached: see the docstring.
TARGET = 0.945
WANTED = {"frozen": 15.0, "fine-tune": 0.955, "cifar accuracy": 0.64, "cifar": 3.0}

FIGURES = ("frozen", "fine-tune", "cifar")
PEERS = {"frozen": ("fastai", "fastai-frozen-bn"), "cifar": ("loop",)}
LITE0 = ("--model", "efficientnet-lite0", "--pretrained")

Run = dict[str, Any]


class Bench:
    """Images and options of one comparison."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.figures = [name for name in FIGURES if name in given.figures.split(",")]
        self.peers = [name for name in given.peers.split(",") if name]
        small = {"frozen", "fine-tune"} & set(self.figures)
        self.insects = unpacked(given.hymenoptera, folder, "hymenoptera") if small else folder
        self.cifar10 = unpacked(given.cifar10, folder, "cifar10") if "cifar" in self.figures else folder

    def frozen(self, seed: int) -> dict[str, Run]:
        """Runs by name: clsbench, then the peers there are."""
        ours = self.clsbench(self.insects, *LITE0, "--recipe", "frozen", "--seed", seed)
        return {"clsbench": ours, **self.rivals("frozen", self.insects, ["--seed", seed], ours)}

    def fine_tune(self, seed: int) -> Run:
        return self.clsbench(self.insects, *LITE0, "--recipe", "fine-tune", "--seed", seed)

    def cifar(self, seed: int) -> dict[str, Run]:
        """Runs by name; the loop gets what clsbench trained with, and as many images."""
        epochs = self.given.epochs
        ours = self.clsbench(self.cifar10, "--model", "simple-cnn", "--epochs", epochs, "--seed", seed)
        options = ["--epochs", epochs, "--seed", seed, "--held-out", held_out(self.cifar10, ours["counts"])]
        for key in ("batch_size", "lr", "weight_decay", "optimizer"):
            if ours["training"].get(key) is not None:
                options += ["--" + key.replace("_", "-"), ours["training"][key]]
        return {"clsbench": ours, **self.rivals("cifar", self.cifar10, options, ours)}

    def clsbench(self, data: Path, *options: object) -> Run:
        """``clsbench train`` by the command line, in an empty folder and with empty caches."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="run-") as name:
            command = [*clsbench_command(), "train", data, *options, "--device", "cpu", "--json", f"{name}/facts.json"]
            done, seconds = timed([*command, "--quiet"], Path(name), {"XDG_CACHE_HOME": f"{name}/cache"})
            if done.returncode:
                sys.exit(f"clsbench train failed:\n{done.stdout}{done.stderr}")
            facts = json.loads(Path(name, "facts.json").read_text(encoding="utf-8"))
        result = facts["result"]
        return {
            "history": facts["history"],
            "seconds": result["seconds"],
            "process_seconds": seconds,
            "val_accuracy": result["val_accuracy"],
            "test_accuracy": result.get("test_accuracy"),
            "counts": facts.get("counts", {}),
            "training": facts.get("training", {}),
        }

    def rivals(self, figure: str, data: Path, options: Sequence[object], ours: Run) -> dict[str, Run]:
        """A figure's peers, one after the other; those that are not installed are dropped, once."""
        found = {}
        for name in [name for name in self.peers if name in PEERS[figure]]:
            note(f"  {name}")
            run = self.peer(name, data, *options)
            if run is None:
                self.peers.remove(name)
            else:
                check_same_pictures(name, ours["counts"], run["counts"])
                found[name] = run
        return found

    def peer(self, name: str, data: Path, *options: object) -> Run | None:
        """What a peer reached, or None where it is not installed."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="peer-") as work:
            out = Path(work, "peer.json")
            command = [self.given.peer_python, HERE / "training_peers.py", "--peer", name, "--data", data, *options]
            hidden = {"CUDA_VISIBLE_DEVICES": "", "FASTAI_HOME": work}
            done, seconds = timed([*command, "--json", out], Path(work), hidden)
            if done.returncode == 3:
                print(f"skipped: {done.stderr.strip().splitlines()[-1]}")
                return None
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
            run = json.loads(out.read_text(encoding="utf-8"))
        return {**run, "val_accuracy": best_accuracy(run), "process_seconds": seconds}


def timed(command: Sequence[object], cwd: Path, environment: dict[str, str]) -> tuple[Any, float]:
    """Run a command to its end, well or badly; its result and its seconds."""
    words, started = [str(word) for word in command], time.perf_counter()
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    return done, time.perf_counter() - started


def unpacked(archive: Path, folder: Path, name: str) -> Path:
    """The top folder of an archive, unpacked whole and only once."""
    if not (folder / name).is_dir():
        if not archive.is_file():
            sys.exit(f"there is no {archive}: name a tar that holds {name}/ with --{name}, or leave the figure out")
        note(f"unpacking {archive.name}")
        with tempfile.TemporaryDirectory(dir=folder, prefix="unpack-") as partial:
            (pictures.unpack(archive, Path(partial)) / name).rename(folder / name)
    return folder / name


def held_out(data: Path, counts: dict[str, int]) -> int:
    """How many of the training images clsbench kept for validation; 0 where it validated on test/."""
    files = sum(1 for _ in (data / "train").rglob("*.jpg"))
    return files - counts.get("train", files)


def check_same_pictures(name: str, ours: dict[str, int], theirs: dict[str, int]) -> None:
    """Other images make another measurement."""
    for split in ("train", "val"):
        if split in ours and ours[split] != theirs[split]:
            sys.exit(f"clsbench has {ours[split]} {split} images, {name} {theirs[split]}")


def best_accuracy(run: Run) -> float:
    return max(float(epoch["val_accuracy"]) for epoch in run["history"])


def to_target(run: Run) -> float | None:
    """Seconds until the end of the first epoch with the accuracy wanted, if there is one."""
    return next((e["elapsed"] for e in run["history"] if e["val_accuracy"] >= TARGET), None)


def later_epochs(run: Run) -> float:
    """Seconds an epoch after the first, from end to end."""
    return median(after["elapsed"] - before["elapsed"] for before, after in pairwise(run["history"]))


def ratio(theirs: float | None, ours: float | None) -> float | None:
    return theirs / ours if theirs is not None and ours else None


def middle(values: Sequence[float | None]) -> float | None:
    """The median, or None where a value is missing: a run that never got there has no time."""
    known = [value for value in values if value is not None]
    return median(known) if known and len(known) == len(values) else None


def compare(rounds: list[dict[str, Run]], measures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> measure -> median; for peers also ``× measure``, the median ratio to clsbench's."""
    found: dict[str, dict[str, Any]] = {}
    for name in rounds[0]:
        runs = [r[name] for r in rounds]
        found[name] = {key: middle([take(run) for run in runs]) for key, take in measures.items()}
        if name != "clsbench":
            for key, take in measures.items():
                found[name][f"× {key}"] = middle([ratio(take(r[name]), take(r["clsbench"])) for r in rounds])
    return found


def frozen_figures(rounds: list[dict[str, Run]]) -> dict[str, Any]:
    measures = {
        "to_target": to_target,
        "seconds": lambda run: run["seconds"],
        "process_seconds": lambda run: run["process_seconds"],
        "val_accuracy": best_accuracy,
        "last_accuracy": lambda run: run["history"][-1]["val_accuracy"],
    }
    found = compare(rounds, measures)
    for name in found:
        if name != "clsbench":
            pairs = [(r[name]["seconds"], to_target(r["clsbench"])) for r in rounds]
            found[name]["× wanted"] = middle([ratio(*pair) for pair in pairs])
    reached = sum(to_target(r["clsbench"]) is not None for r in rounds)
    return {"reached": reached, "rounds": len(rounds), "runs": found}


def fine_tune_figures(runs: list[Run]) -> dict[str, Any]:
    accuracies = [best_accuracy(run) for run in runs]
    return {
        "accuracies": accuracies,
        "median": median(accuracies),
        "min": min(accuracies),
        "to_target": middle([to_target(run) for run in runs]),
        "seconds": median(run["seconds"] for run in runs),
        "process_seconds": median(run["process_seconds"] for run in runs),
    }


def test_accuracy(run: Run) -> float:
    """On test/, also where that had to serve as validation: then of the last epoch, not the best."""
    tested = run.get("test_accuracy")
    return float(run["history"][-1]["val_accuracy"] if tested is None else tested)


def cifar_figures(rounds: list[dict[str, Run]]) -> dict[str, Any]:
    measures = {
        "epoch_seconds": later_epochs,
        "first_epoch_seconds": lambda run: run["history"][0]["elapsed"],
        "seconds": lambda run: run["seconds"],
        "process_seconds": lambda run: run["process_seconds"],
        "val_accuracy": best_accuracy,
        "test_accuracy": test_accuracy,
    }
    ours = rounds[0]["clsbench"]
    return {"counts": ours["counts"], "training": ours["training"], "runs": compare(rounds, measures)}


def number(value: float | None, form: str, missing: str = "–") -> str:
    return missing if value is None else format(value, form)


def print_frozen(found: dict[str, Any]) -> None:
    rows = []
    for name, run in found["runs"].items():
        times = [number(run[key], ".2f") for key in ("to_target", "seconds", "process_seconds")]
        ratios = [number(run.get(f"× {key}"), ".1f", "") for key in ("to_target", "seconds", "process_seconds")]
        accuracies = [number(run[key], ".1%") for key in ("val_accuracy", "last_accuracy")]
        rows.append([name, *times, *ratios, *accuracies])
    print_table(
        f"Ants and bees, EfficientNet-Lite0, frozen backbone: seconds, medians of {found['rounds']} rounds "
        f"(clsbench reached {TARGET:.1%} in {found['reached']})",
        ("", f"to {TARGET:.1%}", "all epochs", "process", "× to", "× all", "× process", "best val", "last val"),
        rows,
    )


def print_fine_tune(found: dict[str, Any]) -> None:
    each = ", ".join(f"{accuracy:.1%}" for accuracy in found["accuracies"])
    times = [number(found[key], ".1f") for key in ("to_target", "seconds", "process_seconds")]
    print_table(
        f"The same, fine-tuned: {len(found['accuracies'])} seeds ({each})",
        ("", "best val, median", "min", f"s to {TARGET:.1%}", "s all epochs", "s process"),
        [["clsbench", f"{found['median']:.1%}", f"{found['min']:.1%}", *times]],
    )


def print_cifar(found: dict[str, Any], rounds: int) -> None:
    keys = ("epoch_seconds", "first_epoch_seconds", "seconds", "process_seconds")
    rows = []
    for name, run in found["runs"].items():
        ratios = [number(run.get(f"× {key}"), ".1f", "") for key in ("epoch_seconds", "process_seconds")]
        accuracies = [number(run[key], ".1%") for key in ("val_accuracy", "test_accuracy")]
        rows.append([name, *(number(run[key], ".1f") for key in keys), *ratios, *accuracies])
    counts = ", ".join(f"{count} {split}" for split, count in found["counts"].items())
    columns = ("", "epoch after the first", "first", "all", "process", "× epoch", "× process", "best val", "test")
    print_table(f"CIFAR-10 files ({counts}), simple-cnn: seconds, medians of {rounds} rounds", columns, rows)


def goals(figures: dict[str, Any]) -> Iterator[tuple[str, float | None, float, str]]:
    """(figure, measured, wanted, format) of what has to be shown."""
    if frozen := figures.get("frozen"):
        found = frozen["runs"].get("fastai", {}).get("× wanted") if frozen["reached"] == frozen["rounds"] else 0.0
        yield f"frozen: × fastai's fit_one_cycle(5), to {TARGET:.1%} val", found, WANTED["frozen"], ".1f"
    if tuned := figures.get("fine-tune"):
        yield "fine-tune: best val accuracy, median of the seeds", tuned["median"], WANTED["fine-tune"], ".1%"
    if cifar := figures.get("cifar"):
        accuracy = cifar["runs"]["clsbench"]["test_accuracy"]
        yield "cifar: test accuracy", accuracy, WANTED["cifar accuracy"], ".1%"
        found = cifar["runs"].get("loop", {}).get("× epoch_seconds")
        yield "cifar: × the plain loop, an epoch after the first", found, WANTED["cifar"], ".1f"


def print_goals(figures: dict[str, Any]) -> None:
    rows = []
    for figure, found, wanted, form in goals(figures):
        met = "" if found is None else "yes" if found >= wanted else "no"
        rows.append([figure, number(found, form), format(wanted, form), met])
    print_table("What it must show", ("figure", "measured", "wanted", "met"), rows)


def measure(bench: Bench) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures and the runs they come from; the figures' runs take turns within a round."""
    given = bench.given
    runs: dict[str, list[Any]] = {name: [] for name in bench.figures}
    for seed in range(given.rounds):
        for name in [name for name in ("frozen", "cifar") if name in runs]:
            note(f"round {seed + 1} of {given.rounds}: {name}")
            runs[name].append(bench.frozen(seed) if name == "frozen" else bench.cifar(seed))
    for seed in range(given.seeds if "fine-tune" in runs else 0):
        note(f"fine-tune: seed {seed + 1} of {given.seeds}")
        runs["fine-tune"].append(bench.fine_tune(seed))
    take = {"frozen": frozen_figures, "fine-tune": fine_tune_figures, "cifar": cifar_figures}
    return {name: take[name](found) for name, found in runs.items()}, runs


@contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """The folder asked for, which stays, or a temporary one."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
            yield Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hymenoptera", type=Path, default=pictures.HYMENOPTERA, help="a tar with hymenoptera/")
    parser.add_argument("--cifar10", type=Path, default=pictures.CIFAR10, help="a tar with cifar10/")
    parser.add_argument("--scratch", type=Path, help="where to unpack (400 MB) and train; kept, and used again")
    parser.add_argument("--figures", default=",".join(FIGURES), help="names with commas between them")
    parser.add_argument("--rounds", type=int, default=3, help="of frozen and cifar, each with a seed of its own")
    parser.add_argument("--seeds", type=int, default=5, help="of fine-tune")
    parser.add_argument("--epochs", type=int, default=5, help="of cifar, at least 2; fastai's are always 5")
    parser.add_argument("--peers", default="fastai,loop", help="also fastai-frozen-bn; empty for none")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has the peers and clsbench")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if unknown := set(given.figures.split(",")) - set(FIGURES):
        parser.error(f"unknown figure: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    if unknown := {name for name in given.peers.split(",") if name} - {p for peers in PEERS.values() for p in peers}:
        parser.error(f"unknown peer: {', '.join(sorted(unknown))}; see training_peers.py")
    if given.rounds < 1 or given.seeds < 1 or given.epochs < 2:
        parser.error("--rounds and --seeds must be at least 1, --epochs at least 2")
    with scratch(given.scratch) as folder:
        figures, runs = measure(Bench(given, folder))
    if "frozen" in figures:
        print_frozen(figures["frozen"])
    if "fine-tune" in figures:
        print_fine_tune(figures["fine-tune"])
    if "cifar" in figures:
        print_cifar(figures["cifar"], given.rounds)
    print_goals(figures)
    options = {"rounds": given.rounds, "seeds": given.seeds, "epochs": given.epochs, "target": TARGET}
    write_json(given.json, {"options": options, **figures, "runs": runs})


if __name__ == "__main__":
    main()
