"""Memory: what a batch needs while a network trains, the batch size that fits, and what to say where one does not.

``--batch-size auto`` is computed and not searched for, so that a machine gives one answer and no other program
loses its memory: what autograd keeps of two images is counted, and the largest power of two is taken that fits into a
part of the free memory. On a GPU one real step proves it, and halves it while the memory does not suffice (Accelerate's
``find_executable_batch_size``). A CPU is not asked: Linux would rather end a program than refuse it memory.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from clsbench.errors import DeviceMemoryError
from clsbench.machine import available_memory
from clsbench.models.classifier import Classifier
from clsbench.text import file_size
from clsbench.training.config import TrainConfig
from clsbench.training.freezing import freeze, learning_groups, training_mode
from clsbench.training.lr_finder import gpus_of
from clsbench.training.optimisation import build_optimizer
from clsbench.training.recipes import Stage, stages
from clsbench.training.setup import Setup

#: The part of the free memory that batches may take: on a CPU other programs want some, and pages are lent twice.
SHARE = {"cpu": 0.5, "cuda": 0.85}

#: Memory of a step over what autograd keeps: gradients on their way back, and the room that convolutions work in.
#: Measured on a CPU: 0.95 to 1.1 for ResNet-18, EfficientNet-Lite0 and MobileNetV3-small.
OVERHEAD = 1.25

#: The largest batch that is chosen, and the steps that an epoch keeps unless batches are of :data:`USUAL`: learning
#: rates are tuned for small batches, and an epoch of three steps learns little.
LARGEST, FEWEST_STEPS, USUAL = 256, 16, 32


def fitting_batch_size(setup: Setup) -> int:
    """The batch size of ``--batch-size auto``, of all processes together; the observer hears why.

    Args:
        setup: Network and images; neither weights nor random numbers are changed.

    Raises:
        DeviceMemoryError: if not even one image fits.
    """
    config, classifier, processes = setup.config, setup.classifier, setup.processes
    stage = stages(classifier, config)[-1]
    cached = stage.frozen_backbone and config.views > 0 and not (config.mixup or config.cutmix)
    wanted = _power_of_two(min(LARGEST, max(USUAL, len(setup.train.indices) // FEWEST_STEPS)))
    device = setup.device
    with torch.random.fork_rng(devices=gpus_of(device)):
        fixed, each = (0, 1) if cached else needs(classifier, stage, config, setup.example)
        free = int(SHARE[device.type] * _free_memory(device)) - fixed
        mine = _power_of_two(max(1, min(wanted // processes.count, free // each)))
        if device.type != "cpu" and not cached:
            mine = _tried(classifier, stage, config, setup.example, mine)
    size = processes.count * min(processes.union({str(processes.rank): mine}).values())
    steps = "the usual one for few images" if wanted == USUAL else f"what {FEWEST_STEPS} steps an epoch allow"
    limit = "memory" if size < wanted else steps if wanted < LARGEST else "its limit"
    why = "" if cached else f"; some {file_size(each)} an image, {file_size(max(0, free))} may be used"
    setup.observer.note(f"batch size {size} by --batch-size auto: {limit}{why}")
    return size


def needs(classifier: Classifier, stage: Stage, config: TrainConfig, example: Tensor) -> tuple[int, int]:
    """Bytes that a training takes whatever the batch size, and bytes of each image of a batch.

    Args:
        classifier: In any mode; a copy of it takes the step.
        stage: What learns.
        config: How to train.
        example: Two images uint8 (2, h, w, 3), on the device of the classifier.
    """
    network = copy.deepcopy(classifier)
    freeze(network, stage.first)
    training_mode(network, keep_statistics=config.recipe == "fine-tune")
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network(example)  # held, so that no memory is freed and counted twice
    learning = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    del logits
    # A gradient, and up to two moments of the optimizer, beside each weight; and an average of the weights.
    return (3 + (config.ema > 0)) * learning, max(1, int(OVERHEAD * sum(kept.values()) / len(example)))


@contextmanager
def memory_explained(config: TrainConfig) -> Iterator[None]:
    """Within, an error that memory is used up says which batch size to try.

    Raises:
        DeviceMemoryError: for it.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        gc.collect()  # what cycles hold of the failed step is free for whoever tries again
        message = str(error).partition("\n")[0].rpartition("DefaultCPUAllocator: ")[2].partition(". ")[0]
        raise DeviceMemoryError(
            f"there is not enough memory for batches of {config.batch_size}",
            where=f"--device {config.device}",
            got=message or type(error).__name__,
            hint=_smaller(config),
        ) from None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up."""
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(should_reduce_batch_size(error))


def _smaller(config: TrainConfig) -> str:
    """What to try where batches are too large."""
    size = config.batch_size
    if size == 1:
        return "use a smaller network, or smaller images (--size)"
    half = _power_of_two(size - 1)
    times = config.accumulate * -(-size // half)
    return (
        f"try --batch-size {half} --accumulate {times}, which takes steps of as many images; "
        "or --batch-size auto for the largest that fits"
    )


def _tried(classifier: Classifier, stage: Stage, config: TrainConfig, example: Tensor, start: int) -> int:
    """The batch size, halved until a real step succeeds."""
    from accelerate.utils import find_executable_batch_size

    size = start

    def halved() -> int:
        nonlocal size
        size //= 2
        return size

    def step(batch_size: int) -> int:
        network = copy.deepcopy(classifier)
        freeze(network, stage.first)
        training_mode(network, keep_statistics=config.recipe == "fine-tune")
        optimizer = build_optimizer(learning_groups(network, stage.lr, stage.lr_mult), config)
        images = example[:1].expand(batch_size, *example.shape[1:]).contiguous()
        labels = torch.zeros(batch_size, dtype=torch.int64, device=example.device)
        nn.functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        torch.cuda.synchronize() if example.is_cuda else None
        return batch_size

    try:
        return int(find_executable_batch_size(step, starting_batch_size=start, reduce_batch_size_fn=halved)())
    except RuntimeError as error:
        if "reached zero" not in str(error):
            raise
        raise DeviceMemoryError(
            "there is not enough memory to train on one image", where=f"--device {config.device}",
            hint="use a smaller network, or smaller images (--size)",
        ) from None  # fmt: skip


def _free_memory(device: torch.device) -> int:
    """Bytes that this process may still take on a device, with what torch holds there and does not use."""
    if device.type == "cpu":
        return available_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _power_of_two(number: int) -> int:
    """The largest power of two that is at most a number of at least 1."""
    return 1 << (int(number).bit_length() - 1)
