"""Sample and Dataset: labelled images, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from clsbench.card import check_class_names
from clsbench.errors import ClsbenchError, DataError
from clsbench.images.loader import ImageSource

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image.

    Args:
        name: A stable id, unique in its split: a relative path.
        image: A path, encoded bytes, or pixels uint8 (H, W, 3).
        label: Index into the dataset's classes, or None.
    """

    name: str
    image: ImageSource
    label: int | None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Classes and the samples of each split.

    Args:
        classes: Unique names.
        splits: Split name -> samples; ``train`` and ``val`` are needed for training.
        notes: What was assumed or left out, for the user to read.
        mirrored: Whether a mirrored picture still shows its class; not so with digits.

    Raises:
        DataError: if class names repeat or are fewer than two, or a label is out of range.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[Sample]]
    notes: tuple[str, ...] = ()
    mirrored: bool = True
    root: str | None = field(default=None)

    def __post_init__(self) -> None:
        try:
            check_class_names(self.classes)
        except ClsbenchError as error:
            raise DataError(error.what, where=self.root, got=error.facts["got"]) from None
        count = len(self.classes)
        for split, samples in self.splits.items():
            for sample in samples:
                if sample.label is not None and not 0 <= sample.label < count:
                    raise DataError(
                        "a label is out of range",
                        where=f"{split}: {sample.name}",
                        got=sample.label,
                        expected=f"0 to {count - 1}",
                    )

    def samples(self, split: str) -> Sequence[Sample]:
        """The samples of a split.

        Raises:
            DataError: if the dataset has no such split.
        """
        if not self.splits.get(split):
            raise DataError(
                f"the dataset has no {split} images",
                where=self.root,
                expected=", ".join(name for name, samples in self.splits.items() if samples),
            )
        return self.splits[split]
