"""The thumbnails in a report: which images need one, and how they are embedded."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.confusion import ConfusedPairs
from clsbench.evaluation.metrics.label_errors import LabelErrors
from clsbench.evaluation.metrics.top_losses import TopLosses
from clsbench.evaluation.report.examples import images_by_cell
from clsbench.predictions.table import PredictionTable

#: Images in the gallery of top losses, in that of label errors, and of each of so many confused pairs.
LOSSES, LABEL_ERRORS, PAIRS, PER_PAIR = 48, 24, 12, 6

#: Thumbnails a report asks for, and bytes of thumbnails that it takes.
WANTED, BYTES = 300, 1_500_000

#: Side of a thumbnail in pixels, and its JPEG quality: some 4 kB.
SIDE, QUALITY = 160, 75


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A thumbnail, uint8 (H, W, 3), as a JPEG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def wanted_images(evaluation: Evaluation, table: PredictionTable | None, *, limit: int = WANTED) -> list[str]:
    """Names of the images whose thumbnails a report can use, the most important first.

    Top losses, suspected label errors, some of each of the most confused pairs, and then other
    mistakes, which are seen when one clicks into the confusion matrix.

    Args:
        evaluation: That the report is about.
        table: That it comes from; without it only the images that its metrics name are wanted.
        limit: At most so many.

    Returns:
        Names as in the predictions file, each once.
    """
    losses, labels = evaluation.find("top_losses", TopLosses), evaluation.find("label_errors", LabelErrors)
    wanted = [image.name for image in losses.rows[:LOSSES]] if isinstance(losses, TopLosses) else []
    wanted += [image.name for image in labels.images[:LABEL_ERRORS]] if isinstance(labels, LabelErrors) else []
    if table is not None:
        cells = images_by_cell(table)
        for pair in _first_pairs(evaluation):
            wanted += [image.name for image in cells.get(pair, [])[:PER_PAIR]]
        wanted += [image.name for (label, predicted), images in cells.items() if label != predicted for image in images]
    return list(dict.fromkeys(wanted))[:limit]


def _first_pairs(evaluation: Evaluation) -> Iterable[tuple[int, int]]:
    found = evaluation.find("confused_pairs", ConfusedPairs)
    index = {title: k for k, title in enumerate(evaluation.classes)}
    pairs = found.pairs[:PAIRS] if isinstance(found, ConfusedPairs) else ()
    return [(index[pair.label], index[pair.predicted]) for pair in pairs]


@dataclass(frozen=True)
class Thumbnail:
    """Embedded: a number that stands for the image, since names are cut, and the data URI."""

    key: int
    uri: str


class Thumbnails:
    """Thumbnails, embedded until a budget is used up.

    Args:
        thumbnails: Name of an image -> its JPEG, WebP or PNG.
        budget: Bytes, before base64 makes them a third more.

    Raises:
        ValueError: if a thumbnail is of another format.
    """

    def __init__(self, thumbnails: Mapping[str, bytes] | None, budget: int = BYTES) -> None:
        self._thumbnails = thumbnails or {}
        self._left = budget
        self._keys: dict[str, int] = {}
        self._refused: set[str] = set()
        for name, data in self._thumbnails.items():
            _media_type(name, data)

    def __bool__(self) -> bool:
        return bool(self._thumbnails)

    @property
    def left_out(self) -> int:
        """How many were asked for, were there, and did not fit."""
        return len(self._refused - self._keys.keys())

    def embed(self, name: str) -> Thumbnail | None:
        """The thumbnail of an image; None where there is none, or no room.

        One that is shown twice is embedded twice.
        """
        data = self._thumbnails.get(name)
        if data is None:
            return None
        if len(data) > self._left:
            self._refused.add(name)
            return None
        self._left -= len(data)
        uri = f"data:{_media_type(name, data)};base64,{base64.b64encode(data).decode('ascii')}"
        return Thumbnail(self._keys.setdefault(name, len(self._keys)), uri)

    def key(self, name: str) -> int | None:
        """The number of an image whose thumbnail is embedded."""
        return self._keys.get(name)


def _media_type(name: str, data: bytes) -> str:
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    raise ValueError(f"the thumbnail of {name!r} is not a JPEG, WebP or PNG: it begins with {data[:8]!r}")
