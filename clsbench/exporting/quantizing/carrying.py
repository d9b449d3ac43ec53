"""What an int8 file carries for engines that it was not proved on; :mod:`clsbench.carried_gate` reads it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import asdict

from clsbench.carried_gate import SCHEMA, CarriedText, Logits, Pixels
from clsbench.machine import cpu_name

#: Images that a file carries, and what makes them fewer: numbers of all their logits at most, pixels of all images.
IMAGES, NUMBERS, PIXELS = 16, 1 << 17, 1 << 23

#: The fewest images, and the quality of the JPEGs.
FEWEST, QUALITY = 4, 92


def carry_count(classes: int, pixels: int) -> int:
    """How many images of so many pixels a file of so many classes carries: fewer where they would be long.

    >>> carry_count(1000, 224 * 224)
    16
    """
    return max(FEWEST, min(IMAGES, NUMBERS // classes, PIXELS // pixels))


def as_jpeg(pixels: Pixels) -> bytes:
    """An image of the network's size, uint8 (h, w, 3), to be carried."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return stream.getvalue()


def dumps(images: Sequence[bytes], parent: Logits, said: Logits, backend: str) -> str:
    """The text under :data:`METADATA_KEY`.

    Args:
        images: n JPEGs, of :func:`as_jpeg`.
        parent, said: float32 (n, K), of their pixels as :func:`decoded` gives them.
        backend: Where the file said that.
    """
    text = CarriedText(
        SCHEMA, tuple(map(_encoded, images)), _encoded(parent.astype("<f4").tobytes()),
        _encoded(said.astype("<f4").tobytes()), backend, cpu_name(),
    )  # fmt: skip
    return json.dumps(asdict(text))


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
