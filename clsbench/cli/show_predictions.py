"""The half of ``clsbench show`` that draws predictions: titled images, green where right, red where wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.images.grid import Tile
    from clsbench.predictions.table import PredictionTable

#: Side of a drawn image, pixels, and the colours of right, wrong and unlabelled.
SIDE, RIGHT, WRONG, UNKNOWN = 224, "#1a7f37", "#cf222e", "#57606a"

PICKS = "wrong, random, top-loss or class:NAME"


def is_predictions(file: Path | None) -> bool:
    """Whether a file holds predictions rather than paths and labels."""
    from clsbench.predictions.block import PREFIX
    from clsbench.predictions.file_formats import open_source

    if file is None or not file.is_file() or file.suffix.lower() not in (".csv", ".jsonl", ".parquet"):
        return False
    columns = open_source(file).columns if file.suffix.lower() == ".csv" else ["predicted"]
    return "predicted" in columns or any(name.startswith(PREFIX) for name in columns)


def show_predictions(
    terminal: Terminal, file: Path, images: Path | None, pick: str, count: int, out: Path, *, seed: int
) -> None:
    """Draw some of the images of a predictions file.

    Args:
        terminal: Where words go.
        file: The predictions.
        images: The folder that paths are relative to; the manifest's if left out.
        pick: ``wrong`` (at random), ``random``, ``top-loss`` or ``class:NAME``.
        count: How many, at most.
        out: The PNG.
        seed: Of what is picked at random.

    Raises:
        OptionError: for an unknown pick or class.
        DataError: if there is nothing to draw.
    """
    from clsbench.cli.evaluation_inputs import open_table
    from clsbench.errors import DataError
    from clsbench.images.grid import save_grid

    with open_table(terminal, file) as table:
        root = images or table.root
        if root is None or not root.is_dir():
            raise DataError("the images are not there", where=root, hint="name their folder with --images ROOT")
        rows = _picked(table, pick, count, seed)
        if not rows:
            raise DataError("there is no image to draw", where=file, got=f"--pick {pick}")
        tiles = [_tile(table, row, root) for row in rows]
        names = [table.names[row] for row in rows]
    save_grid(tiles, out, title=f"{file.name}: {pick}")
    terminal.print(f"drawn: {len(tiles)} images ({pick}) in {out}")
    terminal.facts({"schema": 1, "predictions": str(file), "pick": pick, "drawn": names, "file": str(out)})


def _picked(table: PredictionTable, pick: str, count: int, seed: int) -> list[int]:
    import numpy as np

    from clsbench.errors import OptionError

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
    from clsbench.errors import ClsbenchError
    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader
    from clsbench.images.sources.paths import entry_below
    from clsbench.transform import ImageTransform

    name, label, predicted = table.names[row], int(table.labels[row]), int(table.predicted[row])
    said = "unreadable" if predicted < 0 else f"{table.classes[predicted]}{_sure(table.confidence[row])}"
    title = said if label < 0 else f"{said}\nis {table.classes[label]}"
    colour = UNKNOWN if label < 0 else RIGHT if label == predicted else WRONG
    try:
        loader = ImageLoader(ImageTransform(size=(SIDE, SIDE), resize="letterbox", mean=(1.0, 1.0, 1.0)))
        return Tile(loader(entry_below(root, name)), title, colour)
    except ClsbenchError:
        return Tile(None, f"{name}\n{title}", colour)


def _sure(confidence: Any) -> str:
    import math

    return f" {confidence:.0%}" if math.isfinite(confidence) else ""
