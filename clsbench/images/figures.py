"""Writing matplotlib figures: in the fonts their texts need, whole or not at all."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.errors import DataError
from clsbench.images.fonts import families

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
    unfinished = file.with_name(file.name + ".partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # Characters without a glyph become boxes; families has said so.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            figure.savefig(unfinished, dpi=dpi, format="png")
        unfinished.replace(file)
    except OSError as error:
        raise DataError("the image cannot be written", where=file, got=error.strerror or error) from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
