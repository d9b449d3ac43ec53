"""What a GPU would wait for, seen without one: every reading of a tensor and every blocking copy is counted.

The CPU runs the same operators; tensors on ``meta`` have shapes alone, and copies to it say how they were asked for.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._python_dispatch import TorchDispatchMode

from clsbench.training import features, hardware, lr_finder, setup, transfer
from clsbench.training.augmentation import Augmentation
from clsbench.training.averaging import Average
from clsbench.training.recipes import Stage
from clsbench.training.steps import REPORT, Steps
from clsbench.training.transfer import fits_on_device, to_tensor
from clsbench.training.validation import validate
from clsbench.transform import ImageTransform

CPU, META, CUDA = torch.device("cpu"), torch.device("meta"), torch.device("cuda")
HEAD, EVERYTHING = Stage("head", 2, 2, 0.05, 1.0), Stage("everything", 1, 0, 0.05, 1.0)

#: Operators whose result's value or shape the CPU has to know.
READING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")


class Waiting(TorchDispatchMode):
    """Remembers what would make the CPU wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.read, self.copied = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.read += name in READING
        if name == "_to_copy" and kwargs.get("device") == META and args[0].device == CPU:
            self.copied += not kwargs.get("non_blocking")
        masks = args[1] if name in ("index", "index_put_", "index_put") else ()
        self.read += any(mask is not None and mask.dtype == torch.bool for mask in masks)
        return func(*args, **(kwargs or {}))


def test_steps_read_nothing_between_two_reports(normed, pictures, colours, configured, set_up_for):
    config = configured(batch_size=6, ema=0.9, clip_grad=1.0, class_weights="balanced", label_smoothing=0.1)
    made = set_up_for(normed(), pictures(train=colours(6 * 25)), config)
    batches, _, _ = made.batches(EVERYTHING)
    steps = Steps(
        made.classifier, EVERYTHING, config, len(batches), features=False, class_weights=made.class_weights(),
        mix=None,
    )  # fmt: skip
    heard = []
    with Waiting() as waiting:
        steps.train(batches, 1, lambda _: None, lambda epoch, loss: heard.append(loss), lambda: False)
    assert len(heard) == 25 // REPORT + 1
    assert waiting.read == len(heard) + 2  # at the end loss and accuracy


def test_validation_reads_its_sums_once(normed, pictures, configured, set_up_for):
    made = set_up_for(normed(), pictures(), configured(batch_size=1))
    with Waiting() as waiting:
        validate(made.classifier, made.batches(EVERYTHING)[1])
    assert waiting.read == 2


@pytest.mark.parametrize(
    "transform",
    [
        ImageTransform(size=(32, 32)),
        ImageTransform(size=(32, 32), resize="letterbox"),
        ImageTransform(size=(80, 80)),
        ImageTransform(size=(80, 80), resize="letterbox"),
    ],
    ids=["shift", "shift beside padding", "crop", "zoom beside padding"],
)
def test_augmentation_waits_for_no_copy(transform):
    augmentation = Augmentation("basic", transform, 5)
    images = torch.empty(5, *augmentation.stored_size, 3, dtype=torch.uint8, device=META)
    shapes = np.tile(np.float32([0, 0, 1, 1, 1]), (5, 1))
    with Waiting() as waiting:
        seen = augmentation.apply(images, shapes, np.arange(5), 1)
    assert seen.shape == (5, *transform.size, 3)
    assert (waiting.read, waiting.copied) == (0, 0)


def test_a_copy_to_a_gpu_is_of_pinned_memory(monkeypatch):
    """A copy of pageable memory is staged by the driver, and waited for (CUDA: cudaMemcpyAsync)."""
    done = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: done.append("pinned") or tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *given, **options: done.append((given, options)) or tensor)
    to_tensor(np.zeros(3), CUDA)
    assert done == ["pinned", ((CUDA,), {"non_blocking": True})]


def test_a_part_of_a_gpus_free_memory_is_taken_and_none_of_a_cpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    assert [fits_on_device(size, CUDA) for size in (250, 251)] == [True, False]
    assert not fits_on_device(1, CPU)
    assert transfer.DEVICE_SHARE == 0.25


@pytest.mark.parametrize("policy", ["none", "basic"])
def test_images_that_stay_on_the_device_are_the_same_batches(
    policy, tiny, pictures, configured, set_up_for, monkeypatch
):
    config, found = configured(augment=policy), []
    for stays in (False, True):
        monkeypatch.setattr(setup, "fits_on_device", lambda size, device, stays=stays: stays)
        made = set_up_for(tiny(), pictures(), config)
        train, val, _ = made.batches(EVERYTHING)
        assert (made.train._on_device is not None, made.train._stored is None) == (stays, stays)
        found.append([*train.epoch(1), *val.epoch(0)])
        made.close()
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_features_that_stay_on_the_device_are_the_same_batches(normed, pictures, configured, set_up_for, monkeypatch):
    found = []
    for stays in (False, True):
        monkeypatch.setattr(features, "fits_on_device", lambda size, device, stays=stays: stays)
        train, val, cached = set_up_for(normed(), pictures(), configured(recipe="frozen", views=2)).batches(HEAD)
        assert cached
        assert isinstance(train.source.fetch(np.arange(3), 1)[0], torch.Tensor) == stays
        found.append([*train.epoch(1), *train.epoch(2), *val.epoch(0)])
    torch.testing.assert_close(*found, rtol=0, atol=0)


@pytest.mark.parametrize(("device", "options"), [(CPU, {}), (CUDA, {"memory_format": torch.channels_last})])
def test_weights_are_channels_last_on_a_gpu_only(device, options):
    moved = []
    hardware.put_on(device, SimpleNamespace(to=lambda *given, **options: moved.append((given, options))))
    assert moved == [((device,), options)]


@pytest.mark.parametrize(("device", "used"), [(CPU, []), (CUDA, [3])])
def test_a_gpu_that_is_not_used_is_not_touched_by_the_range_test(device, used, monkeypatch):
    """``fork_rng()`` by itself saves the state of every GPU, which makes a context on each."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert lr_finder.gpus_of(device) == used


def test_the_average_is_torchs_to_the_bit(normed):
    network, decay = normed(), 0.9
    ours = Average(network, decay)

    def update(averaged, current, count):
        n = float(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, count)

    theirs = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    for _ in range(12):
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.add_(torch.randn(tensor.shape).to(tensor.dtype) * (10 if tensor.dtype == torch.int64 else 1))
        ours.update(network)
        theirs.update_parameters(network)
    torch.testing.assert_close(ours.module.state_dict(), theirs.module.state_dict(), rtol=0, atol=0)
