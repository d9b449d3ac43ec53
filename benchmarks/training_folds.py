"""The figure *folds* of training.py: ``--recipe fine-tune`` against fastai's ``fine_tune``, photo by photo.

All photos of ants and bees, train/ and val/ pooled, in stratified folds that ``clsbench train --folds``
makes and records; a peer gets the same split. Both validate after every epoch on the fold that is then
judged, so what clsbench would keep, the best epoch, is chosen on the very photos: its accuracy is too
high. Compared are the weights of the last epoch, for which nobody looked.

Every photo is judged once by each, out of fold, so the accuracies are compared as pairs: McNemar's
exact test and a 95% interval for a difference either way, and the one-sided test of Tango (1998)
that clsbench is worse by less than a margin. The first two can only fail to show that it is worse,
the third shows that it is not; of 400 photos of which one in twenty is judged differently, two
points are about the least that it can show for equal networks. All three take the photos to be
independent, and are of the networks trained here: another seed makes others.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from reporting import HERE, call, clsbench_command, median, note, print_table
from training_figures import Goal, Run, number

#: The highest p value that shows something, and the highest share of the peer's time.
LEVEL, SHARE = 0.05, 0.6

#: Runs of one fold, by name.
Fold = dict[str, Run]

#: From a name and what trains it to the run, or to None where its program is not installed.
Get = Callable[[str, Callable[[], Run | None]], Run | None]

Trained = TypeVar("Trained", bound=Run | None)


@dataclass
class Kept:
    """Runs that are done, by fold and name: in a file, if there is one, that is rewritten after each.

    Raises:
        SystemExit: if the file is of other folds.
    """

    file: Path | None
    folds: int
    seed: int
    runs: dict[int, Fold] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file and self.file.is_file():
            found = json.loads(self.file.read_text(encoding="utf-8"))
            if (found["folds"], found["seed"]) != (self.folds, self.seed):
                sys.exit(f"{self.file} has {found['folds']} folds of seed {found['seed']}: name another file")
            self.runs = {int(fold): runs for fold, runs in found["runs"].items()}

    def get(self, fold: int, name: str, train: Callable[[], Trained]) -> Trained | Run:
        """A run that is there, or one made now; None where its program is not installed."""
        runs = self.runs.setdefault(fold, {})
        if name not in runs:
            note(f"fold {fold} of {self.folds}: {name}")
            run = train()
            if run is None:
                return run
            runs[name] = {**run, "code": code()}
            self.write()
        return runs[name]

    def write(self) -> None:
        if self.file:
            facts = {"folds": self.folds, "seed": self.seed, "runs": self.runs}
            partial = self.file.with_name(self.file.name + ".partial")
            partial.write_text(json.dumps(facts), encoding="utf-8")
            partial.replace(self.file)


def code() -> str:
    """The commit measured, with a + where files differ from it; empty without git."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()


def pooled(insects: Path) -> Path:
    """Class folders of all photos, links to those of train/ and val/; the .gif placeholder is none."""
    folder = insects.with_name("pooled")
    if not folder.is_dir():
        partial = insects.with_name("pooled.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for file in sorted(file for file in insects.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg")):
            (partial / file.parent.name).mkdir(parents=True, exist_ok=True)
            (partial / file.parent.name / file.name).hardlink_to(file)
        partial.rename(folder)
    return folder


def last_epoch(run: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Name -> predicted class of a run's validation images, by the weights of its last epoch.

    ``evaluate`` takes the best ones: their file is replaced, in a run that is thrown away afterwards.
    """
    shutil.copyfile(run / "last.safetensors", run / "best.safetensors")
    call([*clsbench_command(), "evaluate", run, "--split", "val", "--quiet"], environment)
    with (run / "val.csv").open(encoding="utf-8", newline="") as lines:
        return {row["path"]: row["predicted"] for row in csv.DictReader(lines)}


def figures(done: Mapping[int, Fold], peers: Sequence[str], margin: float) -> dict[str, Any]:
    """What the folds come to that clsbench and all these peers have trained."""
    names = ["clsbench", *peers]
    complete = {fold: runs for fold, runs in sorted(done.items()) if set(names) <= set(runs)}
    rounds = [{name: runs[name] for name in names} for runs in complete.values()]
    if not rounds:
        return {"folds": [], "runs": {}, "compared": {}}
    found = {name: method([runs[name] for runs in rounds]) for name in names}
    return {
        "folds": list(complete),
        "photos": len(right(rounds, "clsbench")),
        "code": sorted({run["code"] for runs in rounds for run in runs.values()}),
        "runs": found,
        "compared": {name: compared(rounds, name, margin) for name in peers},
    }


def method(runs: Sequence[Run]) -> dict[str, Any]:
    """One method over the folds; seconds are sums."""
    judged = [is_right(run) for run in runs]
    count = sum(len(photos) for photos in judged)
    best = sum(max(e["val_accuracy"] for e in run["history"]) * len(p) for run, p in zip(runs, judged, strict=True))
    return {
        "right": sum(sum(photos.values()) for photos in judged),
        "accuracy": sum(sum(photos.values()) for photos in judged) / count,
        "fold_accuracies": [sum(photos.values()) / len(photos) for photos in judged],
        "best_accuracy": best / count,
        "seconds": sum(run["seconds"] for run in runs),
        "process_seconds": sum(run["process_seconds"] for run in runs),
        "fold_seconds": [run["seconds"] for run in runs],
    }


def is_right(run: Run) -> dict[str, bool]:
    """Name -> whether its class, the name of its folder, was predicted."""
    return {name: Path(name).parent.name == predicted for name, predicted in run["predictions"].items()}


def right(rounds: Sequence[Fold], name: str) -> dict[str, bool]:
    """The same of all folds, each photo once."""
    return {photo: hit for runs in rounds for photo, hit in is_right(runs[name]).items()}


def compared(rounds: Sequence[Fold], peer: str, margin: float) -> dict[str, Any]:
    """clsbench minus a peer on the same photos; differences are fractions, margins points."""
    import numpy as np

    from clsbench.evaluation.comparison.equivalence import one_sided
    from clsbench.evaluation.comparison.paired import bootstrap_interval, count_flips, mcnemar

    theirs, ours = right(rounds, peer), right(rounds, "clsbench")
    if theirs.keys() != ours.keys():
        sys.exit(f"{peer} has judged other photos: {sorted(theirs.keys() ^ ours.keys())[:3]}")
    flips = count_flips(np.array(list(theirs.values())), np.array([ours[name] for name in theirs]))
    shares = [runs["clsbench"]["seconds"] / runs[peer]["seconds"] for runs in rounds]
    tenths = (k / 10 for k in range(1, 1000))
    return {
        "gained": flips.gained,
        "lost": flips.lost,
        "difference": flips.difference,
        "interval": bootstrap_interval(flips),
        "p_different": float(mcnemar(flips.lost, flips.gained)),
        "margin": margin,
        "p_not_worse": one_sided(flips, margin / 100)[0],
        "shown_margin": next((points for points in tenths if one_sided(flips, points / 100)[0] < LEVEL), None),
        "fold_time_shares": shares,
        "time_share": sum(r["clsbench"]["seconds"] for r in rounds) / sum(r[peer]["seconds"] for r in rounds),
        "process_share": median(r["clsbench"]["process_seconds"] / r[peer]["process_seconds"] for r in rounds),
    }


def print_figures(found: dict[str, Any], folds: int) -> None:
    if not found["folds"]:
        print("\nfolds: none is complete yet")
        return
    rows = []
    for name, run in found["runs"].items():
        spread = f"{min(run['fold_accuracies']):.1%} – {max(run['fold_accuracies']):.1%}"
        times = [f"{median(run['fold_seconds']):.1f}", f"{run['seconds']:.1f}", f"{run['process_seconds']:.1f}"]
        rows.append([name, run["right"], f"{run['accuracy']:.1%}", spread, f"{run['best_accuracy']:.1%}", *times])
    title = f"Ants and bees, {found['photos']} photos in {len(found['folds'])} of {folds} folds"
    print_table(
        f"{title}, EfficientNet-Lite0 fine-tuned: last epochs; seconds",
        ("", "right", "accuracy", "of folds", "best epochs*", "fit, median", "all folds", "processes"),
        rows,
    )
    print("  * chosen on the photos that are judged")
    if len(found["code"]) > 1:
        print(f"  measured with different code: {', '.join(found['code'])}")
    for name, pair in found["compared"].items():
        print_compared(name, pair)


def print_compared(name: str, pair: dict[str, Any]) -> None:
    low, high = (f"{100 * end:+.1f}" for end in pair["interval"])
    shown = number(pair["shown_margin"], ".1f")
    print_table(
        f"clsbench against {name}, the same photos",
        ("", "measured"),
        [
            ["right only in clsbench, only there", f"{pair['gained']}, {pair['lost']}"],
            ["difference, points (95% interval)", f"{100 * pair['difference']:+.1f} ({low} to {high})"],
            ["p of McNemar's exact test, two-sided", f"{pair['p_different']:.3f}"],
            [f"p of: worse by {pair['margin']:g} points or more", f"{pair['p_not_worse']:.4f}"],
            ["least margin of which that is shown, points", shown],
            ["fit time, × theirs, all folds", f"{pair['time_share']:.2f}"],
            ["of each fold", ", ".join(f"{share:.2f}" for share in pair["fold_time_shares"])],
            ["process time, × theirs, median", f"{pair['process_share']:.2f}"],
        ],
    )
    print("  " + verdict(pair))


def verdict(pair: dict[str, Any]) -> str:
    """What may be said of the accuracies."""
    said = f"worse by less than {pair['margin']:g} points, if at all"
    not_worse = f"shown: {said}" if pair["p_not_worse"] < LEVEL else f"not shown: {said}"
    if pair["p_different"] >= LEVEL:
        return f"Accuracy: no difference shown; {not_worse}."
    return f"Accuracy: {'better' if pair['difference'] > 0 else 'worse'} (p {pair['p_different']:.3f}); {not_worse}."


def goals(found: dict[str, Any]) -> list[Goal]:
    """Accuracy and time against each peer."""
    rows = []
    for name, pair in found["compared"].items():
        upper, margin = 100 * pair["interval"][1], f"{pair['margin']:g} points"
        rows.append(Goal(f"folds: points over {name}, upper end of 95%", upper, 0.0, ".1f"))
        rows.append(Goal(f"folds: p of: worse by {margin} or more", pair["p_not_worse"], LEVEL, ".3f", at_most=True))
        rows.append(Goal(f"folds: fit time, × {name}", pair["time_share"], SHARE, ".2f", at_most=True))
    return rows
