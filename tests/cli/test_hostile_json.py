"""JSON and weights of strangers: every one that cannot be used is an error that names the file, none is our fault."""

import json
from pathlib import Path

import pytest
from onnx import load, save

LIST, OBJECT = "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000
NESTED = {"list": LIST, "object": OBJECT, "digits": '{"schema": ' + "9" * 5000 + "}"}

CARDS = {
    **NESTED,
    "deep field": lambda card: card[:-1] + f', "training": {OBJECT}}}',
    **{
        value: lambda card, value=value: card.replace('"temperature": null', f'"temperature": {value}')
        for value in ("1e-320", "1e-45", "NaN", "1e999", "1e300", "-1", "0", "true", '"1"')
    },
    "surrogate class": lambda card: card.replace('"green"', '"gr\\ud800n"'),
    "no batches": lambda card: card.replace(
        '"parity": {}', '"parity": {"images": 1, "batches": [], "tolerance": 1, "passed": true}'
    ),
}


@pytest.mark.parametrize("command", ["inspect", "infer"])
@pytest.mark.parametrize("edit", CARDS.values(), ids=CARDS)
def test_cards(refused, tiny_onnx, photos, command, edit):
    model = load(tiny_onnx)
    card = model.metadata_props[0].value
    model.metadata_props[0].value = edit(card) if callable(edit) else edit
    assert model.metadata_props[0].value != card
    save(model, "m.onnx")
    arguments = ["inspect", "m.onnx"] if command == "inspect" else ["infer", photos, "--model", "m.onnx"]
    refused(1, ["a model card cannot be read", "m.onnx"], *arguments)


@pytest.mark.parametrize("command", ["export", "evaluate"])
@pytest.mark.parametrize(
    "text",
    [
        *NESTED.values(),
        "[]",
        '{"schema": [1]}',
        '{"schema": 3, "data": 1, "model": [], "training": "x", "classes": {}}',
    ],
)
def test_run_records(refused, command, text):
    Path("runs/theirs").mkdir(parents=True)
    Path("runs/theirs/run.json").write_text(text)
    refused(1, ["a run ", "theirs/run.json"], command, "runs/theirs")


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED)
def test_manifests_are_ignored_and_named(cli, text):
    Path("p.csv").write_text("path,label,predicted,confidence\n1.png,a,b,0.9\n2.png,b,b,0.8\n")
    Path("p.csv.json").write_text(text)
    done = cli("evaluate", "p.csv")
    assert (done.code, "p.csv.json cannot be read and is ignored" in done.stderr) == (0, True)


ROW = '{"path": "a%s", "label": "b", "predicted": "b", "confidence": 1}\n'


@pytest.mark.parametrize("text", [*NESTED.values(), ROW % "" + LIST, ROW % "\\ud800" + OBJECT])
@pytest.mark.parametrize("use", ["predictions", "images", "labels"])
def test_lines(cli, tiny_onnx, photos, text, use):
    Path("theirs.jsonl").write_text(text)
    arguments = {
        "predictions": ["evaluate", "theirs.jsonl"],
        "images": ["infer", "theirs.jsonl", "--model", tiny_onnx],
        "labels": ["infer", photos, "--labels", "theirs.jsonl", "--model", tiny_onnx],
    }[use]
    done = cli(*arguments)
    assert (done.code, "theirs.jsonl" in done.stderr) == (1, True), done.stderr
    assert "fault of clsbench" not in done.stderr


@pytest.mark.parametrize("text", [LIST, OBJECT, '["a\\ud800", "b"]', '{"\\u00b2": "a", "-1": "b"}'])
def test_class_files(refused, text):
    import torch

    torch.save({"a": torch.zeros(2)}, "w.pt")
    Path("theirs.json").write_text(text)
    refused(1, ["theirs.json"], "export", "--model", "simple-cnn", "--weights", "w.pt", "--classes", "theirs.json")


@pytest.mark.parametrize(
    "keys", [[0, 1], [(1, 2)], [0, "backbone.x"], ["a\ud800", "head.\udfff"], ["a\x1b[31m", "head.weight\x07"]]
)
def test_state_dicts(refused, keys):
    import torch

    torch.save({key: torch.zeros(2) for key in keys}, "w.pt")
    Path("names.json").write_text(json.dumps(["a", "b"]))
    found = refused(1, ["w.pt"], "export", "--model", "simple-cnn", "--weights", "w.pt", "--classes", "names.json")
    assert all(c.isprintable() or c == "\n" for c in found.stderr)
