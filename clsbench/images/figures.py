"""Writing matplotlib figures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, file: Path, *, dpi: int) -> None:
    """Write a figure as PNG; folders above it are made, and characters without a glyph become boxes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, dpi=dpi, format="png")
