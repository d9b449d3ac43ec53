"""``datasets``: a dataset described, or one of its splits written as class folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.components import Options
from clsbench.api.data import choose_dataset, dataset_for, open_dataset, refuse_beside_run, reopen_dataset
from clsbench.api.observer import Observer

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """Classes and counts of a dataset.

    Args:
        name: Of the dataset or run.
        classes: K names.
        counts: Class -> split -> images.
        written: How many images were written; None if that was not asked for.
    """

    name: str
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    written: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        counts = {name: dict(by_split) for name, by_split in self.counts.items()}
        return {"schema": 1, "name": self.name, "classes": list(self.classes), "counts": counts}


def describe_dataset(
    name: str | None = None,
    data: str | Path | None = None,
    *,
    run: str | None = None,
    split: str = "test",
    write: str | Path | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
    options: Options = (),
    observer: Observer | None = None,
) -> DatasetSummary:
    """Count the classes and splits of a dataset, and write a split as class folders if asked.

    Args:
        name: The dataset component; chosen by ``data`` if left out.
        data: Its folder or file, if it needs one.
        run: The dataset of this run instead, split as it was.
        split: The split to write.
        write: The folder to write it to.
        val_fraction, test_fraction, folds, fold, seed: How to split.
        options: Options of the dataset.
        observer: Hears notes.

    Raises:
        OptionError: if options contradict each other.
        DataError: if the images are not as required, or the folder is not empty.
    """
    from clsbench.datasets.write import write_class_folders
    from clsbench.runs import find

    observer = observer or Observer()
    splits = {"val_fraction": val_fraction, "test_fraction": test_fraction, "folds": folds, "fold": fold}
    if run:
        refuse_beside_run(run, "NAME", name or data, **splits, **{"with": options})
        dataset, _ = reopen_dataset(find(run))
    else:
        root = Path(data) if data is not None else None
        chosen, spec, _ = choose_dataset(name, root, options, {}, **splits, seed=seed)
        dataset = open_dataset(chosen, root, spec)
    for note in dataset.notes:
        observer.note(note)
    written = write_class_folders(dataset, split, Path(write)) if write else None
    return DatasetSummary(
        name=run or name or dataset_for(Path(data) if data else None),
        classes=dataset.classes,
        counts=count_classes(dataset),
        written=written,
    )


def count_classes(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Class -> split -> number of images."""
    found = {split: Counter(sample.label for sample in samples) for split, samples in dataset.splits.items()}
    return {name: {split: labels[k] for split, labels in found.items()} for k, name in enumerate(dataset.classes)}
