"""A foreign original as the reference of the gate: plain Pillow and numpy, then its own graph."""

from __future__ import annotations

from typing import Any

from clsbench.adopting.foreign import Foreign
from clsbench.exporting.gate_paths import PIXEL_TOLERANCE, ReferencePath, pillow_decode, pillow_resize
from clsbench.transform import ImageTransform


def original_path(foreign: Foreign, transform: ImageTransform, wrapped: Any) -> ReferencePath:
    """What a foreign file says with the stated preprocessing, in which nothing of infer's has a part.

    Args:
        foreign: The classifier.
        transform: The preprocessing that its card states.
        wrapped: The ModelProto of the file that is compared with it, of which the normalisation is looked at apart.
    """
    original = foreign.original
    return ReferencePath(
        decode=pillow_decode(transform),
        resize=pillow_resize(transform),
        normalise=lambda images: original.prepare(images, transform),
        network=lambda prepared: original.logits(prepared, foreign.scores),
        own_normalise=foreign.normalisation_of(wrapped),
        pixel_tolerance=PIXEL_TOLERANCE,
    )
