"""``datasets``: a dataset described with the shapes of its images, or one of its splits written as class folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.components import Chosen, Options, registry, with_size
from clsbench.api.data import (
    choose_dataset,
    data_location,
    dataset_for,
    open_dataset,
    refuse_beside_run,
    refuse_dataset,
    reopen_dataset,
)
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import OptionError
from clsbench.picture_shape import GivenSize, PictureShape, sides
from clsbench.runs import is_run
from clsbench.text import counted, some
from clsbench.transform import Interpolation, Resize

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.datasets.sample_shapes import SampleShapes
    from clsbench.json_fields import Scalar


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """Classes and counts of a dataset.

    Args:
        name: Of the dataset or run.
        classes: K names.
        counts: Class -> split -> images.
        samples: What its images are like; None where a split was written instead.
        model: The network that would be trained on them.
        input: Its input (h, w, 3), uint8; None where its component does not say.
        shape: How images are brought to it, as far as that was asked for: ``resize``, ``pad`` and ``interpolation``.
        written: How many images were written; None if that was not asked for.
    """

    name: str
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    samples: SampleShapes | None = None
    model: str = "simple-cnn"
    input: tuple[int, int, int] | None = None
    shape: Mapping[str, str] = field(default_factory=dict)
    written: int | None = None

    @property
    def lengths(self) -> dict[str, int]:
        """Split -> number of labelled images."""
        splits = next(iter(self.counts.values()), {})
        return {split: sum(by_split[split] for by_split in self.counts.values()) for split in splits}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        counts = {name: dict(by_split) for name, by_split in self.counts.items()}
        return {
            "schema": 1,
            "name": self.name,
            "classes": list(self.classes),
            "counts": counts,
            "lengths": self.lengths,
            "samples": self.samples.to_json() if self.samples else None,
            "model": self.model,
            "input": list(self.input) if self.input else None,
            "shape": dict(self.shape),
        }


def describe_dataset(
    name: str | None = None,
    data: str | Path | None = None,
    *,
    model: str = "simple-cnn",
    size: GivenSize | None = None,
    resize: Resize | None = None,
    pad: str | Sequence[int] | None = None,
    interpolation: Interpolation | None = None,
    run: str | None = None,
    split: str = "test",
    write: str | Path | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    group: str | None = None,
    seed: int = 0,
    options: Options = (),
    observer: Observer | None = None,
) -> DatasetSummary:
    """Count the classes and splits of a dataset and look at its images, or write a split as class folders.

    Args:
        name: The dataset component, or just ``data``; chosen by ``data`` if left out.
        data: Its folder or file, if it needs one.
        model: The network to say the input of, which ``options`` may also be for; a run has its own.
        size, resize, pad, interpolation: Of its input, as in :func:`clsbench.train`; a run has its own.
        run: The dataset of this run instead, split as it was.
        split: The split to write.
        write: The folder to write it to.
        val_fraction, test_fraction, folds, fold, group, seed: How to split.
        options: Options of the dataset.
        observer: Hears notes.

    Raises:
        OptionError: if options contradict each other.
        DataError: if the images are not as required, or the folder is not empty.
    """
    from clsbench.datasets.sample_shapes import sample_shapes
    from clsbench.datasets.write import write_class_folders
    from clsbench.runs import find

    observer = observer or Observer()
    outputs = Outputs(observer)
    shape = PictureShape.asked(size, resize, pad, interpolation).over({})
    splits: dict[str, Scalar] = {"val_fraction": val_fraction, "test_fraction": test_fraction, "group": group}
    splits |= {"folds": folds, "fold": fold}
    if run:
        refuse_beside_run(run, "NAME", name or data, **splits, size=size, **shape.to_json(), **{"with": options})
        found = find(run)
        outputs.refuse(*found.files)
        dataset, record = reopen_dataset(found)
        model = record.model.name.removeprefix("clsbench/")
        pixels: tuple[int, int] | None = record.transform.size
        shape = PictureShape.from_json(record.model.shape)
    else:
        name, data = _name_or_data(name, data)
        root = data_location(data)
        chosen, spec, picked = choose_dataset(name, root, options, {"model": [model]}, **splits, seed=seed)
        pixels = _input_size(with_size(picked["model"][0], shape))
        dataset = open_dataset(chosen, root, spec)
    refuse_dataset(outputs, dataset, data)
    for note in dataset.notes:
        observer.note(note)
    written = None
    if write:
        made = write_class_folders(dataset, split, Path(write))
        written = made.images
        if made.not_images:
            names = some(made.not_images, 3)
            observer.warn(f"left out, since they are not images: {counted(len(made.not_images), 'file')}: {names}")
        if made.outside:
            names = some(made.outside, 3)
            observer.warn(f"copied from outside of the folder of {dataset.root}: "
                          f"{counted(len(made.outside), 'image')}: {names}")  # fmt: skip
    return DatasetSummary(
        name=run or name or dataset_for(data_location(data)),
        classes=dataset.classes,
        counts=count_classes(dataset),
        samples=None if write else sample_shapes(dataset),
        model=model,
        input=(*pixels, 3) if pixels else None,
        shape=shape.to_json(),
        written=written,
    )


def _name_or_data(name: str | None, data: str | Path | None) -> tuple[str | None, str | Path | None]:
    """A path that no dataset is called by is the data."""
    if name is None or data is not None:
        return name, data
    from clsbench.images.sources.urls import is_url

    try:
        registry().resolve("dataset", name)
    except OptionError as error:
        if is_url(name) or Path(name).exists() or is_run(name):
            return None, name
        facts, neither = error.facts, "no folder or file has this name either"
        raise OptionError(
            error.what, got=facts["got"], expected=facts["expected"], hint=f"{facts['to do']}; {neither}"
        ) from None
    return name, data


def _input_size(network: Chosen) -> tuple[int, int] | None:
    """(h, w) of a network's input, as far as it is known without building it."""
    size = network.options.get("size", network.resolved.component.facts.size)
    return None if size is None else sides(size)


def count_classes(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Class -> split -> number of images."""
    found = {split: Counter(sample.label for sample in samples) for split, samples in dataset.splits.items()}
    return {name: {split: labels[k] for split, labels in found.items()} for k, name in enumerate(dataset.classes)}
