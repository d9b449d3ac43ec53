"""The ranking of ``adopt --check`` as people see it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from clsbench.adopting.candidate_scores import Difference, score
from clsbench.adopting.candidates import candidates
from clsbench.adopting.transform_check import TransformCheck, checked
from clsbench.cli.terminal import Terminal
from clsbench.cli.transform_check_tables import print_check
from clsbench.transform import ImageTransform

BASE = ImageTransform(size=(224, 224), crop_fraction=0.875)


def made(equal, *, labelled=True):
    """96 candidates, of which the first ``equal`` do not differ from the best."""
    labels = np.zeros(100, np.int64) if labelled else None
    good, bad = (score(np.tile([[gap, 0.0]], (100, 1)), labels) for gap in (3.0, -2.0))
    found = [checked(one, good if k <= equal else bad.first(32), good, limit=0.001 if k <= equal else None)
             for k, one in enumerate(candidates(BASE))]  # fmt: skip
    return TransformCheck(candidates=tuple(found), labelled=labelled, images=100, available=397, unreadable=2)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_tables_fit_80_columns_and_the_command_adopts_the_first(monkeypatch, capsys, labelled):
    monkeypatch.setenv("COLUMNS", "80")
    words = ("--classes", "my names.txt")
    print_check(Terminal(), made(12, labelled=labelled), Path("their model.onnx"), *words)
    said = capsys.readouterr()
    lines = said.out.splitlines()
    tables = lines[: next(k for k, line in enumerate(lines) if " of 96" in line)]
    assert max(map(len, tables)) <= 80
    names = [line.strip().split("  ")[0] for line in tables if " bi" in line]
    assert names[:2] == ["imagenet RGB bilinear crop 0.875", "imagenet RGB bicubic crop 0.875"]
    assert len(names) == 12
    assert ("only a hint" in said.out) is (not labelled)
    assert "2 images could not be read" in said.err
    given = "'their model.onnx' --classes 'my names.txt' --size 224,224 --resize crop --crop-fraction 0.875"
    assert f"next: clsbench adopt {given}" in said.err


def test_each_normalisation_that_is_worse_is_named_once(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    print_check(Terminal(), made(0), Path("m.onnx"))
    worse = capsys.readouterr().out.split("Shown to be worse on 32 of them")[1]
    shown = [line.split(" bi")[0].strip() for line in worse.splitlines() if " bi" in line and "96" not in line]
    assert shown == ["imagenet RGB", "imagenet BGR", "0.5/0.5 RGB", "0.5/0.5 BGR", "0..1 RGB", "0..1 BGR"]
    assert "every other is shown to be worse." in worse


def test_an_interval_that_seems_to_contradict_the_verdict_is_explained(capsys):
    check = made(1)
    explained = "each interval is of one pair, at 95%; what is shown to be worse allows for 96 candidates"
    print_check(Terminal(), check, Path("m.onnx"))
    assert explained not in capsys.readouterr().err
    lower = dataclasses.replace(check.equal[0], difference=Difference(-0.03, -0.05, -0.01))
    found = (check.best, lower, *check.candidates[2:])
    print_check(Terminal(), dataclasses.replace(check, candidates=found), Path("m.onnx"))
    assert explained in capsys.readouterr().err


def test_a_single_candidate_has_one_table(capsys):
    check = made(0)
    print_check(Terminal(), dataclasses.replace(check, candidates=check.candidates[:1]), Path("m.onnx"))
    said = capsys.readouterr().out
    assert "worse on" not in said
    assert "is the best of 1; it is the only one." in said
