"""Candidates for the preprocessing of a network that came without one, the most usual first."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from clsbench.transform import (
    CROPPING,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Color,
    ImageTransform,
    Interpolation,
    Resize,
    TransformValue,
)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """A mean and std that networks are trained with.

    Args:
        name: What people call it.
        mean, std: Red, green, blue, in units of 1 = full intensity.
        levels: Whether people state it in levels, 0 to 255.
    """

    name: str
    mean: Triple
    std: Triple
    levels: bool = False


#: What pretrained networks use. TensorFlow's Lite networks subtract 127 and divide by 128: that differs from 0.5/0.5
#: by at most one grey level, which no test set tells apart (benchmarks/adopt_check.py).
NORMALISATIONS = (
    Normalisation("imagenet", IMAGENET_MEAN, IMAGENET_STD),
    Normalisation("0.5/0.5", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    Normalisation("0..1", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    Normalisation(
        "clip", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    ),  # https://github.com/openai/CLIP, clip/clip.py
    Normalisation("caffe", (123 / 255, 117 / 255, 104 / 255), (1 / 255, 1 / 255, 1 / 255), levels=True),
    Normalisation("0..255", (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), levels=True),
)

#: Ways to fit a photo to the network's input, and the part of its sides that is kept. Classifiers seldom letterbox:
#: that is tried where the base does.
FITS: tuple[tuple[Resize, float], ...] = (
    ("crop", 0.875),
    ("crop", 1.0),
    ("squash", 1.0),
    ("squash-crop", 0.875),
)
INTERPOLATIONS: tuple[Interpolation, ...] = ("bilinear", "bicubic")
COLORS: tuple[Color, ...] = ("RGB", "BGR")

#: How near numbers must be to count as a known normalisation's: files round them.
_NEAR = 5e-4


@dataclass(frozen=True)
class Candidate:
    """A transform to try.

    Args:
        name: For people, such as ``imagenet RGB bilinear crop 0.875``.
        transform: What it stands for.
    """

    name: str
    transform: ImageTransform


def candidates(base: ImageTransform, fixed: Collection[str] = ()) -> list[Candidate]:
    """The transforms that a network may have been trained with: ``base``, then the others from the most usual on.

    Args:
        base: What is known, guessed or the default of each field; tried together with the usual values of the others.
        fixed: Names of the fields of ``base`` that are certain: these are not varied. Nor are the size, the
            orientation and grey, which only the user or the network can say.

    >>> found = candidates(ImageTransform(size=(224, 224), crop_fraction=0.875), fixed=["interpolation", "color"])
    >>> len(found), found[1].name
    (24, 'imagenet RGB bilinear crop 1')
    """
    known = known_normalisation(base)
    own = Normalisation("own", _in_rgb(base.mean, base.color), _in_rgb(base.std, base.color))
    normalisations = (own, *(each for each in NORMALISATIONS if each is not known))
    colors = (base.color,) if base.color == "L" or "color" in fixed else dict.fromkeys((base.color, *COLORS))
    fits = dict.fromkeys(((base.resize, base.crop_fraction), *FITS))
    interpolations = dict.fromkeys((base.interpolation, *INTERPOLATIONS))
    found: dict[ImageTransform, Candidate] = {}
    for each, color, (resize, fraction), interpolation in product(normalisations, colors, fits, interpolations):
        changes: dict[str, TransformValue] = {
            "resize": resize,
            "crop_fraction": fraction,
            "interpolation": interpolation,
            "color": color,
            "mean": _in_rgb(each.mean, color),
            "std": _in_rgb(each.std, color),
            "pad": base.pad if resize == base.resize else None,
        }
        made = _changed(base, {name: value for name, value in changes.items() if name not in fixed})
        if made.resize not in CROPPING and "crop_fraction" not in fixed:
            made = dataclasses.replace(made, crop_fraction=1.0)
        found.setdefault(made, Candidate(name_of(made), made))
    return list(found.values())


def _changed(base: ImageTransform, changes: Mapping[str, TransformValue]) -> ImageTransform:
    return ImageTransform.of({**{name: getattr(base, name) for name in base.__dataclass_fields__}, **changes})


def _in_rgb(values: Triple, color: Color) -> Triple:
    """Values in the network's order of channels as red, green, blue, or the other way round."""
    return values[::-1] if color == "BGR" else values


def name_of(transform: ImageTransform) -> str:
    """A transform in a few words: what ``check`` varies.

    >>> name_of(ImageTransform(size=(224, 224), mean=(0.1, 0.2, 0.3), std=(1, 1, 1), resize="squash"))
    'mean 0.1,0.2,0.3 std 1,1,1 RGB bilinear squash'
    """
    known = known_normalisation(transform)
    normalised = known.name if known else f"mean {_numbers(transform.mean)} std {_numbers(transform.std)}"
    fraction = [f"{transform.crop_fraction:.3g}"] if transform.resize in CROPPING else []
    return " ".join((normalised, transform.color, transform.interpolation, transform.resize, *fraction))


def known_normalisation(transform: ImageTransform) -> Normalisation | None:
    """The known one that a transform's mean and std are, in its channel order."""
    values = (*_in_rgb(transform.mean, transform.color), *_in_rgb(transform.std, transform.color))
    for known in NORMALISATIONS:
        pairs = zip((*known.mean, *known.std), values, strict=True)
        if all(abs(a - b) < _NEAR for a, b in pairs):
            return known
    return None


def options_of(transform: ImageTransform) -> list[str]:
    """The words of ``clsbench adopt`` that ask for a transform.

    >>> " ".join(options_of(ImageTransform(size=(224, 224), resize="squash", mean=(0, 0, 0), std=(1, 1, 1))))
    '--size 224,224 --resize squash --interpolation bilinear --channels rgb --mean 0,0,0 --std 1,1,1'
    """
    return list(_options(transform))


def _options(transform: ImageTransform) -> Iterator[str]:
    yield from ("--size", ",".join(map(str, transform.size)))
    yield from ("--resize", transform.resize)
    if transform.resize in CROPPING:
        yield from ("--crop-fraction", f"{transform.crop_fraction:.6g}")
    yield from ("--interpolation", transform.interpolation)
    if transform.color != "L":
        yield from ("--channels", transform.color.lower())
    known = known_normalisation(transform)
    unit = 255 if known and known.levels else 1
    if unit == 255:
        yield from ("--range", "0-255")
    yield from ("--mean", _numbers(transform.mean, unit), "--std", _numbers(transform.std, unit))
    if transform.resize == "letterbox":
        yield from ("--pad", ",".join(map(str, transform.padding)))


def _numbers(values: Triple, unit: int = 1) -> str:
    return ",".join(f"{unit * value:.8g}" for value in values)
