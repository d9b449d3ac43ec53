"""Recipes: what is trained when, and the defaults that reach good accuracy untouched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from clsbench.errors import OptionError
from clsbench.json_fields import Scalar
from clsbench.models.classifier import Classifier
from clsbench.training.config import Recipe, TrainConfig, read_options
from clsbench.training.freezing import first_group
from clsbench.training.hardware import check_count, choose_device
from clsbench.training.quantities import is_slice

#: What a recipe trains with unless told otherwise. After the head's stage everything learns at a
#: quarter of its rate: fastai halves it, and a backbone that keeps its statistics wants less.
DEFAULTS: dict[Recipe, dict[str, Scalar]] = {
    "scratch": {"epochs": 30, "lr": 5e-3},
    "frozen": {"epochs": 20, "lr": 3e-3, "augment": "none"},
    "fine-tune": {"epochs": 5, "freeze_epochs": 5, "lr": 3e-3, "lr_mult": 0.01, "unfreeze_mult": 0.25},
}


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own schedule.

    Args:
        name: ``head`` or ``everything``.
        epochs: Its length.
        first: The position of the first layer group that learns.
        lr: The highest learning rate of the head.
        lr_mult: A factor on it for the first group that learns.
    """

    name: str
    epochs: int
    first: int
    lr: float
    lr_mult: float

    @property
    def frozen_backbone(self) -> bool:
        """Whether the head alone learns."""
        return self.name == "head"


def stages(classifier: Classifier, config: TrainConfig) -> list[Stage]:
    """The stages of a configured training, in order.

    Source of ``fine-tune``: J. Howard, S. Gugger, fastai: A Layered API for Deep Learning, 2020.

    Raises:
        OptionError: if options contradict the recipe, or name no layer group.
    """
    head = len(classifier.layer_groups) - 1
    first = first_group(classifier, config.unfreeze_from) if config.unfreeze_from else 0
    if config.recipe == "frozen":
        return [Stage("head", config.epochs, head, config.lr, 1.0)]
    if first == head:
        raise OptionError("that trains the head alone", where="--unfreeze-from", got="head", hint="--recipe frozen")
    if config.recipe == "scratch" or not config.freeze_epochs:
        return [Stage("everything", config.epochs, first, config.lr, config.lr_mult)]
    return [
        Stage("head", config.freeze_epochs, head, config.lr, 1.0),
        Stage("everything", config.epochs, first, config.unfreeze_mult * config.lr, config.lr_mult),
    ]


def configure(recipe: Recipe | None = None, *, pretrained: bool, **asked: object) -> TrainConfig:
    """A configuration from what a user asked for, completed by the recipe's defaults.

    Args:
        recipe: None for ``fine-tune`` from weights and ``scratch`` without.
        pretrained: Whether the network starts from weights.
        asked: Options as :func:`~clsbench.training.config.read_options` takes them; None where nothing
            was asked for. ``lr="auto"`` gives the recipe's rate, for the caller to replace.

    Raises:
        OptionError: if an option is unknown or out of range, or options contradict each other.
        DeviceError: if CUDA is asked for and cannot be used, or there are fewer devices than asked for.
    """
    given, sliced = read_options({"recipe": recipe, **asked}), is_slice(asked.get("lr"))
    chosen = cast(Recipe, given.pop("recipe", None) or ("fine-tune" if pretrained else "scratch"))
    given["device"] = device = choose_device(str(given.get("device", "auto")))
    check_count(int(given.get("devices") or 1), device)
    if chosen != "scratch" and not pretrained:
        raise OptionError(
            f"the recipe {chosen} starts from weights, and the network has none",
            where="--recipe",
            hint="add --pretrained or --weights FILE, or use --recipe scratch",
        )
    if sliced and chosen == "frozen":
        raise OptionError(
            "the recipe frozen trains one layer group, the head", where="--lr", got=asked["lr"], expected="one rate"
        )
    refused = {
        "scratch": ("freeze_epochs", "views", "unfreeze_mult"),
        "frozen": ("freeze_epochs", "unfreeze_from", "lr_mult", "unfreeze_mult"),
    }
    for name in refused.get(chosen, ()):
        if name in given:
            raise OptionError(
                f"the recipe {chosen} does not take this option", where=f"--{name.replace('_', '-')}", got=given[name]
            )
    defaults = dict(DEFAULTS[chosen])
    if sliced:
        defaults["unfreeze_mult"] = 1.0  # the two rates are those of the stage that has both groups
    if chosen == "frozen":
        if given.get("augment", "none") != "none":
            defaults["views"] = 4
        elif given.get("views", 1) != 1:
            defaults["augment"] = "basic"
    config = TrainConfig(recipe=chosen, **{**defaults, **given})  # type: ignore[arg-type]
    _check_views(config, asked="views" in given)
    if "unfreeze_mult" in given and not config.freeze_epochs:
        raise OptionError(
            "the whole network learns from the start, so there is no stage after the head's", where="--unfreeze-mult",
            got=config.unfreeze_mult, expected="--freeze-epochs above 0",
        )  # fmt: skip
    return config


def _check_views(config: TrainConfig, *, asked: bool) -> None:
    """Refuse views that would all be the same, or serve no stage."""
    expected = None
    if config.recipe == "frozen" and config.views == 1 and config.augment != "none":
        expected = "2 or more, or 0 to run the backbone in every epoch: one view leaves nothing to augment"
    elif config.views > 1 and config.augment == "none":
        expected = "1 without augmentation: all views would be the same"
    elif asked and config.recipe == "fine-tune" and not config.freeze_epochs:
        expected = "--freeze-epochs above 0: only a frozen backbone has views"
    if expected:
        raise OptionError("views do not fit the other options", where="--views", got=config.views, expected=expected)
