"""The images of an inference job and their labels: from class folders, a file of labels or a dataset."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.arguments import check_choice
from clsbench.api.components import Chosen
from clsbench.api.observer import Observer
from clsbench.api.sources import Images, open_source, source_names
from clsbench.errors import OptionError
from clsbench.text import command, some

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.datasets.dataset import Dataset
    from clsbench.datasets.labels import Labels
    from clsbench.images.sources.source import Source


@dataclass(frozen=True)
class Wanted:
    """What a user names: images, and where their labels are.

    Args:
        images, dataset, split, labels, include, exclude: As in :func:`clsbench.infer`.
        unknown: Its ``unknown_labels``.

    Raises:
        OptionError: if they contradict each other.
    """

    images: Images | None
    dataset: str | Dataset | None = None
    split: str | None = None
    labels: str | Path | None = None
    unknown: str = "error"
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.dataset is None and self.images is None:
            raise OptionError("no images were named", where="IMAGES", expected="a folder, images, or --dataset NAME")
        if self.dataset is None and self.split is not None:
            raise OptionError("--split is for a dataset", where="--split", got=self.split, hint="add --dataset NAME")
        if self.dataset is not None and self.labels is not None:
            raise OptionError("the dataset has labels of its own", where="--labels", got=self.labels)
        if self.dataset is not None and (self.include or self.exclude):
            option, got = ("--include", self.include) if self.include else ("--exclude", self.exclude)
            raise OptionError("a dataset says which images are in it", where=option, got=" ".join(got))
        if self.split is not None:
            check_choice("split", self.split, ("train", "val", "test"))

    def components(self) -> dict[str, list[str]]:
        """The components that open them: kind -> names."""
        if self.dataset is None and self.images is not None:
            return {"source": source_names(self.images)}
        return {"dataset": [self.dataset]} if isinstance(self.dataset, str) else {}

    def open(
        self, picked: Mapping[str, Sequence[Chosen]], card: ModelCard, suffixes: Collection[str], observer: Observer
    ) -> tuple[Source, Labels]:
        """Open them, and tell what the user should know before the work.

        Args:
            picked: The components named by :meth:`components`.
            card: Of the model, with its classes.
            suffixes: Suffixes that mark a file as an image, in addition to the usual ones.
            observer: Hears notes and warnings.

        Raises:
            DataError: if there are no images, or labels do not match the classes.
        """
        if self.dataset is not None:
            source, truth = self._of_dataset(picked, card, observer)
        else:
            assert self.images is not None
            source = open_source(
                self.images, picked["source"], suffixes, observer, include=self.include, exclude=self.exclude
            )
            truth = self.labels_of(source, card)
        for note in truth.notes:
            if truth.source is None:
                observer.warn(note)  # before the work: without labels it may be of no use
            else:
                observer.note(note)
        return source, truth

    def _of_dataset(
        self, picked: Mapping[str, Sequence[Chosen]], card: ModelCard, observer: Observer
    ) -> tuple[Source, Labels]:
        from clsbench.api.data import build_dataset
        from clsbench.datasets.labels import from_samples
        from clsbench.images.sources.source import ListedSource

        if self.dataset is None or isinstance(self.dataset, str):
            (chosen,) = picked["dataset"]
            root, name = self._root(), chosen.name
            dataset = build_dataset(chosen.resolved, root, chosen.options)
        else:
            dataset, name = self.dataset, "a dataset"
        for note in dataset.notes:
            observer.note(note)
        place = dataset.root or name
        splits = [dataset.samples(self.split)] if self.split else list(dataset.splits.values())
        samples = [sample for split in splits for sample in split]
        truth = from_samples(samples, dataset.classes, card.classes, where=place, unknown=self.unknown)
        return ListedSource(place, [sample.image for sample in samples]), truth

    def _root(self) -> Path | str | None:
        """The folder, file or URL of a dataset, if one was named."""
        from clsbench.images.sources.opening import as_location

        if self.images is None or isinstance(self.images, str | os.PathLike):
            return None if self.images is None else as_location(self.images)
        locations = [os.fspath(location) for location in self.images]
        if len(locations) > 1:
            raise OptionError(
                "a dataset is one folder or file", where="IMAGES", got=" ".join(locations), expected="one path"
            )
        return as_location(locations[0]) if locations else None

    def labels_of(self, source: Source, card: ModelCard) -> Labels:
        """The labels of images that no dataset gives, for a model with these classes.

        Raises:
            DataError: if they do not match the classes.
        """
        from clsbench.datasets.file_name_labels import PATTERN, pattern_for
        from clsbench.datasets.labels import Labels, from_folders
        from clsbench.images.sources.compact import entry_names

        names = entry_names(source.entries)
        if self.labels == "none":
            return Labels(None, [-1] * len(names))
        if self.labels:
            return _from_file(Path(self.labels), names, card.classes, self.unknown)
        found = from_folders(names, card.classes, where=source.location, unknown=self.unknown)
        if (
            found.source is None
            and getattr(source, "folders", None) is not None
            and (pattern := pattern_for(names, card.classes))
        ):
            option = [] if pattern == PATTERN else ["--with", f"data.pattern={pattern}"]
            note = (
                f"no accuracy: the file names look like labels ({some(names, 2)}), and labels come from class folders; "
                f"to take them from the names: {command('infer', source.location, '--dataset', 'regex', *option)}"
            )
            return dataclasses.replace(found, notes=(note,))
        return found


def _from_file(file: Path, names: Sequence[str], classes: Sequence[str], unknown: str) -> Labels:
    """Labels of a table of paths and labels, such as a predictions file of any format."""
    from clsbench.datasets.labels import from_csv, from_pairs
    from clsbench.predictions.label_file import given_labels, has_escapes
    from clsbench.predictions.manifest import read_manifest

    if file.suffix.lower() in (".jsonl", ".parquet") or has_escapes(file, read_manifest(file)[0]):
        return from_pairs(given_labels(file), file, names, classes, unknown=unknown)
    return from_csv(file, names, classes, unknown=unknown)
