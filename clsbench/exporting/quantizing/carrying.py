"""What an int8 file carries for engines that it was not proved on; :mod:`clsbench.carried_gate` reads it."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from clsbench.card import ModelCard
from clsbench.carried_gate import SCHEMA, CarriedText, Logits, Pixels, decoded, proof_name
from clsbench.exporting.gate_images import spread
from clsbench.inference.backend import Backend, classify
from clsbench.machine import cpu_name

#: Images that a file carries, and what makes them fewer: numbers of all their logits at most, pixels of all images.
IMAGES, NUMBERS, PIXELS = 16, 1 << 17, 1 << 23

#: The fewest images, and the quality of the JPEGs.
FEWEST, QUALITY = 4, 92


@dataclass(frozen=True)
class Carrying:
    """The text under the metadata key, and how many images are in it."""

    text: str
    images: int


def carry(
    pixels: Pixels, card: ModelCard, parent: Callable[[Pixels], Logits], file: Backend, backend: str, most: int = IMAGES
) -> Carrying:
    """Choose images that a file is to carry, spread evenly, and ask the file and its parent what they are.

    Args:
        pixels: Of the images that judged it, uint8 (N, h, w, 3).
        card: Of the file.
        parent: Answers for what the file was made of: uint8 (n, h, w, 3) -> float32 (n, K).
        file: The file, opened.
        backend: The name of that backend.
        most: How many images at most; with 0 the text is empty.
    """
    if not most:
        return Carrying("", 0)
    chosen = spread(len(pixels), min(most, carry_count(len(card.classes), math.prod(card.transform.size))))
    images = [as_jpeg(pixels[k]) for k in chosen]
    again = decoded(images, card)
    text = dumps(images, parent(again), answers(file, again, card), proof_name(backend, file.device))
    return Carrying(text, len(images))


def answers(backend: Backend, pixels: Pixels, card: ModelCard) -> Logits:
    """float32 (n, K) of uint8 (n, h, w, 3), one image a call."""
    return np.concatenate([classify(backend, pixels[k : k + 1], len(card.classes)) for k in range(len(pixels))])


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
