"""timm's published preprocessing as an ImageTransform.

Source: ``timm.data.transforms_factory.transforms_imagenet_eval``.
"""

from __future__ import annotations

import math
import re
from typing import Any

from clsbench import ImageTransform, ModelError, OptionError


def sides(size: int | str) -> tuple[int, int]:
    """(height, width) of a size as users give it: ``224`` or ``192,256``.

    Raises:
        OptionError: if it is neither.
    """
    parts = re.fullmatch(r"\s*(\d{1,5})\s*(?:,\s*(\d{1,5})\s*)?", str(size), re.ASCII)
    if not parts or "0" in (parts[1].strip("0") or "0", (parts[2] or "1").strip("0") or "0"):
        expected = "the side of square images, or HEIGHT,WIDTH, such as 224 or 192,256"
        raise OptionError("cannot read an image size", where="size", got=size, expected=expected)
    return int(parts[1]), int(parts[2] or parts[1])


def transform_of(name: str, published: Any, size: tuple[int, int] | None, crop_pct: float | None) -> ImageTransform:
    """The preprocessing that timm evaluates a network with.

    Args:
        name: Of the network, for messages.
        published: timm's ``PretrainedCfg``.
        size: (h, w) instead of the published one, pixels. At the size that timm tests at, its crop is the tests'.
        crop_pct: The part that is cropped, instead of the published one.

    Raises:
        ModelError: if an ImageTransform cannot state it.
    """
    h, w = size or published.input_size[1:]
    tested = published.test_input_size is not None and (h, w) == tuple(published.test_input_size[1:])
    part = crop_pct or (tested and published.test_crop_pct) or published.crop_pct
    resized = math.floor(h / part), math.floor(w / part)
    sided = (f for f in (h / resized[0], w / resized[1]) if (round(h / f), round(w / f)) == resized)
    fraction = next(
        sided, part
    )  # timm rounds both sides down, which for some oblongs no one fraction does to the pixel
    whole = resized == (h, w)
    resize = {"center": "crop", "squash": "squash" if whole else "squash-crop", "border": "letterbox"}
    how = resize.get(published.crop_mode)
    if how is None or fraction > 1 or (how == "letterbox" and not whole):
        raise ModelError(
            f"the preprocessing of {name} cannot be stated in a model file",
            got=f"crop_mode {published.crop_mode} with crop_pct {part}, at {h}×{w} pixels",
            expected="a crop_pct of at most 1, and of exactly 1 with borders",
            hint="--with model.crop_pct=1 trains it with images that are resized to its input",
        )
    fields: dict[str, Any] = {"resize": how, "interpolation": published.interpolation}
    mean, std = (tuple(map(float, values)) for values in (published.mean, published.std))
    return ImageTransform.of({"size": (h, w), "crop_fraction": fraction, "mean": mean, "std": std, **fields})
