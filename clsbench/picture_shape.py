"""PictureShape: what a user asks of a network's input, over what its model says.

Flags and API values are checked here, before anything heavy is imported or opened.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from clsbench.errors import ModelError, OptionError
from clsbench.transform import CROPPING, ImageTransform, Interpolation, Resize, read_pad

if TYPE_CHECKING:
    from clsbench.json_fields import Scalar

#: What an option ``size`` of a model may be: the side of square images, or a text ``H,W``.
ImageSize = int | str

#: The same as a user of the library gives it.
GivenSize = int | str | tuple[int, int]

#: The largest side of the images that a network is trained on, pixels: beyond it a batch fits no memory.
MAX_SIZE = 2048


def sides(size: object, *, where: str = "size") -> tuple[int, int]:
    """(height, width) of a size: a whole number, a pair, or a text ``N`` or ``H,W``.

    >>> sides(64), sides("96,128")
    ((64, 64), (96, 128))

    Raises:
        OptionError: if it is none of these, or a side is not above 0.
    """
    parts = re.fullmatch(r"\s*(\d{1,9})\s*(?:,\s*(\d{1,9})\s*)?", size, re.ASCII) if isinstance(size, str) else None
    pair = (int(parts[1]), int(parts[2] or parts[1])) if parts else size if isinstance(size, tuple) else (size, size)
    if len(pair) == 2 and all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in pair):
        return pair
    expected = f"the side of square images, or HEIGHT,WIDTH, such as 224 or 192,256; 1 to {MAX_SIZE} pixels"
    raise OptionError("cannot read an image size", where=where, got=size, expected=expected)


@dataclass(frozen=True, kw_only=True)
class PictureShape:
    """How pictures are brought to the network's input; None where nothing was asked for.

    Args:
        size: (h, w), pixels.
        resize: ``crop``, ``squash``, ``squash-crop`` or ``letterbox``.
        pad: Colour of the padding as a text: ``R,G,B`` in levels 0 to 255, or ``mean``.
        interpolation: The resampling filter.
    """

    size: tuple[int, int] | None = None
    resize: Resize | None = None
    pad: str | None = None
    interpolation: Interpolation | None = None

    @classmethod
    def asked(
        cls, size: GivenSize | None, resize: str | None, pad: str | Sequence[int] | None, interpolation: str | None
    ) -> PictureShape:
        """Check what a user gave.

        Raises:
            OptionError: for a value that is wrong, or padding without letterbox.
        """
        pair = None if size is None else sides(size, where="--size")
        if pair and max(pair) > MAX_SIZE:
            raise OptionError(
                "the image size is out of range", where="--size", got=size, expected=f"1 to {MAX_SIZE} pixels"
            )
        for flag, value, kind in (("resize", resize, Resize), ("interpolation", interpolation, Interpolation)):
            if value is not None and value not in get_args(kind):
                raise OptionError(f"unknown {flag}", where=f"--{flag}", got=value, expected=", ".join(get_args(kind)))
        text = pad if isinstance(pad, str | None) else ",".join(map(str, pad))
        if text is not None:
            try:
                read_pad(text)
            except ModelError as error:
                raise OptionError(error.what, where="--pad", got=pad, expected=error.facts["expected"]) from None
        shape: Any = {"resize": resize, "pad": text, "interpolation": interpolation}
        found = cls(size=pair, **shape)
        if resize is not None:
            found.check_pad()
        return found

    def check_pad(self) -> None:
        """Refuse a colour for padding that there is not."""
        if self.pad is not None and self.resize != "letterbox":
            raise OptionError(
                "only letterbox pads", where="--pad", got=f"--pad {self.pad} with --resize {self.resize or 'left out'}",
                expected="--resize letterbox",
            )  # fmt: skip

    def over(self, recorded: Mapping[str, Scalar]) -> PictureShape:
        """With what a run recorded, where nothing else was asked for.

        Raises:
            OptionError: if there is a colour for padding that there is not.
        """
        kept: dict[str, Any] = {k: v for k, v in recorded.items() if getattr(self, k, v) is None}
        if self.resize not in (None, "letterbox"):
            kept.pop("pad", None)
        merged = dataclasses.replace(self, **kept)
        merged.check_pad()
        return merged

    @property
    def option(self) -> ImageSize | None:
        """The size as a model's option: the side of a square, else ``H,W``."""
        return self.size and (self.size[0] if self.size[0] == self.size[1] else "{},{}".format(*self.size))

    def to_json(self) -> dict[str, str]:
        """What was asked for but the size, which is an option of the model."""
        fields = {"resize": self.resize, "pad": self.pad, "interpolation": self.interpolation}
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Scalar]) -> PictureShape:
        """The inverse of :meth:`to_json`."""
        return cls.asked(None, **{name: values.get(name) for name in ("resize", "pad", "interpolation")})  # type: ignore[arg-type]

    def apply(self, transform: ImageTransform) -> ImageTransform:
        """A model's transform as asked for; all but the size, which the model is built with.

        The crop fraction of a model is for ``crop`` and ``squash-crop``: the others show the whole picture.
        """
        changes: dict[str, Any] = {}
        if self.resize is not None:
            changes = {"resize": self.resize, "pad": read_pad(self.pad) if self.pad else None}
            if self.resize not in CROPPING:
                changes["crop_fraction"] = 1.0
        if self.interpolation is not None:
            changes["interpolation"] = self.interpolation
        return dataclasses.replace(transform, **changes)
