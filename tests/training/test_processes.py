"""Several processes on CPUs, which talk through gloo, against one; and what one computes in."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from clsbench.api.observer import Observer
from clsbench.api.train import train as train_task
from clsbench.errors import DeviceError, OptionError
from clsbench.models.classifier import Classifier
from clsbench.runs import Run
from clsbench.training import hardware
from clsbench.training.precision import choose_precision, settle, worth_bf16
from clsbench.training.processes import LostProcess, Processes
from clsbench.transform import ImageTransform

CPU = torch.device("cpu")

#: Batches that two processes cannot share evenly, and weights in the loss that differ from batch to batch.
UNEVEN = {
    "batch_size": 33, "accumulate": 2, "class_weights": "balanced", "label_smoothing": 0.1, "ema": 0.9,
    "clip_grad": 1.0, "epochs": 2, "data_fraction": 0.2, "device": "cpu", "augment": "basic",
}  # fmt: skip


@pytest.fixture
def two_cores(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hardware, "available_cores", lambda: 2)


STRANGE = [{"WORLD_SIZE": "x"}, {"WORLD_SIZE": "2", "RANK": "2"}, {"WORLD_SIZE": "2", "RANK": "x"}, {"WORLD_SIZE": "2"}]


@pytest.mark.parametrize("environment", STRANGE)
def test_an_environment_that_names_no_place_among_processes_is_wrong_usage(environment, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for name, value in ({"RANK": "0"} | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match="the environment"):
        train_task(run="never")


def test_two_processes_train_what_one_trains(two_cores):
    one = train_task(run="one", **UNEVEN)
    two = train_task(run="two", devices=2, **UNEVEN)
    for theirs, ours in zip(one.history, two.history, strict=True):
        found = [(e.train_loss, e.train_accuracy, e.val_loss, e.val_accuracy, e.lr) for e in (theirs, ours)]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-4)
    assert two.test_accuracy == one.test_accuracy
    assert two.held_out.to_json() == one.held_out.to_json()
    torch.testing.assert_close(load_file(two.run.best), load_file(one.run.best), rtol=1e-3, atol=1e-4)
    assert two.check.to_json() == one.check.to_json()
    assert {file.name for file in two.run.path.iterdir()} == {file.name for file in one.run.path.iterdir()}
    assert len(two.run.log.read_text().splitlines()) == 3
    assert two.record.training["devices"] == 2
    assert not multiprocessing.active_children()
    assert "WORLD_SIZE" not in os.environ


def test_a_killed_process_ends_the_run_with_its_name(two_cores):
    class Killing(Observer):
        said = ()

        def epoch(self, result):
            number = signal.SIGINT if result.epoch < 3 else signal.SIGKILL  # a terminal sends Ctrl-C to all of them
            os.kill(multiprocessing.active_children()[0].pid, number)

        def warn(self, text):
            self.said = (*self.said, text)

    observer = Killing()
    with pytest.raises(LostProcess, match="process 1 of 2 was killed by SIGKILL"):
        train_task(run="mine", devices=2, observer=observer, **{**UNEVEN, "epochs": 500})
    assert "mine keeps its best so far, epoch" in "".join(observer.said)
    assert not multiprocessing.active_children()
    assert load_file("runs/mine/best.safetensors")
    assert "process 1 of 2" in Run(Path("runs/mine")).read_record().result.stopped
    assert Run(Path("runs/mine")).read_record().result.epochs == 3


def test_more_devices_than_there_are_and_batches_too_small_are_refused(two_cores, tiny, configured):
    with pytest.raises(DeviceError, match="at most 2: this process may use 2 cores"):
        train_task(devices=3, device="cpu")
    with pytest.raises(OptionError, match="at least 8, the number of processes"):
        settle(configured(batch_size=6), tiny(), Processes(count=8), Observer())


def classifier_of(*layers: nn.Module, size: int = 112) -> Classifier:
    half = (0.5, 0.5, 0.5)
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Classifier(
        backbone, nn.Linear(64, 3), feature_dim=64, transform=ImageTransform(size=(size, size), mean=half, std=half)
    )


def test_bfloat16_is_for_dense_convolutions_on_processors_that_have_it(monkeypatch, tiny):
    dense = classifier_of(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3))
    depthwise = classifier_of(
        nn.Conv2d(3, 64, 3), *(nn.Conv2d(64, 64, 3, padding=1, groups=64) for _ in range(80)), size=112
    )
    assert [worth_bf16(network) for network in (dense, depthwise, tiny())] == [True, False, False]
    for has in (True, False):
        monkeypatch.setattr("clsbench.training.precision.cpu_multiplies_bf16", lambda has=has: has)
        assert choose_precision("auto", dense, CPU) == ("bf16" if has else "fp32")
        assert choose_precision("auto", depthwise, CPU) == "fp32"
        assert choose_precision("bf16", tiny(), CPU) == "bf16"
    with pytest.raises(DeviceError, match="float16 is for GPUs"):
        choose_precision("fp16", dense, CPU)


def test_training_in_bfloat16_keeps_weights_and_what_is_validated_in_float32(tiny):
    network, processes = tiny(), Processes()
    images = torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8)
    exact = network(images)
    processes.compute_in("bf16")
    outputs = processes.prepare(network)(images)
    assert outputs.dtype == torch.float32
    assert 0 < (outputs - exact).abs().max() < 0.05
    processes.backward(outputs.sum())
    assert {p.grad.dtype for p in network.parameters()} == {torch.float32}
    assert torch.equal(processes.prepare(network, exact=True)(images), exact)
    assert torch.equal(network(images), exact), "the network itself was changed"


@pytest.mark.parametrize("works", [True, False])
def test_a_network_that_cannot_be_compiled_trains_without(tiny, monkeypatch, works):
    def compile(network):
        def call(inputs):
            if not works:
                raise RuntimeError("no compiler\nand much else")
            return network(inputs)

        return call

    monkeypatch.setattr(torch, "compile", compile)
    network, said = tiny(), []
    images = torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8)
    prepared = Processes().prepare(network, compiled=said.append)
    for _ in range(2):
        assert torch.equal(prepared(images), network(images))
    assert said == ([] if works else ["the network is not compiled, and trains without: RuntimeError: no compiler"])
