"""Writing matplotlib figures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.output_files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, file: Path, *, dpi: int) -> None:
    """Write a figure as PNG; folders above it are made, and characters without a glyph become boxes."""
    with warnings.catch_warnings(), whole_file(file, "the image") as unfinished:
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(unfinished, dpi=dpi, format="png")
