"""Adopting: whatever the foreign graph looks like, the file says what the original says of the same picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import clsbench
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.onnx_file import read_onnx
from tests.adopting.foreign_models import H, K, W, classifier, run

NAMES = [f"class {k}" for k in range(K)]
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)

#: All of the preprocessing, so that nothing is guessed.
STATED: dict[str, Any] = {"resize": "squash", "interpolation": "bilinear", "mean": MEAN, "std": STD, "channels": "rgb"}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(3)
    files = []
    for k in range(7):
        small = random.integers(0, 256, (5, 6, 3), np.uint8)
        files.append(tmp_path / f"{k}.png")
        Image.fromarray(small).resize((70 + k, 50), Image.Resampling.BICUBIC).save(files[-1])
    return files


def prepared(files: list[Path], size: tuple[int, int] = (H, W)) -> np.ndarray[Any, Any]:
    """float32 (n, 3, h, w) by Pillow and numpy alone."""
    squashed = [np.asarray(Image.open(file).resize(size[::-1], Image.Resampling.BILINEAR)) for file in files]
    pixels = (np.stack(squashed).astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return pixels.transpose(0, 3, 1, 2).astype(np.float32)


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def predicted(file: Path, pictures: list[Path]) -> np.ndarray[Any, Any]:
    with clsbench.load(file) as model:
        return np.stack([each.probabilities for each in model.predict(pictures)])


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"layout": "NHWC"},
        {"dtype": "float16"},
        {"batch": 1},
        {"batch": 4},
        {"batch": 1, "flatten": (1, -1)},
        {"batch": 1, "flatten": (1, 8)},
        {"shape": "(N,K,1,1)"},
        {"opset": 9, "ir_version": 4},
        {"opset": 8, "ir_version": 3, "weights_are_inputs": True},
        {"opset": 11, "weights_are_inputs": True},
        {"names": ("images", "logits")},
        {"names": ("images", "images_out")},
        {"sides": ("height", "width")},
        {"extra": ("probabilities", "features")},
    ],
    ids=str,
)  # fmt: skip
def test_logits_are_those_of_the_original(variant: dict[str, Any], tmp_path: Path, pictures: list[Path]) -> None:
    plain = classifier(tmp_path / "plain.onnx")
    foreign = classifier(tmp_path / "foreign.onnx", **variant)
    size = {"size": (H, W)} if "sides" in variant else {}
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **STATED, **size)
    assert result.file is not None
    expected = softmax(run(plain, prepared(pictures)))
    tolerance = 5e-3 if variant.get("dtype") == "float16" else 2e-3  # resizing differs by up to two grey levels
    np.testing.assert_allclose(predicted(result.file, pictures), expected, atol=tolerance)
    assert result.card.precision == ("float16" if variant.get("dtype") == "float16" else "float32")


@pytest.mark.parametrize("kind", ["softmax", "log_softmax"])
def test_probabilities_become_logits_of_the_same_probabilities(kind: str, tmp_path: Path, pictures: list[Path]) -> None:
    foreign = classifier(tmp_path / "foreign.onnx", scores=kind)
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)
    found = run(foreign, prepared(pictures))
    expected = found if kind == "softmax" else np.exp(found)
    assert result.file is not None
    np.testing.assert_allclose(predicted(result.file, pictures), expected, atol=2e-3)
    assert result.proposal.foreign.scores.kind == {"softmax": "probabilities", "log_softmax": "log-probabilities"}[kind]


@pytest.mark.parametrize("kind", ["logits", "sigmoid"])
def test_one_number_is_that_of_the_second_of_two_classes(kind: str, tmp_path: Path, pictures: list[Path]) -> None:
    foreign = classifier(tmp_path / "foreign.onnx", scores=kind, classes=1)
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=["no", "yes"], **STATED)
    found = run(foreign, prepared(pictures))
    positive = found if kind == "sigmoid" else 1 / (1 + np.exp(-found))
    assert result.file is not None
    np.testing.assert_allclose(predicted(result.file, pictures)[:, 1:], positive, atol=2e-3)


def test_levels_in_the_order_of_opencv(tmp_path: Path, pictures: list[Path]) -> None:
    foreign = classifier(tmp_path / "foreign.onnx")
    result = clsbench.adopt(
        foreign, out=tmp_path / "ours.onnx", classes=NAMES, resize="squash", interpolation="bilinear",
        mean="104,117,123", std=58, channels="bgr",
    )  # fmt: skip
    squashed = [np.asarray(Image.open(file).resize((W, H), Image.Resampling.BILINEAR)) for file in pictures]
    pixels = (np.stack(squashed)[..., ::-1].astype(np.float32) - np.float32([104, 117, 123])) / np.float32(58)
    assert result.file is not None
    expected = softmax(run(foreign, np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
    np.testing.assert_allclose(predicted(result.file, pictures), expected, atol=2e-3)


def test_pixels_of_a_uint8_graph_pass_as_they_are(tmp_path: Path, pictures: list[Path]) -> None:
    foreign = classifier(tmp_path / "foreign.onnx", dtype="uint8", layout="NHWC")
    result = clsbench.adopt(
        foreign, out=tmp_path / "ours.onnx", classes=NAMES, resize="squash", interpolation="bilinear", channels="rgb"
    )
    squashed = [np.asarray(Image.open(file).resize((W, H), Image.Resampling.BILINEAR)) for file in pictures]
    assert result.file is not None
    np.testing.assert_allclose(predicted(result.file, pictures), softmax(run(foreign, np.stack(squashed))), atol=2e-3)
    with pytest.raises(ModelError, match="contradict"):
        clsbench.adopt(foreign, out=tmp_path / "other.onnx", classes=NAMES, **STATED)


def one_row(foreign: Path) -> None:
    """Lay the features of a whole batch out as one row, as torch's attention does: nothing can free the batch then."""
    model = onnx.load(foreign)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([8], np.int64), "eight"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "axis"))
    nodes, make = list(model.graph.node), onnx.helper.make_node
    place = next(k for k, node in enumerate(nodes) if node.op_type == "Flatten")
    nodes[place : place + 1] = [
        make("Reshape", ["pooled", "eight"], ["row"]), make("Unsqueeze", ["row", "axis"], ["features"]),
    ]  # fmt: skip
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, foreign)


def test_a_batch_that_cannot_be_freed_is_run_one_by_one(tmp_path: Path, pictures: list[Path]) -> None:
    """The features of a whole batch are laid out as one row, as torch's attention does."""
    foreign = classifier(tmp_path / "foreign.onnx", batch=1)
    one_row(foreign)
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)
    assert result.proposal.foreign.batching == "one by one"
    assert result.file is not None
    expected = softmax(run(foreign, prepared(pictures)))
    np.testing.assert_allclose(predicted(result.file, pictures), expected, atol=2e-3)


def test_a_class_token_is_repeated_for_each_image(tmp_path: Path, pictures: list[Path]) -> None:
    """Its shape is that of one image, folded into a constant."""
    foreign = classifier(tmp_path / "foreign.onnx", batch=1)
    model = onnx.load(foreign)
    zeros = onnx.numpy_helper.from_array(np.zeros((1, 1, 8), np.float32), "token")
    model.graph.initializer.extend([zeros, onnx.numpy_helper.from_array(np.array([1, 1, 8], np.int64), "three")])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 8], np.int64), "two"))
    nodes = list(model.graph.node)
    place = next(k for k, node in enumerate(nodes) if node.op_type == "Flatten")
    make = onnx.helper.make_node
    nodes[place : place + 1] = [
        make("Reshape", ["pooled", "three"], ["one"]), make("Concat", ["token", "one"], ["both"], axis=1),
        make("ReduceSum", ["both", "axis"], ["sum"], keepdims=0), make("Reshape", ["sum", "two"], ["features"]),
    ]  # fmt: skip
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "axis"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, foreign)
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)
    assert result.proposal.foreign.batching == "freed"
    assert result.file is not None
    expected = softmax(run(foreign, prepared(pictures)))
    np.testing.assert_allclose(predicted(result.file, pictures), expected, atol=2e-3)


@pytest.mark.parametrize("batching", ["free", "one by one"])
def test_features_stay_a_second_output(batching: str, tmp_path: Path, pictures: list[Path]) -> None:
    foreign = classifier(tmp_path / "foreign.onnx", extra=("features",), batch="b" if batching == "free" else 1)
    if batching != "free":
        one_row(foreign)
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)
    assert result.proposal.foreign.batching == batching
    assert result.file is not None
    with clsbench.load(result.file) as model:
        embedded = np.stack([each.features for each in model.embed(pictures)])
    expected = run(foreign, prepared(pictures))  # its last output
    np.testing.assert_allclose(embedded, expected, atol=1e-2)
    assert result.card.feature_dim == 8


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"scores": "sigmoid"}, "tags that do not exclude each other"),
        ({"names": ("x", "image_embeds"), "classes": 8}, "embedding"),
        ({"classes": 8}, "another number of classes"),
        ({"sides": (H, W), "channels": 4}, "neither one nor three channels"),
    ],
)
def test_what_is_no_classifier_is_refused(variant: dict[str, Any], message: str, tmp_path: Path) -> None:
    foreign = classifier(tmp_path / "foreign.onnx", **variant)
    with pytest.raises(ModelError, match=message):
        clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)
    assert not (tmp_path / "ours.onnx").exists()


def test_a_guess_has_to_be_allowed(tmp_path: Path) -> None:
    foreign, out = classifier(tmp_path / "foreign.onnx"), tmp_path / "ours.onnx"
    with pytest.raises(ModelError, match="guess") as raised:
        clsbench.adopt(foreign, out=out, classes=NAMES, resize="squash")
    assert "mean, std" in str(raised.value)
    assert not out.exists()
    result = clsbench.adopt(foreign, out=out, classes=NAMES, resize="squash", guess=True)
    how = {each.field: each.how for each in result.proposal.decisions}
    assert (how["resize"], how["size"], how["mean"], how["classes"]) == ("asked", "found", "guessed", "asked")


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    heard: list[str] = []

    class Hearing(clsbench.Observer):
        def recognised(self, file: Path, decisions: Any) -> None:
            heard.extend(each.field for each in decisions)

    foreign = classifier(tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match="names the classes") as raised:
        clsbench.adopt(foreign, out=tmp_path / "ours.onnx", observer=Hearing())
    assert raised.value.facts["got"] == f"{K} classes in output output"
    assert "imagenet" not in str(raised.value), "which has 1,000 classes"
    assert "--check DIR" in str(raised.value)
    assert {"output", "size", "mean"} <= set(heard)
    assert "classes" not in heard


def test_a_graph_that_scales_its_input_is_guessed_to_take_levels(tmp_path: Path) -> None:
    foreign = classifier(tmp_path / "foreign.onnx", scaling=("Div", 255.0))
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, resize="squash", guess=True)
    assert result.card.transform.std == pytest.approx((1 / 255,) * 3)
    assert "Div 255" in next(each.origin for each in result.proposal.decisions if each.field == "std")


def test_a_grey_graph_takes_grey_pictures(tmp_path: Path, pictures: list[Path]) -> None:
    foreign = classifier(tmp_path / "foreign.onnx", channels=1)
    result = clsbench.adopt(
        foreign, out=tmp_path / "ours.onnx", classes=NAMES, resize="squash", interpolation="bilinear", mean=0.5, std=0.5
    )
    grey = [Image.open(file).resize((W, H), Image.Resampling.BILINEAR).convert("L") for file in pictures]
    pixels = (np.stack(list(map(np.asarray, grey))).astype(np.float32)[:, None] / 255 - 0.5) / 0.5
    assert result.file is not None
    expected = softmax(run(foreign, pixels.astype(np.float32)))
    np.testing.assert_allclose(predicted(result.file, pictures), expected, atol=4e-3)


def test_a_whole_transform_is_for_grey_graphs_too(tmp_path: Path) -> None:
    foreign, out = classifier(tmp_path / "foreign.onnx", channels=1), tmp_path / "ours.onnx"
    assert clsbench.adopt(foreign, out=out, classes=NAMES, transform="imagenet").card.transform.color == "L"
    with pytest.raises(ModelError, match="contradict"):
        clsbench.adopt(foreign, out=out, classes=NAMES, transform="imagenet", channels="bgr")


def test_the_original_is_never_overwritten(tmp_path: Path) -> None:
    foreign = classifier(tmp_path / "foreign.onnx")
    before = foreign.read_bytes()
    with pytest.raises(DataError):
        clsbench.adopt(foreign, out=foreign, classes=NAMES, **STATED)
    assert foreign.read_bytes() == before


def test_the_card_says_where_the_file_came_from(tmp_path: Path) -> None:
    foreign = classifier(tmp_path / "foreign.onnx")
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)
    assert result.card.training["adopted"] == "foreign.onnx"
    assert str(tmp_path) not in read_onnx(tmp_path / "ours.onnx").metadata["clsbench.card"]
    with pytest.raises(ModelError, match="card already"):
        clsbench.adopt(tmp_path / "ours.onnx", out=tmp_path / "again.onnx", classes=NAMES)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"mean": "a,b"}, "--mean"),
        ({"mean": 0.5}, "--mean"),
        ({"std": (0, 1, 1), "range": "0-1"}, "--std"),
        ({"range": "0-7"}, "--range"),
        ({"channels": "rbg"}, "--channels"),
        ({"crop_fraction": 1.5}, "--crop-fraction"),
        ({"transform": "nobodys"}, "--transform"),
    ],
)
def test_wrong_values_name_their_option(given: dict[str, Any], where: str, tmp_path: Path) -> None:
    foreign = classifier(tmp_path / "foreign.onnx")
    with pytest.raises(OptionError) as raised:
        clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, **given)
    assert raised.value.facts["where"] == where


def test_adopting_needs_no_torch_and_is_not_held_up_by_scikit_learn(tmp_path: Path) -> None:
    classifier(tmp_path / "foreign.onnx")
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import clsbench
result = clsbench.adopt({str(tmp_path / "foreign.onnx")!r}, out={str(tmp_path / "ours.onnx")!r},
                        classes={NAMES!r}, guess=True)
assert result.file
assert "sklearn" not in sys.modules, "which takes 2 s"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_result_is_short_and_says_that_there_are_no_features(tmp_path: Path, pictures: list[Path]) -> None:
    foreign = classifier(tmp_path / "foreign.onnx")
    result = clsbench.adopt(foreign, out=tmp_path / "ours.onnx", classes=NAMES, guess=True, gate_n=3)
    assert len(repr(result)) < 600
    assert f"6 guessed: <ModelCard {K} classes" in repr(result.proposal)
    assert result.file is not None
    with clsbench.load(result.file) as model, pytest.raises(ModelError, match="no output that is called features"):
        model.embed(pictures[0])
