"""Training as a practitioner would judge it: accuracy and time, against fastai and a plain torch loop.

    python benchmarks/training.py --json training.json
    python benchmarks/training.py --peer-python /tmp/peers/bin/python --scratch /tmp/training
    python benchmarks/training.py --figures cifar --rounds 1
    python benchmarks/training.py --figures folds --fold-results folds.json --only-folds 1,2

Needs the repository with clsbench[train] and clsbench-efficientnet-lite installed, and two
archives (--hymenoptera, --cifar10). The peers need requirements.txt beside this file, in this
environment or in another (--peer-python) that also has clsbench; a peer that is not installed
is skipped, and said to be.

Four figures; the runs of a round take turns, each in a process of its own, with caches and
run directories of its own. Ratios are taken within a round; everything is a median over the
rounds. clsbench runs through its command line, and its clock (``history[].elapsed``) starts before
it builds the network or reads an image: decoding, exporting the backbone, cached features and
checkpoints are in it, imports are not. fastai's and the loop's start at the call that trains.

- *frozen*: ants and bees, pretrained EfficientNet-Lite0, the head alone is trained. Seconds until
  94.5 % of the images of val/ are right, against the whole of fastai's frozen
  ``fit_one_cycle(5)`` on the same network; also against the epoch in which fastai first got there.
- *fine-tune*: the same with the defaults of ``--recipe fine-tune``, several seeds, no peer.
- *folds*: all photos of both splits in 5 folds, the same defaults against fastai's ``fine_tune(5)``: accuracy
  of the last epoch, out of fold, by paired tests, and fit time (training_folds.py says more). Runs that
  --fold-results already has are not repeated, so it can be done in parts, and after an interruption.
- *cifar*: CIFAR-10 as class folders, simple-cnn, 5 epochs. Test accuracy, and seconds an epoch
  after the first (from the end of one to the end of the next, validation and checkpoints included),
  against the same network, batch size and optimiser in a loop over DataLoader(num_workers=2).

*process* is a whole process by the caller's clock, interpreter and imports included: nothing
can be hidden from it.

On two slow cores a round takes about ten minutes, nearly all of it the peers' (fastai 2 to 5
minutes, the loop 2 to 4), and all of it an hour or more, half of it the folds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pictures
import training_folds
from reporting import HERE, clsbench_command, note, write_json
from training_figures import (
    TARGET,
    Run,
    best_accuracy,
    cifar_figures,
    fine_tune_figures,
    frozen_figures,
    goals,
    print_cifar,
    print_fine_tune,
    print_frozen,
    print_goals,
)

FIGURES = ("frozen", "fine-tune", "folds", "cifar")
PEERS = {
    "frozen": ("fastai", "fastai-frozen-bn"),
    "folds": ("fastai-fine-tune", "fastai-fine-tune-plain"),
    "cifar": ("loop",),
}
LITE0 = ("--model", "efficientnet-lite0", "--pretrained")


def announced(name: str, train: Callable[[], Run | None]) -> Run | None:
    """A run made now."""
    note(f"  {name}")
    return train()


class Bench:
    """Images and options of one comparison."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.figures = [name for name in FIGURES if name in given.figures.split(",")]
        self.peers = [name for name in given.peers.split(",") if name]
        small = {"frozen", "fine-tune", "folds"} & set(self.figures)
        self.insects = unpacked(given.hymenoptera, folder, "hymenoptera") if small else folder
        self.cifar10 = unpacked(given.cifar10, folder, "cifar10") if "cifar" in self.figures else folder

    def frozen(self, seed: int) -> dict[str, Run]:
        """Runs by name: clsbench, then the peers there are."""
        ours = self.clsbench(self.insects, *LITE0, "--recipe", "frozen", "--seed", seed)
        return {"clsbench": ours, **self.rivals("frozen", self.insects, ["--seed", seed], ours)}

    def fine_tune(self, seed: int) -> Run:
        return self.clsbench(self.insects, *LITE0, "--recipe", "fine-tune", "--seed", seed)

    def folds(self) -> dict[int, training_folds.Fold]:
        """Runs by fold and name, those of --fold-results and those asked for now."""
        data, count, seed = training_folds.pooled(self.insects), self.given.folds, 0
        kept = training_folds.Kept(self.given.fold_results, count, seed)
        for fold in chosen_folds(self.given):
            options = [*LITE0, "--recipe", "fine-tune", "--folds", count, "--fold", fold, "--seed", seed]
            ours = kept.get(fold, "clsbench", partial(self.clsbench, data, *options, judge=True))
            with tempfile.TemporaryDirectory(dir=self.folder, prefix="split-") as work:
                split = Path(work, "fold.json")
                split.write_text(json.dumps(ours), encoding="utf-8")
                self.rivals("folds", data, ["--fold", split, "--seed", seed], ours, partial(kept.get, fold))
        return kept.runs

    def cifar(self, seed: int) -> dict[str, Run]:
        """Runs by name; the loop gets what clsbench trained with, and as many images."""
        epochs = self.given.epochs
        ours = self.clsbench(self.cifar10, "--model", "simple-cnn", "--epochs", epochs, "--seed", seed)
        options = ["--epochs", epochs, "--seed", seed, "--held-out", held_out(self.cifar10, ours["counts"])]
        for key in ("batch_size", "lr", "weight_decay", "optimizer"):
            if ours["training"].get(key) is not None:
                options += ["--" + key.replace("_", "-"), ours["training"][key]]
        return {"clsbench": ours, **self.rivals("cifar", self.cifar10, options, ours)}

    def clsbench(self, data: Path, *options: object, judge: bool = False) -> Run:
        """``clsbench train`` by the command line, in an empty folder and with empty caches; judge: also predict."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="run-") as name:
            caches = {"XDG_CACHE_HOME": f"{name}/cache"}
            command = [*clsbench_command(), "train", data, *options, "--device", "cpu", "--json", f"{name}/facts.json"]
            done, seconds = timed([*command, "--quiet"], Path(name), caches)
            if done.returncode:
                sys.exit(f"clsbench train failed:\n{done.stdout}{done.stderr}")
            facts = json.loads(Path(name, "facts.json").read_text(encoding="utf-8"))
            predictions = training_folds.last_epoch(Path(name, facts["run"]), caches) if judge else {}
        result = facts["result"]
        return {
            "history": facts["history"],
            "seconds": result["seconds"],
            "process_seconds": seconds,
            "val_accuracy": result["val_accuracy"],
            "test_accuracy": result.get("test_accuracy"),
            "counts": facts.get("counts", {}),
            "training": facts.get("training", {}),
            "classes": facts["classes"],
            "splits": {"val": facts["splits"]["val"]} if judge else {},
            "predictions": predictions,
        }

    def peers_of(self, figure: str) -> list[str]:
        """Those asked for that the figure has, less those that were not installed."""
        return [name for name in self.peers if name in PEERS[figure]]

    def rivals(
        self, figure: str, data: Path, options: Sequence[object], ours: Run, get: training_folds.Get = announced
    ) -> dict[str, Run]:
        """A figure's peers, one after the other; those that are not installed are dropped, once."""
        found = {}
        for name in self.peers_of(figure):
            run = get(name, partial(self.peer, name, data, *options))
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


def chosen_folds(given: argparse.Namespace) -> list[int]:
    """The folds to train now, from 1."""
    return [int(word) for word in given.only_folds.split(",")] if given.only_folds else [*range(1, given.folds + 1)]


def check_same_pictures(name: str, ours: dict[str, int], theirs: dict[str, int]) -> None:
    """Other images make another measurement."""
    for split in ("train", "val"):
        if split in ours and ours[split] != theirs[split]:
            sys.exit(f"clsbench has {ours[split]} {split} images, {name} {theirs[split]}")


def measure(bench: Bench) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures and the runs they come from; the figures' runs take turns within a round."""
    given = bench.given
    runs: dict[str, Any] = {name: [] for name in bench.figures}
    for seed in range(given.rounds):
        for name in [name for name in ("frozen", "cifar") if name in runs]:
            note(f"round {seed + 1} of {given.rounds}: {name}")
            runs[name].append(bench.frozen(seed) if name == "frozen" else bench.cifar(seed))
    for seed in range(given.seeds if "fine-tune" in runs else 0):
        note(f"fine-tune: seed {seed + 1} of {given.seeds}")
        runs["fine-tune"].append(bench.fine_tune(seed))
    if "folds" in runs:
        runs["folds"] = bench.folds()
    take: dict[str, Callable[[Any], dict[str, Any]]] = {
        "frozen": frozen_figures,
        "fine-tune": fine_tune_figures,
        "folds": lambda found: training_folds.figures(found, bench.peers_of("folds"), given.margin),
        "cifar": cifar_figures,
    }
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
    parser.add_argument("--folds", type=int, default=5, help="into how many the photos are split")
    parser.add_argument("--only-folds", help="of folds: those to train now, such as 1,3")
    parser.add_argument("--fold-results", type=Path, help="JSON of folds already run; added to after every run")
    parser.add_argument("--margin", type=float, default=2.0, help="of folds: points that do not matter")
    parser.add_argument(
        "--peers", default="fastai,loop,fastai-fine-tune",
        help="also fastai-frozen-bn, fastai-fine-tune-plain; empty for none",
    )  # fmt: skip
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has the peers and clsbench")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if unknown := set(given.figures.split(",")) - set(FIGURES):
        parser.error(f"unknown figure: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    if unknown := {name for name in given.peers.split(",") if name} - {p for peers in PEERS.values() for p in peers}:
        parser.error(f"unknown peer: {', '.join(sorted(unknown))}; see training_peers.py")
    if given.rounds < 1 or given.seeds < 1 or given.epochs < 2:
        parser.error("--rounds and --seeds must be at least 1, --epochs at least 2")
    if not set(chosen_folds(given)) <= set(range(1, given.folds + 1)):
        parser.error(f"--only-folds names others than 1 to {given.folds}")
    with scratch(given.scratch) as folder:
        figures, runs = measure(Bench(given, folder))
    if "frozen" in figures:
        print_frozen(figures["frozen"])
    if "fine-tune" in figures:
        print_fine_tune(figures["fine-tune"])
    if "folds" in figures:
        training_folds.print_figures(figures["folds"], given.folds)
    if "cifar" in figures:
        print_cifar(figures["cifar"], given.rounds)
    print_goals([*goals(figures), *(training_folds.goals(figures["folds"]) if "folds" in figures else [])])
    names = ("rounds", "seeds", "epochs", "folds", "margin")
    options = {**{name: getattr(given, name) for name in names}, "target": TARGET}
    write_json(given.json, {"options": options, **figures, "runs": runs})


if __name__ == "__main__":
    main()
