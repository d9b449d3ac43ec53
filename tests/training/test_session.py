import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.models.simple_cnn import build
from clsbench.runs import create
from clsbench.training.loop import TrainConfig
from clsbench.training.session import describe_run, run_training

CONFIG = TrainConfig(epochs=2, lr=0.01)


class Silent:
    def begin(self, steps):
        self.steps = steps

    def step(self, epoch, loss):
        pass

    def epoch(self, result):
        pass


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dataset(*more, val_names=None):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    samples = [Sample(f"{k}.png", image, k % 2) for k, image in enumerate(pixels)]
    val = [Sample(name, pixels[0], 0) for name in val_names or ["a.png", "b.png"]]
    return Dataset(classes=("cat", "dog"), splits={"train": [*samples, *more], "val": val})


def session(data=None, *, seed=0, augment="basic", observer=None, **options):
    facts = describe_run(
        CONFIG, data={"dataset": "clsbench/folder", "root": None, "options": {}},
        model={"name": "clsbench/simple-cnn", "options": {"size": 8}}, batch_size=4, augment=augment, seed=seed,
    )  # fmt: skip
    build_model = options.pop("build_model", lambda: build(2, size=8, channels=2, width=4))
    return run_training(build_model, data or dataset(), CONFIG, facts, observer or Silent(), **options)


def test_the_run_directory_is_complete(tmp_path):
    result = session(run_name="mine")
    assert result.run.path.resolve() == tmp_path / "runs/mine"
    assert sorted(path.name for path in result.run.path.iterdir()) == [
        "best.safetensors", "curves.png", "last.safetensors", "log.csv", "run.json"
    ]  # fmt: skip
    assert result.run.curves.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (tmp_path / "runs/latest").resolve() == tmp_path / "runs/mine"


def test_run_json_is_enough_to_repeat_the_run():
    result = session(seed=3)
    facts = json.loads((result.run.path / "run.json").read_text(encoding="utf-8"))
    assert facts["classes"] == ["cat", "dog"]
    assert facts["training"] == {
        "epochs": 2, "lr": 0.01, "backbone_lr": 1.0, "weight_decay": 0.01, "device": "cpu",
        "batch_size": 4, "augment": "basic", "seed": 3,
    }  # fmt: skip
    assert facts["validation"] == ["a.png", "b.png"]
    assert facts["counts"] == {"train": 12, "val": 2}
    assert facts["transform"] == result.classifier.transform.to_json()
    assert facts["result"]["val_accuracy"] == max(epoch.val_accuracy for epoch in result.history)
    assert result.history[facts["result"]["best_epoch"] - 1] == result.best


@pytest.mark.parametrize("augment", ["none", "basic"])
def test_the_same_seed_gives_the_same_weights(augment):
    first, same, other = (session(seed=s, augment=augment, run_name=n) for s, n in ((0, "a"), (0, "b"), (1, "c")))
    torch.testing.assert_close(load_file(same.run.best), load_file(first.run.best), rtol=0, atol=0)
    assert not torch.equal(load_file(other.run.best)["head.weight"], load_file(first.run.best)["head.weight"])


def test_unreadable_pictures_are_left_out_and_reported_with_their_reason():
    result = session(dataset(Sample("broken.jpg", b"\xff\xd8\xffbroken", 0)), run_name="one")
    assert "broken.jpg" in result.warnings[0]
    assert list(result.run.read()["result"]["unreadable"]) == ["broken.jpg"]
    assert session(run_name="two").warnings == []


def test_the_observer_hears_how_many_steps_an_epoch_has():
    observer = Silent()
    session(observer=observer)
    assert observer.steps == 3


def test_names_that_are_not_utf8_can_be_trained_on():
    name = "caf\udce9.png"
    assert session(dataset(val_names=[name])).run.read()["validation"] == [name]


def test_runs_of_the_same_second_get_directories_of_their_own():
    assert len({create(None, default="digits").path for _ in range(3)}) == 3


def test_a_name_that_is_taken_is_an_error_and_nothing_is_overwritten():
    first = session(run_name="mine")
    before = first.run.best.read_bytes()
    with pytest.raises(OptionError, match="nothing is overwritten"):
        session(run_name="mine", seed=1)
    assert first.run.best.read_bytes() == before


def test_a_dataset_without_validation_is_an_error_before_a_run_is_made(tmp_path):
    samples = dataset().samples("train")
    with pytest.raises(DataError, match="no val images"):
        session(Dataset(classes=("cat", "dog"), splits={"train": samples}))
    assert not (tmp_path / "runs").exists()


def test_a_model_plugin_that_returns_something_else_is_named(tmp_path):
    with pytest.raises(ModelError, match="Linear"):
        session(build_model=lambda: nn.Linear(2, 2))
    assert not (tmp_path / "runs").exists()


def test_training_says_nothing_of_its_own(capsys, caplog):
    with caplog.at_level(logging.WARNING):
        session()
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []
