"""Memory that is used up: the batch size to try, and the one that fits."""

import numpy as np
import pytest
import torch

from clsbench.errors import DeviceMemoryError
from clsbench.training import memory
from clsbench.training.config import TrainConfig
from clsbench.training.recipes import stages
from clsbench.training.steps import Steps

ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
)
GPU = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB."


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError(f"{ALLOCATOR} 40000000000 bytes. Error code 12 (Cannot allocate memory)"),
            "can't allocate memory",
        ),
        (torch.OutOfMemoryError(GPU), "CUDA out of memory"),
        (MemoryError(), "MemoryError"),
        (np._core._exceptions._ArrayMemoryError((9, 9), np.dtype("f4")), "Unable to allocate"),
    ],
    ids=["torch on a CPU", "torch on a GPU", "Python", "numpy"],
)
def test_it_is_one_message_that_names_the_batch_size_to_try(error, message, configured):
    config = configured(batch_size=48, accumulate=2)
    words = "not enough memory for batches of 48"
    with pytest.raises(DeviceMemoryError, match=words) as caught, memory.memory_explained(config):
        raise error
    assert "--batch-size 32 --accumulate 4" in caught.value.facts["to do"]
    assert caught.value.facts["got"].startswith(message)


def test_of_a_single_image_the_network_is_too_large_and_other_errors_pass(configured):
    with pytest.raises(DeviceMemoryError) as caught, memory.memory_explained(configured(batch_size=1)):
        raise MemoryError
    assert "--size" in caught.value.facts["to do"]
    with pytest.raises(RuntimeError, match="sizes do not match"), memory.memory_explained(configured()):
        raise RuntimeError("sizes do not match")


def test_a_training_without_memory_ends_with_its_best_epoch(tiny, pictures, configured, train, monkeypatch, tmp_path):
    loss_of, seen = Steps.loss, []

    def loss(self, inputs, labels):
        seen.append(None)
        if len(seen) > 6:
            raise torch.OutOfMemoryError(GPU)
        return loss_of(self, inputs, labels)

    monkeypatch.setattr(Steps, "loss", loss)
    with pytest.raises(DeviceMemoryError), memory.memory_explained(configured()):
        train(tiny(), pictures(), configured(epochs=4))
    assert not list(tmp_path.glob("runs/run/*.partial"))


def test_what_an_image_needs_is_what_autograd_keeps_of_it(normed, configured):
    classifier = normed()
    example = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    stage = stages(classifier, configured())[0]
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    fixed, each = memory.needs(classifier, stage, configured(), example)
    assert fixed == 3 * 4 * sum(p.numel() for p in classifier.parameters())
    # Input, and twice a convolution's, its normalisation's and its ReLU's output; pooled features, logits.
    maps = 3 * 64 + 2 * 2 * 6 * 64
    assert memory.OVERHEAD * 4 * maps <= each <= 1.5 * memory.OVERHEAD * 4 * (maps + 2 * 6 * 64)
    torch.testing.assert_close(dict(classifier.state_dict()), before, rtol=0, atol=0)
    larger, _ = memory.needs(classifier, stage, configured(ema=0.9), example)
    assert larger == fixed * 4 / 3


@pytest.mark.parametrize(
    ("images", "free", "size"),
    [(24, 1e12, 32), (1100, 1e12, 64), (100_000, 1e12, 256), (100_000, 1e6, 16), (24, 2e5, 1)],
)
def test_the_size_is_the_largest_power_of_two_that_memory_and_the_steps_of_an_epoch_allow(
    images, free, size, tiny, pictures, configured, set_up_for, monkeypatch, observer
):
    made = set_up_for(tiny(), pictures(), configured())
    monkeypatch.setattr(type(made.train), "indices", property(lambda self: np.arange(images)))
    monkeypatch.setattr(memory, "available_memory", lambda: int(free))
    monkeypatch.setattr(memory, "needs", lambda *_: (100_000, 20_000))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert memory.fitting_batch_size(made) == size
    assert f"batch size {size} by --batch-size auto" in observer.notes[-1]
    assert torch.equal(torch.get_rng_state(), state)


def test_a_gpu_is_asked_and_the_size_halved_while_it_has_no_room(tiny, configured, monkeypatch):
    """The step is real; the memory of this device ends at nine images."""
    classifier, config = tiny(), configured()
    entropy, tried = torch.nn.functional.cross_entropy, []

    def scarce(logits, labels):
        tried.append(len(logits))
        if len(logits) > 9:
            raise torch.OutOfMemoryError(GPU)
        return entropy(logits, labels)

    monkeypatch.setattr("torch.nn.functional.cross_entropy", scarce)
    example = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    assert memory._tried(classifier, stages(classifier, config)[0], config, example, 32) == 8
    assert tried == [32, 16, 8]
    monkeypatch.setattr("torch.nn.functional.cross_entropy", lambda *_: scarce(torch.zeros(99), None))
    with pytest.raises(DeviceMemoryError, match="one image"):
        memory._tried(classifier, stages(classifier, config)[0], config, example, 4)


def test_auto_is_an_option_and_no_batch_size():
    from clsbench.training.config import read_options

    assert read_options({"batch_size": "auto", "lr": "auto"}) == {}
    assert read_options({"batch_size": "64"}) == {"batch_size": 64}
    assert TrainConfig(epochs=1, lr=0.1).batch_size == 32
