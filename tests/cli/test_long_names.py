"""A class name of absurd length is kept in files and cut where people read."""

import json
from pathlib import Path

import pytest
from onnx import load, save

LONG = "x" * 1_000_000


@pytest.fixture
def model(cli, tiny_onnx):
    found = load(tiny_onnx)
    found.metadata_props[0].value = found.metadata_props[0].value.replace('"green"', f'"{LONG}"')
    save(found, "long.onnx")
    return "long.onnx"


@pytest.mark.parametrize("more", [[], ["--classes"]])
def test_a_model_is_inspected_in_a_page(cli, model, more):
    done = cli("inspect", model, "--json", "card.json", *more)
    assert done.code == 0, done.stderr
    assert len(done.stdout) < 20_000
    assert json.loads(Path("card.json").read_text())["classes"] == ["red", LONG, "blue"]


def test_tables_messages_and_errors_are_cut(cli, photos, model):
    arguments = ("infer", photos / "val", "--model", model, "--device", "cpu", "--out", "preds.csv")
    refused = cli(*arguments)
    assert (refused.code, "does not know: green" in refused.stderr) == (1, True)
    done = cli(*arguments, "--unknown-labels", "ignore", "--probabilities")
    assert done.code == 0, done.stderr
    assert max(len(text) for text in (refused.stderr, done.stdout, done.stderr)) < 20_000


def test_a_predictions_file_is_evaluated_in_a_page(cli):
    name = LONG[:100_000]
    rows = [f"{k}.png,{name if k % 2 else 'a'},{'a' if k % 3 else name},0.9\n" for k in range(12)]
    Path("preds.csv").write_text("path,label,predicted,confidence\n" + "".join(rows))
    done = cli("evaluate", "preds.csv", "--json", "facts.json")
    assert done.code == 0, done.stderr
    assert len(done.stdout + done.stderr) < 50_000
    assert json.loads(Path("facts.json").read_text())["classes"] == ["a", name]
