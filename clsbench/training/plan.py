"""Plan: everything that was decided about a training, for run.json and for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier
from clsbench.run_record import RunModel, RunStage
from clsbench.text import counted
from clsbench.training.config import TrainConfig
from clsbench.training.freezing import freeze, learning_groups
from clsbench.training.recipes import stages

#: torch computes in this; nothing is autocast.
PRECISION = "float32"

#: Layer groups whose rates are shown; of more, the first and the last few.
SHOWN = 6


@dataclass(frozen=True)
class Plan:
    """What a training will do, before its first image is read.

    Args:
        title: The model, the device and the recipe.
        stages: What learns when, and how fast.
        facts: Everything else, and the stages, as (name, text).
    """

    title: str
    stages: tuple[RunStage, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)


def plan(
    classifier: Classifier, config: TrainConfig, model: RunModel, *, auto_lr: bool = False, auto_batch: bool = False
) -> Plan:
    """What a configured training of a network will do.

    Args:
        classifier: With its head; all of it can learn afterwards.
        config: How to train.
        model: Where the network came from.
        auto_lr: Whether the learning rate is still to be found.
        auto_batch: Whether the batch size is still to be found.

    Raises:
        OptionError: if options contradict the recipe, or name no layer group.
    """
    planned = plan_stages(classifier, config)
    height, width = classifier.transform.size
    parameters = sum(parameter.numel() for parameter in classifier.parameters())
    network = (
        f"{_weights(model.options)}, {height}×{width} {classifier.transform.color}, head {config.head}, "
        f"{counted(parameters, 'parameter')}"
    )
    lines = [(stage.name, _stage(stage, auto=auto_lr)) for stage in planned]
    facts = [
        ("network", network),
        *lines,
        ("optimizer", _optimizer(config, auto=auto_batch)),
        ("images", _images(config)),
    ]
    title = f"Training {model.name} on {config.device}, recipe {config.recipe}"
    return Plan(title, planned, (*facts, ("run", _run(config))))


def plan_stages(classifier: Classifier, config: TrainConfig) -> tuple[RunStage, ...]:
    """The stages of a configured training, with the peak rate of each layer group that learns."""
    planned = []
    for stage in stages(classifier, config):
        freeze(classifier, stage.first)
        rates = {group.name: group.lr for group in learning_groups(classifier, stage.lr, stage.lr_mult)}
        planned.append(RunStage(name=stage.name, epochs=stage.epochs, rates=rates))
    freeze(classifier, 0)
    return tuple(planned)


def describe_rates(rates: Mapping[str, float]) -> str:
    """The rates of layer groups, and of many the first and the last few; one where all are the same.

    >>> describe_rates({"conv": 1e-5, "head": 0.001})
    'rates conv: 1e-05, head: 0.001'
    """
    if len(set(rates.values())) == 1:
        return f"rate {next(iter(rates.values())):.2g}"
    texts = [f"{name}: {rate:.2g}" for name, rate in rates.items()]
    if len(texts) > SHOWN:
        texts = [*texts[: SHOWN // 2], "…", *texts[-(SHOWN // 2) :]]
    return f"rates {', '.join(texts)}"


def _weights(options: Mapping[str, object]) -> str:
    if options.get("weights"):
        return f"weights of {Path(str(options['weights'])).name}"
    return "published weights" if options.get("pretrained") else "new weights"


def _stage(stage: RunStage, *, auto: bool) -> str:
    rates = "rate by a range test" if auto else describe_rates(stage.rates)
    return f"{counted(stage.epochs, 'epoch')}, peak learning {rates}"


def _optimizer(config: TrainConfig, *, auto: bool) -> str:
    return ", ".join([
        f"{config.optimizer}, weight decay {config.weight_decay:g}, schedule {config.schedule}",
        "batches as large as memory allows" if auto else f"batches of {config.batch_size}",
        *([f"{config.accumulate} of them a step"] if config.accumulate > 1 else []),
        *([f"gradient norm at most {config.clip_grad:g}"] if config.clip_grad else []),
        *([f"weights averaged with decay {config.ema:g}"] if config.ema else []),
    ])  # fmt: skip


def _images(config: TrainConfig) -> str:
    return ", ".join([
        f"augmentation {config.augment}" + (f" in {config.views} views" if config.views > 1 else ""),
        *([f"mixup {config.mixup:g}"] if config.mixup else []),
        *([f"cutmix {config.cutmix:g}"] if config.cutmix else []),
        *([f"label smoothing {config.label_smoothing:g}"] if config.label_smoothing else []),
        f"class weights {config.class_weights}",
        f"cache {config.cache}",
    ])  # fmt: skip


def _run(config: TrainConfig) -> str:
    return ", ".join([
        f"seed {config.seed}, {PRECISION}, {counted(available_cores(), 'thread')}",
        f"patience {counted(config.patience, 'epoch')}" if config.patience else "no early stopping",
        f"time limit {config.max_time:g} s" if config.max_time else "no time limit",
    ])  # fmt: skip
