"""Which layer groups learn, and how fast.

A frozen group is frozen whole: its normalisation layers keep their statistics, so that its
output depends on the image alone and can be computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from clsbench.errors import OptionError
from clsbench.models.classifier import Classifier

HEAD = "head"


@dataclass(frozen=True)
class Group:
    """Parameters that learn at one rate.

    Args:
        name: Of the layer group.
        parameters: That are trained.
        lr: The highest learning rate of the schedule.
    """

    name: str
    parameters: list[nn.Parameter]
    lr: float


def first_group(classifier: Classifier, name: str) -> int:
    """The position of the layer group that ``--unfreeze-from`` names; ``layer4`` also means ``layer4.0``.

    Raises:
        OptionError: if there is none; lists them.
    """
    names = [group for group, _ in classifier.layer_groups]
    for position, group in enumerate(names):
        if group == name or group.startswith(f"{name}."):
            return position
    raise OptionError("the model has no such layer group", where="--unfreeze-from", got=name, expected=", ".join(names))


def freeze(classifier: Classifier, before: int) -> None:
    """Let the layer groups from position ``before`` on learn, and no others."""
    for position, (_, parameters) in enumerate(classifier.layer_groups):
        for parameter in parameters:
            parameter.requires_grad_(position >= before)


def learning_groups(classifier: Classifier, lr: float, lr_mult: float) -> list[Group]:
    """The groups that learn, each with its rate.

    The head learns at ``lr``, the backbone's groups at even ratios from ``lr * lr_mult`` for the
    first to ``lr * sqrt(lr_mult)`` for the last, as fastai's three groups do.

    Source: J. Howard, S. Ruder, Universal Language Model Fine-tuning, ACL 2018 (discriminative
    fine-tuning).
    """
    learning = [(name, [p for p in parameters if p.requires_grad]) for name, parameters in classifier.layer_groups]
    body = [(name, parameters) for name, parameters in learning if parameters and name != HEAD]
    steps = max(1, len(body) - 1)
    groups = [Group(name, p, lr * lr_mult ** (1 - k / (2 * steps))) for k, (name, p) in enumerate(body)]
    return [*groups, *(Group(name, parameters, lr) for name, parameters in learning if name == HEAD)]


def training_mode(classifier: Classifier, *, keep_statistics: bool) -> None:
    """Training mode for what learns, evaluation mode for what is frozen.

    Args:
        classifier: With what is frozen by :func:`freeze`.
        keep_statistics: Whether batch normalisation keeps its running statistics even where it
            learns. A pretrained network has seen more images than a fine-tuning ever will, and a
            head that was trained on the frozen backbone's features goes on with the same ones.
    """
    classifier.train()
    _settle(classifier, keep_statistics)


def _settle(module: nn.Module, keep_statistics: bool) -> None:
    parameters = list(module.parameters())
    frozen = bool(parameters) and not any(p.requires_grad for p in parameters)
    if frozen or (keep_statistics and isinstance(module, _BatchNorm)):
        module.eval()  # with all it holds, such as a dropout between frozen layers
        return
    for child in module.children():
        _settle(child, keep_statistics)
