"""A grid of titled images as PNG."""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench.images.figures import save_figure
from clsbench.text import printable

#: Pixels of an inch; inches of an image as long as there is room, and at least; of the gap between two.
DPI, SIDE, SMALLEST, GAP = 110, 1.6, 0.9, 0.1

#: Inches that a grid takes in either direction, unless its images would be smaller than the smallest.
LIMIT = 14.0

#: Points of a title's letters, inches of a line of it, and inches for the title of the grid.
LETTERS, LINE, HEAD = 7, 0.125, 0.4

#: Letters of a title that are looked at: more than fit into the widest grid.
LONGEST = 1000


#: The name of a file: it ends in a suffix.
FILE = re.compile(r".*\.\w{2,5}")


@dataclass(frozen=True)
class Tile:
    """One cell.

    Args:
        pixels: uint8 (H, W, 3); None leaves the cell empty but for its title.
        title: Above it, in lines; each is shortened where it is too wide. Shown as it is, never as markup.
        colour: The title's, as matplotlib names it.
        path: Of the image, above the title: without its folders where they are too wide, and then in two lines,
            so that the file can be found.
    """

    pixels: NDArray[np.uint8] | None
    title: str
    colour: str = "black"
    path: str = ""

    def lines(self, inches: float) -> list[str]:
        """What stands above an image of that width."""
        named = _path_lines(printable(self.path), inches) if self.path else []
        return named + [fitted_line(line, inches) for line in printable(self.title).split("\n") if self.title]


@dataclass(frozen=True)
class _Layout:
    """Columns and rows of a grid, and inches of an image and of the titles above each."""

    columns: int
    rows: int
    side: float
    titles: float

    @property
    def width(self) -> float:
        return self.columns * (self.side + GAP) + GAP

    @property
    def height(self) -> float:
        return self.rows * (self.side + self.titles + GAP) + GAP + HEAD


def save_grid(tiles: Sequence[Tile], file: Path, *, group: int | None = None, title: str = "") -> None:
    """Draw tiles row by row, the images smaller the more there are.

    Args:
        tiles: At least one.
        file: The PNG; folders above it are made.
        group: So many tiles belong together: groups stand below each other, and beside each other too where that
            would be too high. A square grid if left out.
        title: Above it all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layout, texts = _fitted(tiles, group)
    width, height, side = layout.width, layout.height, layout.side
    # Placed by hand: matplotlib's own layouts take minutes for some hundred images.
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for position, (tile, lines) in enumerate(zip(tiles, texts, strict=True)):
        row, column = divmod(position, layout.columns)
        left = GAP + column * (side + GAP)
        bottom = height - HEAD - (row + 1) * (side + layout.titles + GAP) + GAP
        if tile.pixels is not None:
            axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
            axes.imshow(tile.pixels)
            axes.set_axis_off()
            axes.set_anchor("N")  # below its title
        middle, above = (left + side / 2) / width, (bottom + side + 0.04) / height
        figure.text(
            middle, above, "\n".join(lines), fontsize=LETTERS, color=tile.colour, ha="center", va="bottom",
            parse_math=False,
        )  # fmt: skip
    if title:
        short = fitted_line(printable(title).replace("\n", " "), (width - 2 * GAP) * LETTERS / 10)
        figure.suptitle(short, fontsize=10, y=1 - 0.12 / height, va="top", parse_math=False)
    save_figure(figure, file, dpi=DPI)


def _fitted(tiles: Sequence[Tile], group: int | None) -> tuple[_Layout, list[list[str]]]:
    """The layout of a grid, and the lines above each of its tiles."""
    high = 1
    while True:
        layout = _arranged(len(tiles), group, LINE * high + 0.04)
        texts = [tile.lines(layout.side) for tile in tiles]
        most = max(map(len, texts))
        if most <= high:
            return layout, texts
        high = most  # smaller images, above which no path has more than two lines


def _path_lines(path: str, inches: float) -> list[str]:
    """A path in one line, without folders if need be, or its file's name in two."""
    path = _measurable(path.replace("\n", " "))
    name = path.rpartition("/")[2]
    for text in (path, f"…/{name}", name):
        if _width(text) <= inches:
            return [text]
    kept = max(1, bisect_left(range(1, len(name)), True, key=lambda k: _width(name[:k]) > inches))
    spaced = name.rfind(" ", kept // 2, kept + 1)
    kept = spaced if spaced > 0 else kept
    return [name[:kept], fitted_line(name[kept:].lstrip(), inches)]


def fitted_line(text: str, inches: float) -> str:
    """A line that is no wider than that in :data:`LETTERS` points; a long one loses its middle.

    What differs in paths and class names is at their ends, and a title begins with what it is about. A path loses
    folders first, so that the file's own name stays whole where there is room for it.
    """
    text = _measurable(text)
    if _width(text) <= inches:
        return text
    folders, slash, name = text.rpartition("/")
    if slash and FILE.fullmatch(name) and _width(f"…/{name}") <= inches:
        left_out = bisect_left(range(len(folders)), True, key=lambda k: _width(f"…{folders[k:]}/{name}") <= inches)
        return f"…{folders[left_out:]}/{name}"
    least, most = 0, len(text)
    while most - least > 1:
        kept = (least + most) // 2
        least, most = (kept, most) if _width(_cut(text, kept)) <= inches else (least, kept)
    return _cut(text, least)


def _measurable(text: str) -> str:
    """A text without its middle if it is absurdly long: to measure one of megabytes would take minutes."""
    return text if len(text) <= LONGEST else _cut(text, LONGEST)


def _cut(text: str, kept: int) -> str:
    """A text with so many of its characters around an ellipsis, a third of them before it."""
    return f"{text[: kept // 3]}…{text[len(text) - (kept - kept // 3) :]}"


@lru_cache(maxsize=1 << 14)
def _width(text: str) -> float:
    """Inches of a line in :data:`LETTERS` points; an ideograph is as wide as it is high."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    wide = [letter for letter in text if unicodedata.east_asian_width(letter) in "WF"]
    # Other letters may not be in the font that measures: they count as an m, as few are wider.
    narrow = "".join(letter if letter.isascii() else "m" for letter in text if letter not in wide)
    points = TextToPath().get_text_width_height_descent(narrow, FontProperties(size=LETTERS), ismath=False)[0]
    # Drawn letters are rounded to whole pixels: some are wider than that.
    return (1.04 * float(points) + len(wide) * 1.15 * LETTERS) / 72


def _arranged(count: int, group: int | None, titles: float) -> _Layout:
    """The layout with the largest images within :data:`LIMIT`; of equal ones that with the fewest columns."""
    groups = math.ceil(count / (group or 1))
    if group is None:
        across = math.ceil(math.sqrt(count))
        return _sized(across, math.ceil(count / across), titles)
    found = [_sized(across * group, math.ceil(groups / across), titles) for across in range(1, groups + 1)]
    fitting = [layout for layout in found if max(layout.width, layout.height) <= LIMIT + 1e-6]
    if fitting:
        return max(fitting, key=lambda layout: (layout.side, -layout.columns))
    return min(found, key=lambda layout: max(layout.width, layout.height))


def _sized(columns: int, rows: int, titles: float) -> _Layout:
    """With images as large as the limit allows, and never smaller than the smallest."""
    fits = min((LIMIT - GAP) / columns - GAP, (LIMIT - GAP - HEAD) / rows - titles - GAP)
    return _Layout(columns, rows, min(SIDE, max(SMALLEST, fits)), titles)
