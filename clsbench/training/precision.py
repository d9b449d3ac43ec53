"""The precision that forward and backward passes of training compute in; weights and validation are float32.

What is validated is the network as it is exported, and a resumed run goes on in the precision of run.json.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from clsbench.errors import DeviceError, OptionError
from clsbench.models.classifier import Classifier, evaluating
from clsbench.text import counted
from clsbench.training.config import Precision, TrainConfig
from clsbench.training.hardware import operations

if TYPE_CHECKING:
    from clsbench.training.observer import Observer
    from clsbench.training.processes import Processes

#: As run.json has it.
NAMES: dict[Precision, str] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

#: As people read it.
DESCRIBED: dict[Precision, str] = {
    "auto": "precision still to be chosen",
    "fp32": "float32",
    "bf16": "bfloat16 with float32 weights",
    "fp16": "float16 with float32 weights and a scaled loss",
}

#: Floating-point operations for each number that a layer puts out, and of a whole image, above which bfloat16
#: is worth its conversions on a CPU. CPU time of a step at 224 pixels on AVX512-BF16, float32 over bfloat16:
#: ResNet-18 (485 operations a number) 1.9, ConvNeXt-tiny (284) 1.5, DenseNet-121 (147) 1.8, RegNetY-400MF (71)
#: 1.5; but ShuffleNetV2 (53) 1.0, EfficientNet-Lite0 (37) 0.8, MobileNetV3-small (27) 0.6. Like the number of
#: threads it is chosen by the work alone and not by the clock, so that a run with the same seed gives the same
#: weights.
DENSE, LARGE = 60.0, 5e8


def settle(config: TrainConfig, classifier: Classifier, processes: Processes, observer: Observer) -> TrainConfig:
    """Decide what ``auto`` leaves open, and prepare network and processes for it.

    Args:
        config: How to train.
        classifier: On the CPU.
        processes: They compute in what is decided.
        observer: Hears what several processes change.

    Returns:
        The configuration with the precision and the number of processes.

    Raises:
        DeviceError: if the device cannot compute in the precision asked for.
        OptionError: if batches are smaller than the number of processes.
    """
    if config.batch_size < processes.count:
        raise OptionError(
            "each process needs an image of a batch", where="--batch-size", got=config.batch_size,
            expected=f"at least {processes.count}, the number of processes",
        )  # fmt: skip
    precision = choose_precision(config.precision, classifier, processes.device)
    processes.compute_in(precision)
    if processes.several:
        if processes.rank:  # dropout is to differ
            torch.manual_seed(config.seed + processes.rank)
        _share_statistics(config, classifier, processes, observer)
    return dataclasses.replace(config, precision=precision, devices=processes.count)


def choose_precision(asked: Precision, classifier: Classifier, device: torch.device) -> Precision:
    """What was asked for; for ``auto`` bfloat16 where it makes this network faster on this device.

    Raises:
        DeviceError: if the device cannot compute in it.
    """
    if asked == "fp16" and device.type == "cpu":
        raise DeviceError(
            "float16 is for GPUs", where="--precision fp16", got="cpu", hint="use --precision bf16, fp32 or auto"
        )
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if cpu_multiplies_bf16() and worth_bf16(classifier) else "fp32"


def cpu_multiplies_bf16() -> bool:
    """Whether this processor has instructions for products of bfloat16: AVX512-BF16 or AMX."""
    found: bool = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return found


def worth_bf16(classifier: Classifier) -> bool:
    """Whether a network computes enough with each number for bfloat16 to pay on a CPU."""
    example = torch.zeros(2, *classifier.transform.size, 3, dtype=torch.uint8)
    work = operations(classifier, example)
    return work / 2 >= LARGE and work / outputs(classifier, example) >= DENSE


def outputs(network: nn.Module, example: Tensor) -> int:
    """Numbers that the layers of a network put out for an example."""
    total = 0

    def count(module: nn.Module, given: object, output: object) -> None:
        nonlocal total
        total += output.numel() if isinstance(output, Tensor) else 0

    hooks = [m.register_forward_hook(count) for m in network.modules() if not next(m.children(), None)]
    try:
        with torch.inference_mode(), evaluating(network):
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, total)


def _share_statistics(config: TrainConfig, classifier: Classifier, processes: Processes, observer: Observer) -> None:
    """Let batch normalisation take its statistics from whole batches where it can, and say where it cannot."""
    if config.recipe != "scratch" or not any(isinstance(module, _BatchNorm) for module in classifier.modules()):
        return
    if processes.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(classifier)  # type: ignore[no-untyped-call]
        return
    part = counted(config.batch_size // processes.count, "image")
    observer.warn(
        f"batch normalisation takes the statistics of each process's {part} of a batch, not of all "
        f"{config.batch_size}: on CPUs torch cannot join them"
    )
