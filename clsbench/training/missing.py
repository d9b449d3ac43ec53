"""Images that fail while a training runs: they vanish, or cannot be read any more.

Where decoded images are not kept (``--cache off``), every epoch reads them again. An image that fails is left out of
that epoch and tried again in the next; the order of the others does not depend on it. What fails is said when it
changes, and summed up at the end.

Validation images that are missing make accuracies incomparable: of 43 images in one epoch, of 17 in the next. Counting
them as wrong would favour the epochs before they were lost, leaving them out those after. So wherever the images that
an epoch was judged on are not those that the best so far was judged on, the best is judged again on what is there
now, and both are compared on the same images. Where a class has no validation image left, no epoch becomes the best:
those that forget the class would be preferred.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from clsbench.text import counted, on_one_line, some
from clsbench.training.batches import Batches, BatchSource

if TYPE_CHECKING:
    from torch import Tensor

    from clsbench.training.epochs import Epoch
    from clsbench.training.steps import Steps

#: Names in a message.
SHOWN = 3


class Hearing(Protocol):
    """Hears notes and warnings."""

    def note(self, text: str) -> None:
        """Something was found out."""

    def warn(self, text: str) -> None:
        """Something that must not be missed."""


class MissingImages:
    """Tells an observer which images an epoch had to do without.

    Args:
        observer: Hears of every change.
    """

    def __init__(self, observer: Hearing) -> None:
        self._observer = observer
        self._now: dict[str, frozenset[int]] = {}
        self._ever: dict[str, set[int]] = {}
        self._epochs: set[int] = set()

    def look(self, batches: Batches, kind: str, number: int) -> NDArray[np.int64]:
        """Say what changed in a pass that has just ended.

        Args:
            batches: Of the pass.
            kind: ``training`` or ``validation``.
            number: Of the epoch, from 1.

        Returns:
            The inputs, by index, that could be read.
        """
        source, before = batches.source, self._now.get(kind, frozenset())
        failing = source.failing
        now = self._now[kind] = frozenset(failing)
        if now:
            self._epochs.add(number)
            self._ever.setdefault(kind, set()).update(now)
        if back := before - now:
            self._observer.warn(f"epoch {number}: {counted(len(back), f'{kind} image')} can be read again")
        if new := sorted(now - before):
            total, names = len(np.union1d(source.indices, new)), [source.name(index) for index in new[:SHOWN]]
            lost = lost_classes(source, now)
            self._observer.warn(
                f"epoch {number}: {len(new):,} of {counted(total, f'{kind} image')} cannot be read now, and the epoch "
                f"goes without: {some(names)}{', …' * (len(new) > SHOWN)} ({on_one_line(failing[new[0]])}). "
                + f"No image is left of {counted(lost, 'class')}. " * (lost > 0)
                + "No epoch becomes the best without them. " * (lost > 0 and kind == "validation")
                + "They are tried again in the next epoch"
            )
        return readable(source, now)

    def lost_classes(self, val: Batches) -> int:
        """How many classes have no validation image left."""
        return lost_classes(val.source, self._now.get("validation", frozenset()))

    def summarise(self) -> None:
        """At the end, say how many images some epochs had to do without."""
        if self._epochs:
            lost = " and ".join(counted(len(found), f"{kind} image") for kind, found in self._ever.items())
            epochs = [str(number) for number in sorted(self._epochs)]
            which = "epoch" if len(epochs) == 1 else "epochs"
            self._observer.warn(
                f"{lost} could not be read in {which} {some(epochs)}, and were left out there; run.json names them"
            )


def readable(source: BatchSource, failing: Collection[int]) -> NDArray[np.int64]:
    """The inputs, by index, that do not fail."""
    return np.setdiff1d(source.indices, list(failing)) if failing else source.indices


def lost_classes(source: BatchSource, failing: Collection[int]) -> int:
    """How many of the classes that had images have none left."""
    if not failing:
        return 0
    left = np.unique(source.labels[readable(source, failing)])
    return len(np.setdiff1d(source.labels[np.union1d(source.indices, list(failing))], left))


def judged_again(
    best: Epoch, state: Mapping[str, Tensor], steps: Steps, val: Batches, observer: Hearing
) -> tuple[tuple[float, float], NDArray[np.int64]]:
    """The quality of the best epoch on the validation images that are there now, and these images.

    Args:
        best, state: The epoch, and its weights.
        steps: Of the stage.
        val: In order.
        observer: Hears of it.
    """
    loss, accuracy = steps.judge(state, val)
    images = readable(val.source, val.source.failing)
    observer.note(
        f"the best epoch so far, {best.epoch}, is judged again on the {counted(len(images), 'validation image')} "
        f"that can be read now: {accuracy:.2%} instead of {best.val_accuracy:.2%} of {best.val_images:,}"
    )
    return (accuracy, -loss), images
