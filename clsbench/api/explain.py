"""Heatmaps of images: what ``show --explain``, ``report --explain`` and ``Model.explain`` share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import choose
from clsbench.api.observer import Observer
from clsbench.errors import OptionError
from clsbench.text import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clsbench.images.entries import Entry
    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader
    from clsbench.inference.explaining import Explainer, Explanation, Method
    from clsbench.predictions.table import PredictionTable


@dataclass(frozen=True)
class ImageExplainer:
    """Explains images of files with one model; see :func:`open_explainer`."""

    loader: ImageLoader
    explainer: Explainer
    classes: tuple[str, ...]
    observer: Observer

    def stage(self, images: int) -> None:
        """Begin the progress of so many images."""
        self.observer.stage("explaining", images * self.explainer.runs)

    def __call__(self, entry: Entry, labels: Sequence[str] = ()) -> tuple[Explanation, ...]:
        """The predicted class, then each of ``labels`` that the model knows and that is another one.

        Raises:
            ClsbenchError: if the image cannot be read or explained.
        """
        known = [label for label in labels if label in self.classes]
        return self.explainer(self.loader(entry), known, name=entry.name, progress=self.observer.advance)


@contextmanager
def open_explainer(
    model: str | Path | None, method: Method, *, device: str = "auto", seed: int = 0, observer: Observer
) -> Iterator[ImageExplainer]:
    """A model file, opened to explain images; what it costs is noted.

    Args:
        model: An .onnx file; the latest export if left out.
        method: ``auto`` is CAM where the file allows it, and occlusion elsewhere.
        device: As in :func:`clsbench.load`.
        seed: Of RISE's masks.
        observer: Hears the method, its cost and the progress.

    Raises:
        OptionError: for an unknown method.
        ModelError: if the file cannot be used, or does not allow CAM and that was asked for.
        DeviceError: if the device cannot be used.
    """
    from clsbench.api.chosen_model import open_card
    from clsbench.images.loader import ImageLoader
    from clsbench.inference.backend import open_backend
    from clsbench.inference.explaining import TITLES, Explainer

    file, card = open_card(model, observer)
    engine = choose({"backend": ["onnxruntime"]}, ())["backend"][0].offered(tune="cached")
    with open_backend(engine.opener(), file, device) as backend:
        explainer = Explainer(file, card, backend, method=method, seed=seed)
        reason = f"; no CAM: {explainer.reason}" if explainer.reason else ""
        cost = counted(explainer.runs, "run")
        observer.note(f"explaining by {TITLES[explainer.method]}: {cost} of the model for each image{reason}")
        yield ImageExplainer(ImageLoader(card.transform), explainer, card.classes, observer)


def model_of(table: PredictionTable, model: str | Path | None, observer: Observer) -> Path:
    """The model file that made a predictions file: the one that is named, or the manifest's.

    Raises:
        OptionError: if neither is there.
    """
    from clsbench import runs
    from clsbench.model_file import model_hash

    made_by = table.manifest.model
    known = made_by.file if made_by else None
    file = runs.find_onnx(model) if model is not None else Path(known) if known else None
    if file is None or (model is None and not file.is_file()):
        raise OptionError(
            "heatmaps need the model",
            where="--explain",
            got="a predictions file that names no model" if file is None else f"{file} is not there any more",
            hint="name it with --model FILE.onnx",
        )
    if made_by and made_by.sha256 and file.is_file() and model_hash(file) != made_by.sha256:
        observer.warn(f"{file} is not the file that made these predictions: its heatmaps are of another model")
    return file


def explained_tiles(found: Sequence[Explanation], path: str, title: str, colour: str) -> list[Tile]:
    """What the network saw, and beside it a heatmap for each class with its probability and the method."""
    from clsbench.images.grid import Tile

    titles = [f"{one.label} {percent(one.probability)}\nby {one.title}" for one in found]
    maps = [Tile(picture, text) for picture, text in zip(overlays(found), titles, strict=True)]
    return [Tile(found[0].pixels, title, colour, path), *maps]


def overlays(found: Sequence[Explanation]) -> list[NDArray[np.uint8]]:
    """The heatmaps of one image, uint8 (h, w, 3) each, on one scale: dark red is the strongest evidence in any."""
    from clsbench.images.heatmaps import overlay

    peak = max(float(one.heatmap.max()) for one in found)
    return [overlay(one.pixels, one.heatmap, peak=peak) for one in found]


def percent(probability: float) -> str:
    """A probability in a title.

    >>> percent(0.97312), percent(0.0001)
    ('97.3%', '<0.1%')
    """
    return f"{probability:.1%}" if probability >= 0.0005 else "<0.1%"
