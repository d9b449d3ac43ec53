"""Sample and Dataset: labelled images, without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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
        name: A stable id, unique in its dataset: a relative path.
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
        mirrored: Whether a mirrored image still shows its class; not so with digits.

    Raises:
        DataError: if class names repeat or are fewer than two, a label is out of range, or a
            name stands for two samples, be it in one split or in two.
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
        seen: set[str] = set()
        for split, samples in self.splits.items():
            for sample in samples:
                if sample.label is not None and not 0 <= sample.label < len(self.classes):
                    raise DataError(
                        "a label is out of range",
                        where=f"{split}: {sample.name}",
                        got=sample.label,
                        expected=f"0 to {len(self.classes) - 1}",
                    )
                if sample.name in seen:
                    raise self._repeated(sample.name)
                seen.add(sample.name)

    def _repeated(self, name: str) -> DataError:
        homes = [split for split, samples in self.splits.items() for sample in samples if sample.name == name]
        return DataError(
            "a name stands for two samples",
            where=self.root,
            got=f"{name} in {' and '.join(homes)}",
            expected="names that are unique in the dataset, such as paths relative to its root",
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


def check_files_exist(samples: Sequence[Sample], *, where: object, hint: str) -> None:
    """Refuse samples whose files are not there.

    Raises:
        DataError: with their number and the first three.
    """
    missing = [s.name for s in samples if isinstance(s.image, str | Path) and not os.path.isfile(s.image)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(samples)} files do not exist",
            where=where,
            got=", ".join(missing[:3]) + (", …" if len(missing) > 3 else ""),
            hint=hint,
        )
