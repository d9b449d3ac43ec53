"""What the runs of training.py come to: times and accuracies, ratios to the peers', tables and goals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from reporting import median, print_table

#: What has to be reached: see the docstring of training.py.
TARGET = 0.945
WANTED = {"frozen": 15.0, "fine-tune": 0.955, "cifar accuracy": 0.64, "cifar": 3.0}

Run = dict[str, Any]


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


@dataclass(frozen=True)
class Goal:
    """A figure that has to be reached, or with ``at_most`` not to be exceeded."""

    figure: str
    measured: float | None
    wanted: float
    form: str
    at_most: bool = False

    def row(self) -> list[str]:
        met = ""
        if self.measured is not None:
            met = "yes" if (self.measured <= self.wanted if self.at_most else self.measured >= self.wanted) else "no"
        wanted = ("≤ " if self.at_most else "≥ ") + format(self.wanted, self.form)
        return [self.figure, number(self.measured, self.form), wanted, met]


def goals(figures: dict[str, Any]) -> Iterator[Goal]:
    """What has to be shown, of the figures there are; those of the folds: see training_folds.py."""
    if frozen := figures.get("frozen"):
        found = frozen["runs"].get("fastai", {}).get("× wanted") if frozen["reached"] == frozen["rounds"] else 0.0
        yield Goal(f"frozen: × fastai's fit_one_cycle(5), to {TARGET:.1%} val", found, WANTED["frozen"], ".1f")
    if tuned := figures.get("fine-tune"):
        yield Goal("fine-tune: best val accuracy, median of the seeds", tuned["median"], WANTED["fine-tune"], ".1%")
    if cifar := figures.get("cifar"):
        accuracy = cifar["runs"]["clsbench"]["test_accuracy"]
        yield Goal("cifar: test accuracy", accuracy, WANTED["cifar accuracy"], ".1%")
        found = cifar["runs"].get("loop", {}).get("× epoch_seconds")
        yield Goal("cifar: × the plain loop, an epoch after the first", found, WANTED["cifar"], ".1f")


def print_goals(found: Sequence[Goal]) -> None:
    print_table("What it must show", ("figure", "measured", "wanted", "met"), [goal.row() for goal in found])
