"""Ants and bees through the whole path: what training saw is what inference says."""

import csv
import json

import numpy as np
import pytest
import torch

from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.models.loading import load_state
from clsbench.models.weights import read_state
from clsbench.testing import installed


@pytest.mark.parametrize(
    ("model", "options", "at_least"),
    [
        ("simple-cnn", ["--epochs", 1], 0.4),
        ("efficientnet-lite/efficientnet-lite0", ["--pretrained", "--recipe", "frozen"], 0.92),
    ],
)
def test_inference_repeats_the_trained_network_on_real_photos(cli, hymenoptera, tmp_path, model, options, at_least):
    done = cli("train", hymenoptera, "--model", model, "--run", "real", *options)
    assert done.code == 0, done.stderr
    assert cli("export", "--onnx").code == 0
    done = cli("infer", hymenoptera / "val", "--out", "preds.csv")
    assert done.code == 0, done.stderr

    trained = installed("model", model).build(2)
    load_state(trained, read_state(tmp_path / "runs/real/best.safetensors"), head="head", where="best")
    loader = ImageLoader(trained.eval().transform)
    with open("preds.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images = torch.from_numpy(
        np.stack([loader(FileEntry(row["path"], f"{hymenoptera}/val/{row['path']}")) for row in rows])
    )
    with torch.inference_mode():
        best = torch.cat([trained(batch) for batch in images.split(32)]).argmax(dim=1)
    assert [row["predicted"] for row in rows] == [("ants", "bees")[k] for k in best]

    result = json.loads((tmp_path / "runs/real/run.json").read_text())["result"]
    facts = json.loads((tmp_path / "preds.csv.json").read_text())
    assert facts["metrics"]["top1"]["value"] == pytest.approx(result["val_accuracy"])
    assert facts["metrics"]["top1"]["value"] >= at_least
    assert facts["counts"] == {"total": 153, "ok": 153, "errors": 0, "labelled": 153}
