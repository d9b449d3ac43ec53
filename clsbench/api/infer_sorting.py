"""``infer --move``, ``--copy``, ``--link``: the images of a job in class folders, once all of it is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.api.observer import Observer
from clsbench.api.sources import Images
from clsbench.errors import OptionError
from clsbench.output_files import check_folder
from clsbench.text import counted, some

if TYPE_CHECKING:
    from clsbench.datasets.sorting import Mode, SortedImages
    from clsbench.images.sources.source import Source
    from clsbench.predictions.block import Predictions


@dataclass
class Sorting:
    """A wish, and the classes that a job gives its images: one more consumer of its blocks.

    Args:
        mode: ``move``, ``copy`` or ``link``.
        folder: For the class folders.
    """

    mode: Mode
    folder: Path
    _best: list[NDArray[np.int32]] = field(default_factory=list)

    def check(self, source: Source, images: Images | None) -> None:
        """Refuse what cannot be done, before the work.

        Raises:
            OptionError: as :func:`clsbench.datasets.sorting.check_sortable`.
            DataError: if the folder cannot be written to.
        """
        from clsbench.datasets.sorting import check_sortable

        if images is None:  # a dataset's
            images = source.location
        roots = [os.fspath(root) for root in ([images] if isinstance(images, str | os.PathLike) else images)]
        check_sortable(source.entries, self.mode, self.folder, [root for root in roots if os.path.isdir(root)])
        check_folder(self.folder, "the sorted images")

    def write(self, block: Predictions) -> None:
        """Keep the class of each image of a block, 4 bytes an image."""
        best = block.top(1)[:, 0].astype(np.int32)
        self._best.append(np.where(block.ok, best, np.int32(-1)))

    def read(self, predictions: Path, classes: Sequence[str]) -> None:
        """Take the classes from the predictions file of a job that is finished, whose rows are in the job's order.

        Raises:
            ClsbenchError: if it cannot be read.
        """
        from clsbench.predictions.reading import read_predictions

        index = {name: k for k, name in enumerate(classes)}
        with read_predictions(predictions) as table:
            ours = np.array([*(index.get(name, -1) for name in table.classes), -1], np.int32)
            self._best = [ours[table.predicted]]

    def finish(self, source: Source, classes: Sequence[str], observer: Observer) -> SortedImages:
        """Sort the images, and say what was done.

        Raises:
            DataError: if nothing more can be written.
        """
        from clsbench.datasets.sorting import sort_images

        best = np.concatenate(self._best).tolist() if self._best else []
        names = [classes[k] if k >= 0 else None for k in best]
        observer.stage("sorting", len(names))
        found = sort_images(source.entries, names, self.mode, self.folder, progress=observer.advance)
        done = {"move": "moved", "copy": "copied", "link": "linked"}[self.mode]
        counts = some([f"{name} {count:,}" for name, count in found.classes.items()], 10)
        observer.note(f"{done}: {counted(found.done, 'image')} into {self.folder}" + (f" ({counts})" if counts else ""))
        if found.unclassified:
            observer.note(f"not sorted, for want of a class: {counted(found.unclassified, 'image')}")
        if found.conflicts:
            names_shown = some(found.conflict_names, 3)
            observer.warn(f"nothing is overwritten: {counted(found.conflicts, 'image')} not {done}: {names_shown}")
        if found.failures:
            observer.warn(f"{counted(found.failures, 'image')} could not be {done}: {some(found.failure_texts, 3)}")
        return found


def wanted_sorting(**folders: str | Path | None) -> Sorting | None:
    """The one of ``move``, ``copy`` and ``link`` that was asked for, None without any.

    Raises:
        OptionError: for two of them.
    """
    modes: dict[str, Mode] = {"move": "move", "copy": "copy", "link": "link"}
    given = {name: folder for name, folder in folders.items() if folder is not None}
    if len(given) > 1:
        raise OptionError("images can be sorted in one way", got=" and ".join(f"--{name}" for name in given))
    return next((Sorting(modes[name], Path(folder)) for name, folder in given.items()), None)
