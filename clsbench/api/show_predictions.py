"""The half of ``show`` that draws predictions: titled images, green where right, red where wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least
from clsbench.api.observer import Observer
from clsbench.api.predictions import open_table
from clsbench.errors import ClsbenchError, DataError, OptionError

if TYPE_CHECKING:
    from clsbench.images.grid import Tile
    from clsbench.predictions.table import PredictionTable

#: Side of a drawn image, pixels, and the colours of right, wrong and unlabelled.
SIDE, RIGHT, WRONG, UNKNOWN = 224, "#1a7f37", "#cf222e", "#57606a"

PICKS = "wrong, random, top-loss or class:NAME"


@dataclass(frozen=True, kw_only=True)
class DrawnPredictions:
    """A grid that was drawn: of which file, how its images were picked, their names; no file where none is wrong."""

    predictions: Path
    pick: str
    drawn: tuple[str, ...]
    file: Path | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "predictions": str(self.predictions),
            "pick": self.pick,
            "drawn": list(self.drawn),
            "file": str(self.file) if self.file else None,
        }


def is_predictions(file: Path | None) -> bool:
    """Whether a file holds predictions rather than paths and labels."""
    from clsbench.predictions.columns import PREFIX
    from clsbench.predictions.file_formats import open_file

    if file is None or not file.is_file() or file.suffix.lower() not in (".csv", ".jsonl", ".parquet"):
        return False
    columns = open_file(file).columns if file.suffix.lower() == ".csv" else ["predicted"]
    return "predicted" in columns or any(name.startswith(PREFIX) for name in columns)


def show_predictions(
    predictions: str | Path,
    *,
    images: str | Path | None = None,
    pick: str = "wrong",
    n: int = 25,
    out: str | Path = "images.png",
    seed: int = 0,
    observer: Observer | None = None,
) -> DrawnPredictions:
    """Draw some of the images of a predictions file.

    Args:
        predictions: The file.
        images: The folder that its paths are relative to; the manifest's if left out.
        pick: ``wrong`` (at random), ``random``, ``top-loss`` or ``class:NAME``.
        n: How many, at most.
        out: The PNG.
        seed: Of what is picked at random.
        observer: Hears notes and progress.

    Raises:
        OptionError: for an unknown pick or class.
        DataError: if there is nothing to draw.
    """
    from clsbench.images.grid import check_png, save_grid

    observer, file, grid = observer or Observer(), Path(predictions), Path(out)
    check_png(grid)
    check_at_least("n", n, 1)
    with open_table(file, observer=observer) as table:
        root = Path(images) if images is not None else table.root
        if root is None or not root.is_dir():
            raise DataError("the images are not there", where=root, hint="name their folder with --images ROOT")
        rows = _picked(table, pick, n, seed)
        if not rows and pick == "wrong" and ((table.labels >= 0) & (table.predicted >= 0)).any():
            return DrawnPredictions(predictions=file, pick=pick, drawn=(), file=None)
        if not rows:
            raise DataError("there is no image to draw", where=file, got=f"--pick {pick}")
        tiles = [_tile(table, row, root) for row in rows]
        names = tuple(table.names[row] for row in rows)
    save_grid(tiles, grid, title=f"{file.name}: {pick}")
    return DrawnPredictions(predictions=file, pick=pick, drawn=names, file=grid)


def _picked(table: PredictionTable, pick: str, count: int, seed: int) -> list[int]:
    import numpy as np

    shuffled = np.random.default_rng(seed).permutation(len(table.names))
    judged = (table.labels >= 0) & (table.predicted >= 0)
    wrong = judged & (table.labels != table.predicted)
    if pick == "random":
        return [int(i) for i in shuffled[:count]]
    if pick == "wrong":
        return [int(i) for i in shuffled[wrong[shuffled]][:count]]
    if pick == "top-loss":
        # The less probable the true class, the higher the loss; wrong ones alone where that is not known.
        guess = np.where(wrong, 0.0, 1.0) if np.isnan(table.confidence).all() else 1 - table.confidence
        sure = np.where(np.isfinite(table.label_confidence), table.label_confidence, guess)
        order = np.argsort(np.where(judged, sure, np.inf), kind="stable")
        return [int(i) for i in order[judged[order]][:count]]
    kind, _, name = pick.partition(":")
    if kind != "class" or name not in table.classes:
        known = f"; classes: {', '.join(table.classes[:20])}" if kind == "class" else ""
        raise OptionError("cannot pick images", where="--pick", got=pick, expected=PICKS + known)
    of_class = table.labels[shuffled] == table.classes.index(name)
    return [int(i) for i in shuffled[of_class][:count]]


def _tile(table: PredictionTable, row: int, root: Path) -> Tile:
    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader
    from clsbench.images.sources.paths import entry_below
    from clsbench.transform import ImageTransform

    name, label, predicted = table.names[row], int(table.labels[row]), int(table.predicted[row])
    confidence = float(table.confidence[row])
    sure = f" {confidence:.0%}" if math.isfinite(confidence) else ""
    said = "unreadable" if predicted < 0 else f"{table.classes[predicted]}{sure}"
    title = said if label < 0 else f"{said}\nis {table.classes[label]}"
    colour = UNKNOWN if label < 0 else RIGHT if label == predicted else WRONG
    loader = ImageLoader(ImageTransform(size=(SIDE, SIDE), resize="letterbox", mean=(1.0, 1.0, 1.0)))
    try:
        return Tile(loader(entry_below(root, name)), title, colour)
    except ClsbenchError:
        return Tile(None, f"{name}\n{title}", colour)
