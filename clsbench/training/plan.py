"""Plan: everything that was decided about a training, for run.json and for people to read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from clsbench import __version__
from clsbench.json_fields import Scalar
from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier
from clsbench.run_record import RunData, RunModel, RunStage
from clsbench.text import counted
from clsbench.training.config import TrainConfig
from clsbench.training.freezing import freeze, learning_groups
from clsbench.training.precision import DESCRIBED
from clsbench.training.recipes import stages

#: Options of training that the facts always tell in words of their own, and those that they tell where they are on;
#: all others stand in a list, and those that are off in another one.
TOLD = (
    "recipe", "epochs", "freeze_epochs", "lr", "lr_mult", "unfreeze_mult", "schedule", "optimizer", "weight_decay",
    "batch_size", "class_weights", "augment", "head", "patience", "max_time", "cache", "seed", "device", "devices",
    "precision", "sampler",
)  # fmt: skip
TOLD_IF_ON = (
    "compile", "clip_grad", "ema", "mixup", "cutmix", "label_smoothing", "deterministic", "checkpoint_every",
)  # fmt: skip
TOLD_IF_SEVERAL = ("accumulate", "views")  # and one is not worth a word

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
    classifier: Classifier,
    config: TrainConfig,
    model: RunModel,
    *,
    data: RunData | None = None,
    split: Mapping[str, Scalar] | None = None,
    auto_lr: bool = False,
    auto_batch: bool = False,
) -> Plan:
    """What a configured training of a network will do.

    Args:
        classifier: With its head; all of it can learn afterwards.
        config: How to train.
        model: Where the network came from.
        data: Where the images came from.
        split: How they were asked to be split.
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
    if built := _values({**model.options, **model.defaults}, but=("pretrained", "weights")):
        network += f", {built}"
    facts = [
        *([("data", _data(data, split or {}))] if data else []), ("network", network), *lines,
        ("optimizer", _optimizer(config, auto=auto_batch)), ("images", _images(config)),
        ("devices", _devices(config)), ("run", _run(config)), *_others(config), ("versions", _versions(model)),
    ]  # fmt: skip
    title = f"Training {model.name} on {config.device}, recipe {config.recipe}"
    return Plan(title, planned, tuple(facts))


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


def _data(data: RunData, split: Mapping[str, Scalar]) -> str:
    place = [data.dataset.removeprefix("clsbench/"), *([data.root] if data.root else [])]
    told = [" ".join(place), _values({**data.options, **data.defaults}), _values(split)]
    return "; ".join([text for text in told[:2] if text] + ([f"split: {told[2]}"] if told[2] else []))


def _values(options: Mapping[str, Scalar], *, but: Collection[str] = ()) -> str:
    """Options as people read them, those that have no value left out.

    >>> _values({"width": 16, "bias": False, "mean": None})
    'width 16, bias no'
    """
    return ", ".join(f"{k} {_value(v)}" for k, v in options.items() if v not in (None, "") and k not in but)


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else "none" if value in (None, "") else str(value)


def _others(config: TrainConfig) -> list[tuple[str, str]]:
    """All that no other fact tells: options with their values, and the names of those that are off."""
    told = {*TOLD, *TOLD_IF_SEVERAL, *(name for name in TOLD_IF_ON if getattr(config, name))}
    values = {f.name.replace("_", "-"): getattr(config, f.name) for f in fields(config) if f.name not in told}
    on = ", ".join(f"{name} {_value(value)}" for name, value in values.items() if value)
    off = ", ".join(name for name, value in values.items() if not value)
    return [(name, text) for name, text in (("other", on), ("off", off)) if text]


def _versions(model: RunModel) -> str:
    own = f", {model.distribution} {model.version}" if model.distribution not in (None, "clsbench") else ""
    return f"clsbench {__version__}, torch {torch.__version__}{own}"


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
        *(["all classes drawn as often"] if config.sampler == "balanced" else []),
        f"cache {config.cache}",
    ])  # fmt: skip


def _devices(config: TrainConfig) -> str:
    threads = counted(available_cores(), "thread")
    return ", ".join([
        f"{config.devices} processes on {config.device} with {threads} each" if config.devices > 1
        else f"{config.device}, {threads}",
        DESCRIBED[config.precision],
        *(["compiled"] if config.compile else []),
    ])  # fmt: skip


def _run(config: TrainConfig) -> str:
    return ", ".join([
        f"seed {config.seed}",
        *(["deterministic"] if config.deterministic else []),
        f"patience {counted(config.patience, 'epoch')}" if config.patience else "no early stopping",
        f"time limit {config.max_time:g} s" if config.max_time else "no time limit",
        *([f"its state saved every {counted(every, 'batch', 'batches')}"]
          if (every := config.checkpoint_every) else []),
    ])  # fmt: skip
