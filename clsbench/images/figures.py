"""Writing matplotlib figures: in the fonts their texts need, whole or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.images.fonts import families
from clsbench.output_files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, file: Path, *, dpi: int) -> None:
    """Write a figure as PNG; folders above it are made.

    Raises:
        DataError: if it cannot be written.
    """
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if not text.get_text().isascii()]
    fonts = families(text.get_text() for text in texts)
    for text in texts:
        text.set_fontfamily(fonts)
    with warnings.catch_warnings(), whole_file(file, "the image") as unfinished:
        # Characters without a glyph become boxes; families has said so.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(unfinished, dpi=dpi, format="png")
