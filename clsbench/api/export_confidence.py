"""What ``export`` adds to a card about its probabilities: a temperature and a threshold, from labelled images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import choose, registry
from clsbench.api.labelled import Wanted
from clsbench.api.observer import Observer
from clsbench.api.trained_on import trained_on
from clsbench.errors import DataError, OptionError
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.exporting.calibration import LabelledLogits
    from clsbench.images.entries import Entry

#: Labelled images: entries, and the index of each one's class.
Labelled = tuple[Sequence["Entry"], Sequence[int]]

#: Gives images, and their labels where they are known.
Validation = Callable[[], tuple[Sequence["Entry"], Sequence[int] | None]]


@dataclass(frozen=True)
class Confidence:
    """What is wanted of a model's probabilities.

    Args:
        calibrate: Fit a temperature.
        precision: Choose a threshold for this precision of the images at or above it; None for no threshold.
        images: A folder of labelled images; those of the run's validation split if None.

    Raises:
        OptionError: if the precision is no share, or images are named for nothing.
    """

    calibrate: bool = False
    precision: float | None = None
    images: str | Path | None = None

    def __post_init__(self) -> None:
        if self.precision is not None and not 0 < self.precision < 1:
            raise OptionError(
                "the precision to abstain at is a share", where="--abstain-at-precision", got=self.precision,
                expected="a number between 0 and 1, such as 0.99",
            )  # fmt: skip
        if self.images is not None and not self:
            raise OptionError(
                "these images would not be used", where="--calibrate-images", got=self.images,
                hint="add --calibrate or --abstain-at-precision 0.99",
            )  # fmt: skip

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        return self.calibrate or self.precision is not None

    def adder(
        self, card: ModelCard, validation: Validation | None, place: Path, observer: Observer
    ) -> Callable[[Path, ModelCard], ModelCard] | None:
        """What adds them to the card of a model file, or None where nothing is wanted.

        Args:
            card: Of the model, with its classes.
            validation: Gives the run's validation split; None, or no labels, where there is no run.
            place: Where the model is by default: in its run's directory, if it has one.
            observer: Hears notes and progress.

        Raises:
            OptionError: if there are no labelled images.
            DataError: if labels do not match the classes.
        """
        if not self:
            return None
        if self.images is not None:
            labelled: Labelled | None = _labelled(self.images, card, place, observer)
        else:
            entries, labels = validation() if validation else ((), None)
            labelled = None if labels is None else (entries, labels)
        if labelled is None:
            raise OptionError(
                "a model that was not trained here has no validation images",
                where="--calibrate" if self.calibrate else "--abstain-at-precision",
                hint="name labelled images, in class folders, with --calibrate-images DIR",
            )  # fmt: skip
        known = labelled
        return lambda file, gated: self._add(file, gated, known, observer)

    def _add(self, file: Path, card: ModelCard, labelled: Labelled, observer: Observer) -> ModelCard:
        from clsbench.exporting.abstention import choose_threshold
        from clsbench.exporting.calibration import calibrate

        known = _logits(file, card, labelled, observer)
        if self.calibrate:
            temperature, calibration = calibrate(known)
            card = dataclasses.replace(card, temperature=temperature, calibration=calibration)
        if self.precision is not None:
            below, abstention = choose_threshold(known, self.precision, temperature=card.temperature)
            card = dataclasses.replace(card, abstain_below=below, abstention=abstention)
        return card


def _labelled(images: str | Path, card: ModelCard, place: Path, observer: Observer) -> Labelled:
    """Images in class folders, whose names are matched with the card's classes."""
    from clsbench.images.sources.compact import entry_names

    wanted = Wanted(images)
    source, truth = wanted.open(choose(wanted.components()), card, (), observer)
    pairs = [(entry, label) for entry, label in zip(source.entries, truth.index, strict=True) if label >= 0]
    if not pairs:
        raise DataError(
            "none of these images has a label", where=images, got=f"{counted(len(source.entries), 'image')}",
            expected=f"folders named as the classes, such as {card.classes[0]}",
        )  # fmt: skip
    if note := trained_on(place, source.location, entry_names(source.entries)):
        observer.warn(note)
    return [entry for entry, _ in pairs], [label for _, label in pairs]


def _logits(file: Path, card: ModelCard, labelled: Labelled, observer: Observer) -> LabelledLogits:
    """What the model file says of them, as ``infer`` runs it."""
    import numpy as np

    from clsbench.exporting.calibration import LabelledLogits
    from clsbench.images.sources.source import reading_threads
    from clsbench.inference.job import JobSpec, run_job
    from clsbench.machine import available_cores

    entries, labels = labelled
    spec = JobSpec(
        model=file, card=card, backend=registry().resolve("backend", "onnxruntime").opener(),
        decode_threads=reading_threads(entries, available_cores()),
    )  # fmt: skip
    executor = registry().resolve("executor", "threads").build()
    observer.stage("calibrating", len(entries))
    logits = [np.empty((0, len(card.classes)), np.float32)]
    kept: list[np.ndarray] = [np.empty(0, bool)]
    with closing(run_job(executor, spec, entries)) as blocks:
        for block in blocks:
            logits.append(block.logits[block.ok])
            kept.append(block.ok)
            observer.advance(len(block.names), int((~block.ok).sum()))
    ok = np.concatenate(kept)
    if unreadable := int((~ok).sum()):
        observer.note(f"left out, because they cannot be read: {unreadable:,} of {counted(len(ok), 'image')}")
    return LabelledLogits(np.concatenate(logits), np.asarray(labels, np.int64)[ok], unreadable)
