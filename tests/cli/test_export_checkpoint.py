"""``clsbench export --model NAME --weights FILE --classes FILE``: a checkpoint that clsbench did not train."""

import hashlib
import json

import numpy as np
import pytest
import torch
from torch import nn

import clsbench
from clsbench.api.checkpoint import class_names
from clsbench.errors import DataError
from clsbench.models.simple_cnn import build

SMALL = ("--model", "simple-cnn", "--with", "model.size=8", "--with", "model.width=4")


class Theirs(nn.Module):
    """simple-cnn as somebody else would write it: float (N, 3, 8, 8) in, three logits out."""

    def __init__(self, head=None):
        super().__init__()
        self.net = build(3, size=8, width=4).backbone
        self.net.head = head or nn.Linear(4, 3)

    def forward(self, images):
        return self.net(images)


@pytest.fixture
def theirs(tmp_path, cli):
    """Their network, saved as Lightning does, and the names of its classes."""
    torch.manual_seed(0)
    network = Theirs().eval()
    torch.save({"state_dict": network.state_dict(), "epoch": 7}, tmp_path / "theirs.ckpt")
    (tmp_path / "classes.txt").write_text("ants\nbees\nwasps\n", encoding="utf-8")
    return network


def test_the_file_says_what_their_network_says_and_where_it_came_from(cli, theirs, tmp_path):
    arguments = (
        "--weights",
        "theirs.ckpt",
        "--classes",
        "classes.txt",
        "--transform",
        "mean=0",
        "--transform",
        "std=1",
    )
    done = cli("export", *SMALL, *arguments, "--out", "theirs.onnx", "--json", "export.json")
    assert done.code == 0, done.stderr
    assert "4 of the backbone's 4 tensors (theirs.ckpt, under 'net.')" in done.stderr
    assert "preprocessing, which the weights do not say: size [8, 8], " in done.stderr
    assert "PASSED" in done.stdout
    with clsbench.load("theirs.onnx", device="cpu") as model:
        assert model.classes == ("ants", "bees", "wasps")
        image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        with torch.inference_mode():
            want = theirs(torch.from_numpy(image).permute(2, 0, 1)[None] / 255).softmax(dim=1)[0]
        np.testing.assert_allclose(model.predict(image).probabilities, want, atol=1e-5)
        card = model.card
    assert card.training == {
        "trained_by_clsbench": False,
        "weights": "theirs.ckpt",
        "weights_sha256": hashlib.sha256((tmp_path / "theirs.ckpt").read_bytes()).hexdigest(),
    }
    assert card.parity.passed
    assert str(tmp_path) not in json.dumps(card.to_json())
    assert "trained_by_clsbench" in cli("inspect", "theirs.onnx").stdout


def test_the_function_takes_names_and_gives_the_models_own_transform(theirs):
    result = clsbench.export(
        model="simple-cnn", weights="theirs.ckpt", classes=["a", "b", "c"], options={"model.size": 8, "model.width": 4}
    )
    assert str(result.file) == "simple-cnn.onnx"
    assert result.card.classes == ("a", "b", "c")
    assert result.card.transform == build(3, size=8).transform


def test_a_head_of_two_layers_is_named(cli, theirs):
    network = Theirs(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))).eval()
    torch.save(network.state_dict(), "deep.pth")
    arguments = (*SMALL, "--weights", "deep.pth", "--classes", "classes.txt")
    done = cli("export", *arguments)
    assert done.code == 1
    assert "of another kind (0.weight, 0.bias, 3.weight, 3.bias)" in done.stderr
    done = cli("export", *arguments, "--head", "mlp:5,dropout=0.5", "--json", "-")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["card"]["model"]["head"] == "mlp:5,dropout=0.5"


def test_a_checkpoint_that_does_not_fit_as_a_whole_is_never_exported(refused, theirs, tmp_path):
    state = theirs.state_dict()
    torch.save({name: t for name, t in state.items() if name != "net.0.bias"}, "part.pth")
    words = ["do not fit the network as a whole", "1 not in the file: 0.bias", "--model and its options"]
    refused(1, words, "export", *SMALL, "--weights", "part.pth", "--classes", "classes.txt")
    torch.save({**state, "net.9.weight": torch.zeros(3)}, "more.pth")
    refused(1, ["1 without a place: 9.weight"], "export", *SMALL, "--weights", "more.pth", "--classes", "classes.txt")
    assert not list(tmp_path.glob("*.onnx"))


def test_a_pickle_that_would_run_code_is_refused(refused, theirs):
    torch.save(theirs, "whole.pth")
    words = ["cannot be read safely", "Theirs", "can run code", "model.state_dict()"]
    refused(1, words, "export", *SMALL, "--weights", "whole.pth", "--classes", "classes.txt")


WEIGHTS = ("--weights", "theirs.ckpt")
BOTH = (*WEIGHTS, "--classes", "classes.txt")


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (1, (*SMALL, *WEIGHTS, "--classes", "two.txt"), ["the file's is for 3 classes, not 2", "2 outputs"]),
        (1, (*SMALL, *WEIGHTS, "--classes", "none.txt"), ["file of classes", "none.txt"]),
        (1, (*SMALL, "--weights", "none.pth", "--classes", "classes.txt"), ["does not exist", "none.pth"]),
        (2, (*SMALL, "--classes", "classes.txt"), ["--classes", "--weights FILE"]),
        (2, BOTH, ["need --model", "clsbench models"]),
        (2, (*SMALL, *WEIGHTS, "--head", "mlp:5"), ["--head", "--classes FILE"]),
        (2, (*SMALL, *BOTH, "--transform", "size=big"), ["--transform", "size=big"]),
        (1, (*SMALL, *BOTH, "--transform", "size=16"), ["cannot be run"]),
        (2, ("--transform", "size=16"), ["need --model"]),
    ],
)
def test_wrong_usage_writes_nothing(refused, theirs, tmp_path, code, arguments, words):
    (tmp_path / "two.txt").write_text("ants\nbees\n", encoding="utf-8")
    refused(code, words, "export", *arguments)
    assert not list(tmp_path.glob("*.onnx"))


def test_the_weights_of_a_run_are_exported_as_a_run(refused, trained, theirs, paint, without_curves):
    trained(paint("photos/{colour}/{k}.png", 4), *SMALL, "--epochs", 1, "--run", "mine")
    words = ["those of a run", "clsbench export mine"]
    refused(2, words, "export", *SMALL, "--weights", "runs/mine/best.safetensors", "--classes", "classes.txt")


def test_imagenets_usual_list_is_taken_although_it_has_two_names_twice(tmp_path):
    names = [{134: "crane", 517: "crane", 638: "maillot", 639: "maillot"}.get(k, f"class {k}") for k in range(1000)]
    (tmp_path / "imagenet_classes.txt").write_text("\n".join(names), encoding="utf-8")
    found = class_names(tmp_path / "imagenet_classes.txt")
    assert (len(set(found)), found[134], found[517]) == (1000, "crane", "crane (n03126707)")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ants\nbees\nants\n", "'ants' more than once"),
        ("ants\n\nbees\n", "an empty name"),
        ("ants\n", "at least two classes"),
        ("", "at least two classes"),
    ],
)
def test_names_that_cannot_tell_classes_apart_are_refused_with_their_file(tmp_path, text, words):
    (tmp_path / "c.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"where: .*c\.txt") as caught:
        class_names(tmp_path / "c.txt")
    assert words in str(caught.value)


def test_names_with_commas_may_be_longer_than_the_name_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = tuple(f"kind {number} of ant" for number in range(100))
    assert class_names(",".join(names)) == names
    with pytest.raises(DataError, match="at least two classes"):
        class_names("")
