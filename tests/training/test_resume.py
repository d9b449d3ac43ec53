"""A training that is cut off anywhere and gone on with gives the bits of one that nothing happened to."""

import csv
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clsbench.errors import DataError, ModelError
from clsbench.images.entries import PixelsEntry
from clsbench.models.simple_cnn import build
from clsbench.run_record import RunData, RunModel
from clsbench.runs import Run, find
from clsbench.training import training_run
from clsbench.training.divergence import Diverged
from clsbench.training.recipes import configure
from clsbench.training.resume import Resumed
from clsbench.training.run_state import read_state, write_state
from clsbench.training.training_run import run_training


class Killed(Exception):
    """What a kill is to a test: the process does not get to save its state."""


@pytest.fixture(autouse=True)
def nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_run, "save_plots", lambda *arguments: None)
    monkeypatch.setattr("clsbench.training.journal.save_curves", lambda *arguments, **named: None)


@pytest.fixture
def ctrl_c():
    """Ctrl-C is heard, which a shell turns off for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def train_run(pictures, observer, monkeypatch):
    """train_run(config, "name", at=5, error=Killed): one training, ended after so many batches and images."""

    def train_run(config, name, *, at=None, error=Killed, dataset=None, signalled=False, **more):
        left = [at]

        def advance(count):
            if left[0] is not None:
                left[0] -= count
                if left[0] <= 0:
                    left[0] = None
                    os.kill(os.getpid(), signal.SIGINT) if signalled else _raise(error)

        monkeypatch.setattr(observer, "advance", advance)
        there = find(name) if Run(Path("runs") / name).record.is_file() else None
        resumed = None
        if there:
            state = read_state(there.state) if there.state.is_file() else None
            resumed = Resumed(there, there.read_record(), state)
            more.pop("auto_lr", None)
        return run_training(
            lambda: build(3, size=8, channels=4, width=16), dataset or pictures(), config, observer,
            data=RunData(dataset="clsbench/folder"), model=RunModel(name="clsbench/simple-cnn"),
            run_name=None if there else name, resumed=resumed, **more,
        )  # fmt: skip

    return train_run


def _raise(error):
    raise error


def log_of(run):
    lines = csv.DictReader(run.log.read_text(encoding="utf-8").splitlines())
    measured = ("seconds", "elapsed", "images_per_second", "waited")
    return [{k: v for k, v in line.items() if k not in measured} for line in lines]


def check_same(one, other):
    for file in ("best.safetensors", "last.safetensors"):
        first, second = load_file(one.path / file), load_file(other.path / file)
        assert first.keys() == second.keys()
        assert all(first[name].numpy().tobytes() == second[name].numpy().tobytes() for name in first), file
    assert log_of(one) == log_of(other)
    results = [run.read_record().result for run in (one, other)]
    assert results[0].best_epoch == results[1].best_epoch
    assert sorted(file.name for file in other.path.iterdir()) == sorted(file.name for file in one.path.iterdir())


RECIPES = {
    "scratch": {"epochs": 3, "augment": "trivial", "head": "mlp:8,dropout=0.4"},
    "averaged": {"epochs": 3, "ema": 0.9, "accumulate": 2, "optimizer": "sgd", "mixup": 0.4, "cutmix": 0.5},
    "patient": {"epochs": 9, "lr": 1e-6, "patience": 2, "schedule": "step", "optimizer": "adam", "clip_grad": 1.0},
    "frozen": {"recipe": "frozen", "epochs": 4, "augment": "basic", "views": 2, "schedule": "cosine"},
    "fine-tune": {"recipe": "fine-tune", "epochs": 2, "freeze_epochs": 2, "cache": "off", "class_weights": "balanced"},
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_that_is_cut_off_again_and_again_ends_as_if_nothing_had_happened(name, train_run):
    config = configure(pretrained=RECIPES[name].get("recipe") is not None, batch_size=4, seed=3, checkpoint_every=2,
                       **RECIPES[name])  # fmt: skip
    whole = train_run(config, "whole").run
    random.seed(name)
    for point in sorted(random.sample(range(34, 34 + 6 * len(log_of(whole))), 4)):
        with pytest.raises((Killed, KeyboardInterrupt)):
            train_run(config, "cut", at=point, error=random.choice([Killed, KeyboardInterrupt]))
    train_run(config, "cut")
    check_same(whole, Run(whole.path.parent / "cut"))


def test_ctrl_c_saves_the_batch_that_is_done_and_says_how_to_go_on(train_run, observer, configured, ctrl_c):
    with pytest.raises(KeyboardInterrupt):
        train_run(configured(), "cut", at=33 + 3, signalled=True)
    state = read_state(find("cut").state)
    assert state.parts["epoch"]["batch"] == 3
    (warning,) = observer.warnings
    assert "next: clsbench train --resume runs/cut" in warning


def test_a_signal_within_a_step_waits_for_its_end_and_a_second_does_not(ctrl_c):
    from clsbench.training.interrupts import Interrupts

    interrupts = Interrupts()
    with interrupts.listening():
        interrupts.hold()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.release()
        interrupts.hold()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_run_that_diverged_is_not_told_to_go_on(train_run, configured, observer):
    with pytest.raises(Diverged):
        train_run(configured(lr=1e30, checkpoint_every=1), "cut")
    assert find("cut").state.exists()
    assert "--resume" not in observer.warnings[-1]


def test_before_there_is_a_state_a_run_begins_again(train_run, configured):
    whole = train_run(configured(), "whole", auto_lr=False).run
    with pytest.raises(Killed):
        train_run(configured(), "cut", at=34)
    assert not find("cut").state.exists()
    train_run(configured(), "cut")
    check_same(whole, find("cut"))


def test_a_kill_between_weights_and_record_leaves_a_record_of_the_weights(train_run, configured, monkeypatch):
    monkeypatch.setattr("clsbench.training.journal.Journal.saved", lambda self, trainer: _raise(KeyboardInterrupt))
    monkeypatch.setattr("clsbench.training.journal.Journal._interrupted", lambda self, error: None)
    with pytest.raises(KeyboardInterrupt):
        train_run(configured(), "cut")
    record = find("cut").read_record()
    assert (record.status, record.result.best_epoch) == ("running", 1)
    assert record.result.val_accuracy == float(log_of(find("cut"))[0]["val_accuracy"])


@pytest.mark.parametrize("change", ["fewer", "label", "pixels", "class"])
def test_changed_data_is_refused_and_the_change_is_named(change, train_run, configured, pictures, colours):
    with pytest.raises(KeyboardInterrupt):
        train_run(configured(), "cut", at=36, error=KeyboardInterrupt)
    samples = colours(24)
    if change == "pixels":
        samples[3] = type(samples[3])(PixelsEntry(samples[3].name, samples[4].image.pixels), samples[3].label)
    changed = {
        "fewer": ({"train": samples[:-1]}, "train: 23 images, 24 before"),
        "label": ({"val": colours(9, seed=1, split="val", shift=1)}, "val: other labels"),
        "pixels": ({"train": samples}, "train: other contents of images"),
        "class": ({"test": colours(3, seed=5, split="test")}, "test: a new split"),
    }[change]
    with pytest.raises(DataError, match="the data has changed since the run began") as caught:
        train_run(configured(), "cut", dataset=pictures(**changed[0]))
    assert caught.value.facts["got"] == changed[1]
    train_run(configured(), "cut")


@pytest.mark.parametrize("damage", ["cut off", "not one of ours", "another schema", "other shapes", "a part is gone"])
def test_a_state_that_cannot_be_used_is_an_error_that_names_it(damage, train_run, configured):
    with pytest.raises(KeyboardInterrupt):
        train_run(configured(), "cut", at=36, error=KeyboardInterrupt)
    file = find("cut").state
    parts = {name: dict(part) for name, part in read_state(file).parts.items()}
    if damage == "cut off":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "not one of ours":
        file.write_bytes(find("cut").state.read_bytes()[:8] + b"x" * 4000)
    elif damage == "another schema":
        file.write_bytes(file.read_bytes().replace(b'\\"schema\\": 1', b'\\"schema\\": 7', 1))
    elif damage == "other shapes":
        parts["model"]["head.weight"] = torch.zeros(2, 2)
        write_state(file, parts)
    else:
        del parts["optimizer"]["groups"]
        write_state(file, parts)
    with pytest.raises(ModelError, match="the state of the run") as caught:
        train_run(configured(), "cut")
    assert caught.value.facts["where"] == file


STRANGE = {
    "a batch of another epoch": ("epoch", "batch", 10**9),
    "half a batch": ("epoch", "batch", 1.5),
    "stages that no plan has": ("run", "stages_done", -1),
    "epochs that are none": ("run", "history", [{"epoch": "\x1b[2J"}]),
    "a status of its own": ("run", "status", "\x1b[2J"),
    "no time": ("run", "elapsed", float("nan")),
    "numbers that no generator has": ("random", "numpy", ["MT19937", [2**70] * 624, 3, 0, 0.0]),
    "an epoch that was not": ("best", "epoch", -1),
    "weights of another network": ("best", "model.more", torch.zeros(2)),
}


def test_a_state_that_strangers_wrote_is_an_error_that_names_it(train_run, configured):
    with pytest.raises(KeyboardInterrupt):
        train_run(configured(), "cut", at=33 + 8, error=KeyboardInterrupt)
    file = find("cut").state
    for what, (part, name, value) in STRANGE.items():
        parts = {part: dict(values) for part, values in read_state(file).parts.items()}
        own = file.read_bytes()
        parts[part][name] = value
        write_state(file, parts)
        with pytest.raises(ModelError, match="the state of the run cannot be read") as caught:
            train_run(configured(), "cut")
        assert caught.value.facts["where"] == file, what
        file.write_bytes(own)
    train_run(configured(), "cut")


def test_a_state_says_nan_and_infinity_and_keeps_every_bit(tmp_path):
    values = torch.tensor([-0.0, 0.1, float("nan")])
    write_state(tmp_path / "s", {"run": {"loss": [float("inf"), 0.1], "none": None}, "model": {"w": values}})
    read = read_state(tmp_path / "s").parts
    assert read["run"] == {"loss": [float("inf"), 0.1], "none": None}
    assert read["model"]["w"].numpy().tobytes() == values.numpy().tobytes()


def test_random_numbers_go_on_where_they_were():
    from clsbench.training.random_state import random_state, restore_random_state

    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random(), random.gauss(0, 1)

    draw()
    state = random_state(torch.device("cpu"))
    expected = draw()
    restore_random_state(state, torch.device("cpu"))
    assert draw() == expected
