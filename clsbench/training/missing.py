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

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clsbench.text import counted, on_one_line, some
from clsbench.training.batches import Batches, BatchSource

#: Names in a message.
SHOWN = 3


class Warned(Protocol):
    """Hears warnings."""

    def warn(self, text: str) -> None:
        """Something that must not be missed."""


class MissingImages:
    """Tells an observer which images an epoch had to do without.

    Args:
        observer: Hears of every change.
    """

    def __init__(self, observer: Warned) -> None:
        self._observer = observer
        self._now: dict[str, frozenset[int]] = {}
        self._ever: dict[str, set[int]] = {}
        self._epochs: set[int] = set()

    def look(self, batches: Batches, kind: str, number: int) -> None:
        """Say what changed in a pass that has just ended.

        Args:
            batches: Of the pass.
            kind: ``training`` or ``validation``.
            number: Of the epoch, from 1.
        """
        source = batches.source
        failing, before = source.failing, self._now.get(kind, frozenset())
        if not failing and not before:
            return
        now = self._now[kind] = frozenset(failing)
        if now:
            self._epochs.add(number)
            self._ever.setdefault(kind, set()).update(now)
        if back := before - now:
            self._observer.warn(f"epoch {number}: {counted(len(back), f'{kind} image')} can be read again")
        if new := sorted(now - before):
            total, names = len(np.union1d(source.indices, new)), [source.name(index) for index in new[:SHOWN]]
            lost = lost_classes(source)
            self._observer.warn(
                f"epoch {number}: {len(new):,} of {counted(total, f'{kind} image')} cannot be read now, and the epoch "
                f"goes without: {some(names)}{', …' * (len(new) > SHOWN)} ({on_one_line(failing[new[0]])}). "
                + f"No image is left of {counted(lost, 'class')}. " * (lost > 0)
                + "No epoch becomes the best without them. " * (lost > 0 and kind == "validation")
                + "They are tried again in the next epoch"
            )

    def summarise(self) -> None:
        """At the end, say how many images some epochs had to do without."""
        if self._epochs:
            lost = " and ".join(counted(len(found), f"{kind} image") for kind, found in self._ever.items())
            epochs = [str(number) for number in sorted(self._epochs)]
            which = "epoch" if len(epochs) == 1 else "epochs"
            self._observer.warn(
                f"{lost} could not be read in {which} {some(epochs)}, and were left out there; run.json names them"
            )


def readable(source: BatchSource) -> NDArray[np.int64]:
    """The inputs, by index, that the last pass in order was of."""
    return np.setdiff1d(source.indices, list(source.failing)) if source.failing else source.indices


def lost_classes(source: BatchSource) -> int:
    """How many of the classes that had images have none left."""
    if not source.failing:
        return 0
    left = np.unique(source.labels[readable(source)])
    return len(np.setdiff1d(source.labels[np.union1d(source.indices, list(source.failing))], left))
