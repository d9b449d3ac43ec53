"""The split a run was trained on: written into run.json, and found again by name.

Images that were added since become train at most: what the run validated or tested on
stays what it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.groups import with_groups
from clsbench.datasets.splits import share
from clsbench.errors import DataError
from clsbench.text import counted


@dataclass(frozen=True, kw_only=True)
class SplitRecord:
    """The splits of a run.

    Args:
        val, test: Names of their images.
        train_count: How many training images there were; None where that was not recorded.
        train_sha256: A hash of their names.
    """

    val: tuple[str, ...]
    test: tuple[str, ...] = ()
    train_count: int | None = None
    train_sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        train = {"count": self.train_count, "sha256": self.train_sha256}
        return {"val": list(self.val), "test": list(self.test)} | ({} if self.train_count is None else {"train": train})

    @classmethod
    def from_json(cls, values: Any, where: object = None) -> SplitRecord:
        """The inverse of :meth:`to_json`; ``test`` and ``train`` may be absent.

        Raises:
            DataError: if it cannot be read.
        """
        values = values if isinstance(values, Mapping) else {}
        held_out, train = [values.get("val"), values.get("test", [])], values.get("train", {})
        if (
            not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in held_out)
            or not isinstance(train, Mapping)
            or not isinstance(train.get("count"), int | None)
        ):
            raise DataError(
                "the recorded splits cannot be read",
                where=where,
                got=f"{values!r:.80}",
                expected="lists of names, val and perhaps test, and the count and sha256 of train",
            )
        val, test = (tuple(names) for names in held_out)
        return cls(val=val, test=test, train_count=train.get("count"), train_sha256=train.get("sha256"))


def record_splits(dataset: Dataset) -> SplitRecord:
    """The splits of a dataset.

    >>> from clsbench.images.entries import BytesEntry
    >>> images = Dataset(classes=("cat", "dog"), splits={"val": [Sample(BytesEntry("a.png", b""), 0)]})
    >>> record_splits(images).val
    ('a.png',)
    """
    val, test, train = (tuple(s.name for s in dataset.splits.get(split, ())) for split in ("val", "test", "train"))
    return SplitRecord(val=val, test=test, train_count=len(train), train_sha256=_fingerprint(train))


def as_recorded(
    dataset: Dataset,
    record: SplitRecord,
    where: object = None,
    *,
    data_fraction: float | None = None,
    group: str | None = None,
    seed: int = 0,
) -> Dataset:
    """The dataset with its samples back in the splits of a run; whatever is in neither val nor test is train.

    Args:
        dataset: Built again, with whatever splits.
        record: Of the run.
        where: The data or the run, for messages.
        data_fraction, group, seed: Of the run's ``SplitSpec``: it trained on this share of the rest.

    Raises:
        OptionError: if no image has a group any more.
        DataError: if none of the recorded validation images exists any more.
    """
    dataset = dataclasses.replace(with_groups(dataset, group), notes=dataset.notes)
    samples = {sample.name: sample for some in dataset.splits.values() for sample in some}
    splits: dict[str, list[Sample]] = {"train": []}
    notes = []
    for split, names in (("val", record.val), ("test", record.test)):
        splits[split] = [samples[name] for name in names if name in samples]
        gone = [name for name in names if name not in samples]
        if gone and len(gone) == len(names) and split == "val":
            raise DataError(
                "none of the run's validation images exists any more",
                where=where,
                got=counted(len(samples), "other image"),
                expected=", ".join(gone[:3]) + (", …" if len(gone) > 3 else ""),
                hint="name the data that the run was trained on, as it was named then",
            )
        if gone:
            notes.append(
                f"{len(gone)} of the run's {counted(len(names), f'{split} image')} not found, such as {gone[0]}"
            )
    kept_out = {sample.name for some in splits.values() for sample in some}
    splits["train"] = [sample for name, sample in samples.items() if name not in kept_out]
    if data_fraction is not None:
        splits["train"] = share(splits["train"], data_fraction, seed=seed)
    counts = ", ".join(f"{len(some):,} {split}" for split, some in splits.items() if some)
    notes = [f"the splits are those of the run: {counts}", *notes, *_train_note(splits["train"], record)]
    kept = {split: some for split, some in splits.items() if some or split != "test"}
    return dataclasses.replace(dataset, splits=kept, notes=(*dataset.notes, *notes))


def _train_note(train: Sequence[Sample], record: SplitRecord) -> list[str]:
    """What has changed among the training images; their names are not recorded, so only how many."""
    then = record.train_count
    if then is None or record.train_sha256 == _fingerprint(sample.name for sample in train):
        return []
    more = len(train) - then
    change = f"at least {abs(more)} {'new' if more > 0 else 'missing'}" if more else "some were replaced"
    return [f"the training images are not the run's: {len(train)} now, {then} then; {change}"]


def _fingerprint(names: Iterable[str]) -> str:
    """A hash of the names, whatever their order; they need not be UTF-8."""
    return hashlib.sha256("\0".join(sorted(names)).encode("utf-8", "surrogatepass")).hexdigest()
