"""The folds of benchmarks/training.py on made-up runs: paired figures, and runs that are not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import binomtest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PHOTOS = [f"{name}/{k}.jpg" for k in range(50) for name in ("ants", "bees")]


@pytest.fixture
def folds(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import training_folds

    return training_folds


def run(photos, wrong, seconds):
    """A run of one fold that has these photos wrong."""
    other = {"ants": "bees", "bees": "ants"}
    truth = {name: name.split("/")[0] for name in photos}
    return {
        "predictions": {name: other[cls] if name in wrong else cls for name, cls in truth.items()},
        "history": [{"val_accuracy": 1.0, "elapsed": 1.0}],
        "seconds": seconds,
        "process_seconds": seconds + 10,
    }


def test_photos_are_paired_by_name_over_the_folds(folds):
    ours, theirs = PHOTOS[:3], PHOTOS[1:10] + PHOTOS[60:66]
    kept = folds.Kept(None, 2, 0)
    for fold, part in enumerate((PHOTOS[:50], PHOTOS[50:]), 1):
        kept.get(fold, "clsbench", lambda part=part: run(part, ours, 30.0))
        kept.get(fold, "fastai", lambda part=part, fold=fold: run(part[::-1], theirs, 40.0 + 20 * fold))
    found = folds.figures(kept.runs, ["fastai"], 2.0)
    pair = found["compared"]["fastai"]
    assert (found["photos"], found["runs"]["clsbench"]["right"], found["runs"]["fastai"]["right"]) == (100, 97, 85)
    assert (pair["gained"], pair["lost"]) == (13, 1)
    assert pair["p_different"] == pytest.approx(binomtest(1, 14).pvalue)
    assert pair["time_share"] == pytest.approx(60 / 140)
    assert "better" in folds.verdict(pair)
    assert [goal.row()[-1] for goal in folds.goals(found)] == ["yes", "yes", "yes"]


def test_a_fold_that_only_clsbench_has_trained_does_not_count(folds, capsys):
    kept = folds.Kept(None, 2, 0)
    kept.get(1, "clsbench", lambda: run(PHOTOS, [], 1.0))
    found = folds.figures(kept.runs, ["fastai"], 2.0)
    folds.print_figures(found, 2)
    assert "none is complete" in capsys.readouterr().out
    assert folds.goals(found) == []


def test_what_the_file_has_is_not_run_again(folds, tmp_path):
    file = tmp_path / "folds.json"
    folds.Kept(file, 2, 0).get(1, "clsbench", lambda: run(PHOTOS, [], 1.0))
    again = folds.Kept(file, 2, 0)
    assert again.get(1, "clsbench", lambda: pytest.fail("run again"))["seconds"] == 1.0
    assert again.get(1, "fastai", lambda: None) is None
    with pytest.raises(SystemExit, match="2 folds of seed 0"):
        folds.Kept(file, 5, 0)
