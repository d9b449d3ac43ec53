"""ImageTransform: the one definition of preprocessing.

A frozen, serialisable specification. Training's validation, export's parity check,
inference and evaluation all follow the same one; the file carries it. The pixels are
made by :mod:`clsbench.images`; the normalisation is the first layer of the network.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from clsbench.errors import ModelError, OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Resize = Literal["crop", "squash", "squash-crop", "letterbox"]
Interpolation = Literal["bilinear", "bicubic", "lanczos", "box", "nearest"]
Color = Literal["RGB", "BGR", "L"]
Corner = Literal["round", "floor"]

#: The ways to resize that cut off what ``crop_fraction`` leaves out; the others show the whole image.
CROPPING = ("crop", "squash-crop")

#: What a field of an :class:`ImageTransform` can hold.
TransformValue = str | bool | float | tuple[int, int] | tuple[int, int, int] | tuple[float, ...] | None

#: ImageNet's usual normalisation, in units of 1 = full intensity.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Of a mean or std, whose least is the inverse: beyond, a network sees the same of every image, or no finite numbers.
LARGEST = 1e6

#: What a colour for padding is.
PAD = "R,G,B, three whole numbers from 0 to 255"


@dataclass(frozen=True)
class Geometry:
    """What a transform does to one image of known size, in pixels.

    Args:
        box: (left, top, right, bottom) of the source that survives; floats.
        size: (height, width) to resize the box to; for ``letterbox`` within the network's input.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ImageTransform:
    """How encoded images become uint8 (h, w, 3), and how the network normalises them.

    Args:
        size: (h, w) of the network's input, pixels.
        resize: ``crop`` (shortest side to size / crop_fraction, then centre crop), ``squash`` (ignore the
            aspect ratio), ``squash-crop`` (squash to size / crop_fraction, then centre crop) or ``letterbox``
            (fit, then pad).
        crop_fraction: The part of the resized image's sides that the centre crop keeps, in (0, 1]; see
            :func:`crop_fraction_of`.
        corner: How the crop's corner becomes whole where an odd number of pixels is cut off: ``round`` to the even
            number (torchvision, timm), or ``floor`` (Hugging Face).
        interpolation: The resampling filter, always antialiased.
        color: ``RGB``, ``BGR`` for a network that reads its channels in that order, or ``L`` for grey repeated
            into three channels. Pixels are RGB everywhere, whatever the network reads: the normalisation turns
            them round.
        exif: Whether to apply the orientation that cameras record.
        mean, std: Per channel in the network's order (blue first for ``BGR``), in units of 1 = full intensity.
        pad: Colour that ``letterbox`` pads with, RGB in levels 0 to 255; None for ``mean``.

    Raises:
        ModelError: if a value is out of range.

    >>> ImageTransform(size=(224, 224), crop_fraction=0.875).geometry(512, 256).box
    (144.0, 16.0, 368.0, 240.0)
    """

    size: tuple[int, int]
    resize: Resize = "crop"
    crop_fraction: float = 1.0
    interpolation: Interpolation = "bilinear"
    color: Color = "RGB"
    exif: bool = True
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    pad: tuple[int, int, int] | None = None
    corner: Corner = "round"

    def __post_init__(self) -> None:
        def require(true: bool, name: str, expected: str) -> None:
            if not true:
                raise ModelError(
                    "an image transform is not valid",
                    where=name,
                    got=repr(getattr(self, name)),
                    expected=expected,
                )

        require(_is_size(self.size), "size", "two whole numbers above 0: (height, width)")
        require(_is_number(self.crop_fraction) and 0 < self.crop_fraction <= 1, "crop_fraction", "in (0, 1]")
        choices = {"resize": Resize, "interpolation": Interpolation, "color": Color, "corner": Corner}
        for name, kind in choices.items():
            require(getattr(self, name) in get_args(kind), name, " or ".join(get_args(kind)))
        require(isinstance(self.exif, bool), "exif", "true or false")
        require(_is_triple(self.mean, -LARGEST), "mean", f"three numbers, {-LARGEST:g} to {LARGEST:g}")
        require(_is_triple(self.std, 1 / LARGEST), "std", f"three numbers, {1 / LARGEST:g} to {LARGEST:g}")
        require(self.pad is None or _is_color(self.pad), "pad", PAD)

    @property
    def mean_color(self) -> tuple[int, int, int]:
        """The colour nearest to what the normalisation makes 0, RGB in levels 0 to 255."""
        first, green, last = (min(255, max(0, round(255 * level))) for level in self.mean)
        return (last, green, first) if self.color == "BGR" else (first, green, last)

    @property
    def padding(self) -> tuple[int, int, int]:
        """The colour that ``letterbox`` pads with, RGB in levels 0 to 255."""
        return self.pad or self.mean_color

    def geometry(self, width: int, height: int) -> Geometry:
        """Where the pixels come from, for a source of ``width`` × ``height`` pixels.

        ``crop`` and ``squash-crop`` follow torchvision's ``Resize`` (of one side, and of two) and ``CenterCrop``
        to the pixel: the longer side is truncated, the crop's corner rounded (unless it is ``floor``). Only the box
        that survives is resampled.
        """
        h, w = self.size
        if self.resize == "squash":
            return Geometry((0.0, 0.0, float(width), float(height)), (h, w))
        if self.resize == "letterbox":
            scale = min(h / height, w / width)
            inner = (max(1, round(height * scale)), max(1, round(width * scale)))
            return Geometry((0.0, 0.0, float(width), float(height)), inner)
        target_h, target_w = round(h / self.crop_fraction), round(w / self.crop_fraction)
        if self.resize == "squash-crop":
            resized_w, resized_h = target_w, target_h
        elif target_h * width <= target_w * height:  # the width is the side that limits
            resized_w, resized_h = target_w, max(target_h, int(target_w * height / width))
        else:
            resized_w, resized_h = max(target_w, int(target_h * width / height)), target_h
        top, left = (resized_h - h) // 2, (resized_w - w) // 2
        if self.corner == "round":
            top, left = round((resized_h - h) / 2), round((resized_w - w) / 2)
        x, y = width / resized_w, height / resized_h
        box = (left * x, top * y, min((left + w) * x, float(width)), min((top + h) * y, float(height)))
        return Geometry(box, (h, w))

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON; without ``pad`` and ``corner`` where they are what they were before they could be."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        usual = {"pad": None, "corner": "round"}
        return {k: v for k, v in values.items() if k not in usual or v != usual[k]}

    @classmethod
    def of(cls, fields: Mapping[str, TransformValue]) -> ImageTransform:
        """From fields by name; raises ModelError as the constructor does, which checks their types."""
        values: Any = dict(fields)
        return cls(**values)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ImageTransform:
        """The inverse of :meth:`to_json`.

        Raises:
            ModelError: for missing, unknown or invalid fields.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, Mapping) or "size" not in values or set(values) - known:
            raise ModelError(
                "an image transform cannot be read",
                got=sorted(values) if isinstance(values, Mapping) else type(values).__name__,
                expected=f"size and any of {', '.join(sorted(known - {'size'}))}",
                hint="was the file written by a newer clsbench?",
            )
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)


def crop_fraction_of(size: tuple[int, int], resized: tuple[int, int]) -> float | None:
    """The ``crop_fraction`` with which an image is resized to exactly ``resized`` before ``size`` is cropped.

    Args:
        size: (h, w) of the network's input, pixels.
        resized: (H, W) that a description of another library asks for, pixels.

    Returns:
        None if no fraction in (0, 1] gives both sides.

    >>> crop_fraction_of((224, 224), (256, 256)), crop_fraction_of((224, 224), (256, 300))
    (0.875, None)
    """
    for kept, whole in zip(size, resized, strict=True):
        fraction = kept / whole
        if fraction <= 1 and all(round(k / fraction) == w for k, w in zip(size, resized, strict=True)):
            return fraction
    return None


def normalise(images: NDArray[np.uint8], transform: ImageTransform) -> NDArray[np.float32]:
    """The normalisation that a transform states, in plain numpy: what the network's first layer has to compute.

    Args:
        images: uint8 (N, h, w, 3), RGB.
        transform: Its color, mean and std are used.

    Returns:
        float32 (N, h, w, 3): (level / 255 - mean) / std, channels in the network's order.
    """
    import numpy as np

    levels = np.arange(256)[:, None] / 255
    table = ((levels - transform.mean) / transform.std).astype(np.float32)
    ordered = images[..., ::-1] if transform.color == "BGR" else images
    return np.asarray(table[ordered, np.arange(3)])


def with_changes(transform: ImageTransform, texts: Iterable[str]) -> ImageTransform:
    """The transform with fields as a user types them; a single number stands for all of a field.

    >>> changed = with_changes(ImageTransform(size=(224, 224)), ["size=96,128", "std=1"])
    >>> changed.size, changed.std
    ((96, 128), (1.0, 1.0, 1.0))

    Raises:
        OptionError: if a text is not of the form KEY=VALUE, or the value not one of the field.
    """
    known = {field.name: getattr(transform, field.name) for field in dataclasses.fields(transform)}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        try:
            if not equals or key not in known:
                raise ValueError(f"KEY=VALUE with one of {', '.join(known)}")
            change: Any = read_pad(value) if key == "pad" else _typed(value.strip(), known[key])
            transform = dataclasses.replace(transform, **{key: change})
        except ModelError as error:
            raise OptionError(error.what, where="--transform", got=text, expected=error.facts["expected"]) from None
        except ValueError as error:
            raise OptionError("cannot read a change", where="--transform", got=text, expected=error) from None
    return transform


def read_pad(text: str) -> tuple[int, int, int] | None:
    """A colour for padding from a text ``R,G,B``; None for ``mean``.

    Raises:
        ModelError: if it is neither.
    """
    if text.strip() == "mean":
        return None
    parts = [part.strip() for part in text.split(",")]
    color = tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 3)
    if len(parts) != 3 or not _is_color(color):
        raise ModelError("cannot read a colour for padding", got=text, expected=f"{PAD}, or mean")
    return color[0], color[1], color[2]


def _typed(text: str, like: object) -> object:
    """A text as a value of the type of another."""
    if isinstance(like, tuple):
        kind, parts = type(like[0]), text.split(",")
        try:
            values = tuple(kind(part) for part in parts)
        except ValueError:
            raise ValueError(f"{len(like)} numbers with commas between them, or one for all") from None
        return values * len(like) if len(values) == 1 else values
    if isinstance(like, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise ValueError("true or false")
    try:
        return float(text) if isinstance(like, float) else text
    except ValueError:
        raise ValueError("a number") from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(type(v) is int and v > 0 for v in value)


def _is_triple(value: object, least: float) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(_is_number(v) and least <= v <= LARGEST for v in value)


def _is_color(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(type(v) is int and 0 <= v <= 255 for v in value)
