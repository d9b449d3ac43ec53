"""Sample and Dataset: labelled images, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clsbench.card import check_class_names
from clsbench.errors import ClsbenchError, DataError
from clsbench.images.entries import Entry, missing_files
from clsbench.text import counted

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image.

    Args:
        image: Its entry, with a name that is unique in the dataset.
        label: Index into the dataset's classes, or None.
        group: What it belongs to, such as a video or a patient; None for nothing but itself. No group is torn
            apart by a split.
    """

    image: Entry
    label: int | None
    group: str | None = None

    @property
    def name(self) -> str:
        """The name of its image."""
        return self.image.name


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Classes and the samples of each split.

    Args:
        classes: Unique names.
        splits: Split name -> samples. As a dataset component builds it, the splits that the
            data gives, all of it being ``train`` where it gives none; after
            :func:`~clsbench.datasets.splits.split`, ``train``, ``val`` and perhaps ``test``.
        notes: What was assumed or left out, for the user to read.
        mirrored: Whether a mirrored image still shows its class; not so with digits.
        root: Where the images come from, for messages.
        default_test_fraction: The part of each class that becomes a test split where neither
            the data nor the user says anything; None for no test split.
        grouped_by: The column that the groups of the samples come from, where a user asked for one.
        columns: Of the table that the samples come from, where there is one: what groups could come from.

    Raises:
        DataError: if class names repeat or are fewer than two, a label is out of range, or
            two samples have the same name, in one split or in two.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[Sample]]
    notes: tuple[str, ...] = ()
    mirrored: bool = True
    root: str | None = None
    default_test_fraction: float | None = None
    grouped_by: str | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            check_class_names(self.classes)
        except ClsbenchError as error:
            got, expected = error.facts["got"], error.facts["expected"]
            raise DataError(error.what, where=self.root, got=got, expected=expected) from None
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
            "two samples have the same name",
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
    missing = missing_files(sample.image for sample in samples)
    if missing:
        raise DataError(
            f"{len(missing)} of {counted(len(samples), 'file')} not found",
            where=where,
            got=", ".join(missing[:3]) + (", …" if len(missing) > 3 else ""),
            hint=hint,
        )
