"""The split a run was trained on: written into run.json, and found again by name.

Images that were added since belong to train at most: what the run validated or tested on
stays what it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.errors import DataError


def record_splits(dataset: Dataset) -> dict[str, Any]:
    """The splits as plain values: the names in val and test, and of train the number and a hash.

    >>> images = Dataset(classes=("cat", "dog"), splits={"val": [Sample("a.png", b"", 0)]})
    >>> record_splits(images)["val"]
    ['a.png']
    """
    val, test, train = ([s.name for s in dataset.splits.get(split, ())] for split in ("val", "test", "train"))
    return {"val": val, "test": test, "train": {"count": len(train), "sha256": _fingerprint(train)}}


def as_recorded(dataset: Dataset, record: Mapping[str, Any], where: object = None) -> Dataset:
    """The dataset with its samples back in the splits of a run; whatever is in neither val nor test is train.

    Args:
        dataset: Built again, with whatever splits.
        record: From :func:`record_splits`; ``test`` and ``train`` may be absent.
        where: The data or the run, for messages.

    Raises:
        DataError: if none of the recorded validation images is there any more, or the record
            cannot be read.
    """
    held_out = {split: _names(record, split, where) for split in ("val", "test")}
    samples = {sample.name: sample for some in dataset.splits.values() for sample in some}
    splits: dict[str, list[Sample]] = {"train": []}
    notes = []
    for split, names in held_out.items():
        splits[split] = [samples[name] for name in names if name in samples]
        gone = [name for name in names if name not in samples]
        if gone and len(gone) == len(names) and split == "val":
            raise DataError(
                "none of the run's validation images is there any more",
                where=where,
                got=f"{len(samples)} other images",
                expected=", ".join(gone[:3]) + (", …" if len(gone) > 3 else ""),
                hint="name the data that the run was trained on, as it was named then",
            )
        if gone:
            notes.append(f"{len(gone)} of the run's {len(names)} {split} images are gone, such as {gone[0]}")
    kept_out = {sample.name for some in splits.values() for sample in some}
    splits["train"] = [sample for name, sample in samples.items() if name not in kept_out]
    counts = ", ".join(f"{len(some)} {split}" for split, some in splits.items() if some)
    notes = [f"the splits are those of the run: {counts}", *notes, *_train_note(splits["train"], record, where)]
    kept = {split: some for split, some in splits.items() if some or split != "test"}
    return dataclasses.replace(dataset, splits=kept, notes=(*dataset.notes, *notes))


def _names(record: Mapping[str, Any], split: str, where: object) -> list[str]:
    names = record.get(split, [] if split == "test" else None)
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DataError(
            "the recorded splits cannot be read", where=where, got=f"{split}: {names!r:.60}", expected="a list of names"
        )
    return names


def _train_note(train: list[Sample], record: Mapping[str, Any], where: object) -> list[str]:
    """What has changed among the training images; their names are not recorded, so only how many."""
    then = record.get("train")
    if then is None:
        return []
    if not (isinstance(then, dict) and isinstance(then.get("count"), int)):
        raise DataError("the recorded splits cannot be read", where=where, got=f"train: {then!r:.60}")
    if then.get("sha256") == _fingerprint(sample.name for sample in train):
        return []
    more = len(train) - then["count"]
    change = f"at least {abs(more)} are {'new' if more > 0 else 'gone'}" if more else "some are others"
    return [f"the training images are not the run's: {len(train)} now, {then['count']} then; {change}"]


def _fingerprint(names: Iterable[str]) -> str:
    """A hash of the names, whatever their order and even if they are no UTF-8."""
    return hashlib.sha256("\0".join(sorted(names)).encode("utf-8", "surrogatepass")).hexdigest()
