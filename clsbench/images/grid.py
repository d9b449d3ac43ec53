"""A grid of titled images as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import OptionError
from clsbench.images.figures import save_figure
from clsbench.output_files import check_writable
from clsbench.text import printable, shortened

#: Inches of an image, of the title above it, and of the gap between two; characters of a title.
SIDE, TITLES, GAP, TITLE = 1.6, 0.36, 0.1, 24


@dataclass(frozen=True)
class Tile:
    """One cell.

    Args:
        pixels: uint8 (H, W, 3); None leaves the cell empty but for its title.
        title: Above it; shortened where it is long. Shown as it is, never as markup.
        colour: The title's, as matplotlib names it.
    """

    pixels: NDArray[np.uint8] | None
    title: str
    colour: str = "black"


def save_grid(tiles: Sequence[Tile], file: Path, *, columns: int | None = None, title: str = "") -> None:
    """Draw tiles row by row.

    Args:
        tiles: At least one.
        file: The PNG; folders above it are made.
        columns: A square grid if left out.
        title: Above it all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = columns or max(1, math.ceil(math.sqrt(len(tiles))))
    rows = math.ceil(len(tiles) / columns)
    # Placed by hand: matplotlib's own layouts take minutes for some hundred images.
    width, height = columns * (SIDE + GAP) + GAP, rows * (SIDE + TITLES + GAP) + 0.4
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for position, tile in enumerate(tiles):
        row, column = divmod(position, columns)
        left = GAP + column * (SIDE + GAP)
        bottom = height - 0.4 - (row + 1) * (SIDE + TITLES + GAP) + GAP
        if tile.pixels is not None:
            axes = figure.add_axes((left / width, bottom / height, SIDE / width, SIDE / height))
            axes.imshow(tile.pixels)
            axes.set_axis_off()
        lines = "\n".join(shortened(line, TITLE) for line in printable(tile.title).split("\n"))
        middle, above = (left + SIDE / 2) / width, (bottom + SIDE + 0.04) / height
        figure.text(middle, above, lines, fontsize=7, color=tile.colour, ha="center", va="bottom", parse_math=False)
    if title:
        figure.suptitle(printable(title), fontsize=10, y=1 - 0.12 / height, va="top", parse_math=False)
    save_figure(figure, file, dpi=110)


def check_png(file: Path) -> None:
    """Refuse a path that no image can be written to, before the work is done.

    Raises:
        OptionError: if it does not end in .png.
        DataError: if it cannot be written.
    """
    if file.suffix.lower() != ".png":
        raise OptionError("the image is written as PNG", where="--out", got=file, expected="a path that ends in .png")
    check_writable(file, "the image")
