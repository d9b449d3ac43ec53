"""What a user states about preprocessing, in flags or a file, as fields of a transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from clsbench.adopting.decisions import USUAL, Statement
from clsbench.errors import ModelError, OptionError
from clsbench.json_fields import parse_object
from clsbench.picture_shape import PictureShape
from clsbench.transform import ImageTransform, TransformValue, read_pad

Range = Literal["0-255", "0-1"]

#: Numbers for the three channels as a user gives them: a text ``R,G,B``, one number for all, or a sequence.
Channels = str | float | Sequence[float]

#: OpenAI's, which its descendants keep: https://github.com/openai/CLIP (clip.py, _transform).
CLIP: Mapping[str, TransformValue] = {
    "resize": "crop",
    "crop_fraction": 1.0,
    "interpolation": "bicubic",
    "color": "RGB",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}

_NAMED: Mapping[str, Mapping[str, TransformValue]] = {
    "imagenet": {field: value for field, value in USUAL.items() if field != "size"},
    "clip": CLIP,
}


def stated(
    *,
    transform: str | Path | ImageTransform | None = None,
    size: Any = None,
    resize: str | None = None,
    crop_fraction: float | None = None,
    interpolation: str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    range: Range | None = None,
    channels: str | None = None,
    pad: str | Sequence[int] | None = None,
) -> list[Statement]:
    """Fields by the option that states them; single flags come before what a whole transform says.

    Raises:
        OptionError: for a value that is none.
        ModelError: if the file of a transform cannot be read.
    """
    shape = PictureShape.asked(size, resize, pad, interpolation)
    found: list[Statement] = []
    if shape.size:
        found.append(("--size", {"size": shape.size}))
    if shape.resize:
        found.append(("--resize", {"resize": shape.resize}))
    if shape.interpolation:
        found.append(("--interpolation", {"interpolation": shape.interpolation}))
    if shape.pad is not None:
        found.append(("--pad", {"pad": read_pad(shape.pad)}))
    if crop_fraction is not None:
        if not 0 < crop_fraction <= 1:
            raise OptionError(
                "the crop fraction is out of range", where="--crop-fraction", got=crop_fraction,
                expected="above 0, at most 1",
            )  # fmt: skip
        found.append(("--crop-fraction", {"crop_fraction": float(crop_fraction)}))
    if channels is not None:
        if channels.upper() not in ("RGB", "BGR"):
            raise OptionError("unknown order of channels", where="--channels", got=channels, expected="rgb or bgr")
        found.append(("--channels", {"color": channels.upper()}))
    found += _normalisation(mean, std, range)
    if transform is not None:
        found.append((f"--transform {transform}" if isinstance(transform, str) else "--transform", _whole(transform)))
    return found


def _whole(transform: str | Path | ImageTransform) -> Mapping[str, TransformValue]:
    """All that a named transform or a file of one says."""
    if isinstance(transform, ImageTransform):
        return _fields(transform)
    if str(transform) in _NAMED:
        return _NAMED[str(transform)]
    file = Path(transform)
    if not file.is_file():
        raise OptionError(
            "there is no such transform", where="--transform", got=transform,
            expected=f"{', '.join(_NAMED)}, a JSON file with the fields of a transform, or an .onnx file with a card",
        )  # fmt: skip
    if file.suffix.lower() == ".onnx":
        from clsbench.model_file import read_card

        return _fields(read_card(file).transform)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError("the file of a transform cannot be read", where=file, got=error) from None
    values = dict(parse_object(text, what="a transform", where=file))
    sized = {"size": [1, 1], **values}
    try:
        whole = ImageTransform.from_json(sized)
    except ModelError as error:
        error.facts["where"] = f"{file}: {error.facts['where']}" if error.facts.get("where") else file
        raise
    return {field: value for field, value in _fields(whole).items() if field in values}


def _fields(transform: ImageTransform) -> dict[str, TransformValue]:
    return {field: getattr(transform, field) for field in ImageTransform.__dataclass_fields__}


def _normalisation(mean: Channels | None, std: Channels | None, range: Range | None) -> list[Statement]:
    """Mean and standard deviation in units of 1 = full intensity, from those of the range the network takes.

    A range alone means that nothing is subtracted; numbers that only levels can be mean levels.
    """
    if range not in (None, "0-255", "0-1"):
        raise OptionError("unknown range of input values", where="--range", got=range, expected="0-255 or 0-1")
    if mean is None and std is None and range is None:
        return []
    subtracted, divisor = _triple(mean, "--mean"), _triple(std, "--std")
    largest = max(abs(value) for value in (*(subtracted or (0,)), *(divisor or (0,))))
    full = 255.0 if range == "0-255" or (range is None and largest > 2) else 1.0
    if divisor is None and subtracted is not None and range is None and full == 1:
        raise OptionError(
            "a mean alone does not say what range the network takes", where="--mean", got=mean,
            hint="add --std, or --range 0-1 or --range 0-255",
        )  # fmt: skip
    if subtracted is None and divisor is not None and range is None and full == 1:
        raise OptionError(
            "a standard deviation alone does not say what is subtracted", where="--std", got=std, hint="add --mean"
        )
    if min(divisor or (1.0,)) <= 0:
        raise OptionError("a standard deviation is above 0", where="--std", got=std, expected="numbers above 0")
    name = " ".join(flag for flag, value in (("--range", range), ("--mean", mean), ("--std", std)) if value is not None)
    scaled = [tuple(value / full for value in values) for values in (subtracted or (0.0,) * 3, divisor or (1.0,) * 3)]
    return [(name, {"mean": scaled[0], "std": scaled[1]})]


def _triple(value: Channels | None, flag: str) -> tuple[float, ...] | None:
    """Three numbers, or one for all three channels."""
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int | float) else list(value)
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in (1, 3) or not all(abs(number) < 1e6 for number in numbers):
        raise OptionError(
            "cannot read numbers for the channels", where=flag, got=value,
            expected="three numbers with commas between them, or one for all",
        )  # fmt: skip
    return numbers * 3 if len(numbers) == 1 else numbers
