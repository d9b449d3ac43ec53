"""Divergence: a loss or weights that are NaN or infinite, where that began, and what to try instead.

Nothing here makes a GPU wait at each batch: losses are read in groups, weights once an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clsbench.errors import ModelError
from clsbench.text import some
from clsbench.training.config import TrainConfig
from clsbench.training.recipes import DEFAULTS

#: What an optimizer that multiplies the weights by (1 - lr · weight_decay) at each step cannot stand: they
#: change their sign and grow. Source: I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR 2019.
DECAYED = 2.0

#: A validation loss in nats that nothing worth keeping has: guessing costs ln K, 14 for a million classes. It may
#: pass, since running statistics lag behind in the first steps; but what diverges after it leaves nothing good.
HOPELESS = 1e3

#: The weight decay to go back to.
USUAL_DECAY = 0.01


class Diverged(ModelError):
    """Training has diverged.

    Args:
        found: What is not finite, as half a sentence: ``the loss is NaN``.
        at: Where in the training: ``epoch 3, batch 17 of 40``.
        config: What was trained with.
    """

    code = "CB-T001"

    def __init__(self, found: str, at: str, config: TrainConfig) -> None:
        got, hint = f"--lr {config.lr:g}", _advice(config)
        if config.weight_decay > 1:
            got += f" --weight-decay {config.weight_decay:g}"
        super().__init__(f"training diverged: {found}", where=at, got=got, hint=hint)
        #: The same on one line, for the record of a run that keeps an earlier epoch.
        self.reason = f"{found} in {at} ({got}); {hint}"


def first_bad(losses: Sequence[Tensor]) -> tuple[int, str] | None:
    """The position of the first loss of some batches that is not finite, and what it is; None without one."""
    for position, loss in enumerate(torch.stack(list(losses)).tolist()):
        if not math.isfinite(loss):
            return position, name_of(loss)
    return None


def name_of(loss: float) -> str:
    """What a loss that is not finite is called."""
    return "NaN" if math.isnan(loss) else "infinite"


def finite_names(state: Mapping[str, Tensor]) -> frozenset[str]:
    """The tensors of floating-point numbers that are finite, which training must not change.

    Some networks hold infinite ones by design: the mask of an attention.
    """
    floating = {name: tensor for name, tensor in state.items() if tensor.is_floating_point() and tensor.numel()}
    if not floating:
        return frozenset()
    # Copied all at once: a GPU is waited for at each copy.
    finite = torch.stack([tensor.isfinite().all() for tensor in floating.values()]).tolist()
    return frozenset(name for name, good in zip(floating, finite, strict=True) if good)


def check_epoch(
    state: Mapping[str, Tensor], finite: frozenset[str], val_loss: float, number: int, config: TrainConfig
) -> None:
    """Refuse the weights of an epoch, or how they do on the validation images, where they are not finite.

    Args:
        state: The weights as they are judged.
        finite: The names of those that were finite before the training.
        val_loss: In nats.
        number: Of the epoch, from 1.
        config: What was trained with.

    Raises:
        Diverged: naming the epoch.
    """
    lost = sorted(finite - finite_names(state))
    if not math.isfinite(val_loss):
        raise Diverged(f"the validation loss is {name_of(val_loss)}", f"epoch {number}", config)
    if lost:
        raise Diverged(f"weights are NaN or infinite: {some(lost)}", f"epoch {number}", config)


def _advice(config: TrainConfig) -> str:
    """What to try instead, in numbers."""
    decays = config.optimizer != "adam" and config.lr * config.weight_decay >= DECAYED
    if decays and config.weight_decay > 10 * USUAL_DECAY:  # else it is the rate that is too high
        return f"use --weight-decay {USUAL_DECAY:g}: a decay above 2 / lr makes the weights grow at each step"
    # A tenth, and no more than what the recipe starts with: of 1e30 a tenth would be no better.
    lower = min(config.lr / 10, float(DEFAULTS[config.recipe]["lr"] or math.inf))
    clip = ", or limit the gradient with --clip-grad 1" if not config.clip_grad else ""
    return f"use a lower rate, --lr {lower:.1g}{clip}"
