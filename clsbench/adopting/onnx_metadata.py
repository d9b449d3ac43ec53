"""ONNX metadata in the spellings that people use, and in those of ONNX's own list.

Source of the latter, ``Image.BitmapPixelFormat`` and the like, which Azure Custom Vision writes:
https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from clsbench.adopting.description import Description, Draft, Triple, normalisation, number, shown, side, triple
from clsbench.adopting.literals import parse_literal

#: What may be stated -> the keys under which it is, the usual ones first; case and the marks - . _ do not count.
KEYS = {
    "classes": ("classes", "classnames", "labels", "names", "labelnames", "classlabels", "id2label", "idx2label",
                "idxtoclass", "indextoname", "indextoclass", "classtoidx", "label2id", "categories"),
    "size": ("inputsize", "imagesize", "imgsize", "imgsz", "inputshape"),
    "resize": ("resize", "resizemode"),
    "crop_fraction": ("cropfraction", "croppct"),
    "interpolation": ("interpolation", "resample", "resizeinterpolation"),
    "color": ("color", "colour", "colororder", "channelorder", "colorformat", "colorspace", "colormode", "channels",
              "bitmappixelformat"),
    "range": ("range", "pixelrange", "inputrange", "nominalpixelrange"),
    "scale": ("scale", "rescalefactor", "scalefactor"),
    "mean": ("mean", "imagemean", "normmean", "normalizationmean", "pixelmean"),
    "std": ("std", "imagestd", "normstd", "normalizationstd", "pixelstd", "stddev"),
}  # fmt: skip

RESIZES = {"crop": "crop", "squash": "squash", "stretch": "squash", "squash-crop": "squash-crop",
           "letterbox": "letterbox"}  # fmt: skip
FILTERS = {"bilinear": "bilinear", "linear": "bilinear", "bicubic": "bicubic", "cubic": "bicubic", "lanczos": "lanczos",
           "box": "box", "nearest": "nearest"}  # fmt: skip
COLORS = {"rgb": "RGB", "rgb8": "RGB", "bgr": "BGR", "bgr8": "BGR"}

#: Ranges without spaces and brackets -> (factor of a level, offset).
RANGES = {
    "0-255": (1.0, 0.0), "0,255": (1.0, 0.0), "nominalrange_0_255": (1.0, 0.0),
    "0-1": (1 / 255, 0.0), "0,1": (1 / 255, 0.0), "normalized_0_1": (1 / 255, 0.0),
    "-1-1": (1 / 127.5, 1.0), "-1,1": (1 / 127.5, 1.0), "normalized_1_1": (1 / 127.5, 1.0),
}  # fmt: skip


def describe_metadata(metadata: Mapping[str, str]) -> Description:
    """What a file's metadata says; keys that are not in :data:`KEYS` are none of ours.

    Args:
        metadata: Texts by key.
    """
    draft, given = Draft("ONNX metadata"), _given(metadata)
    if "classes" in given:
        draft.name_classes(_names(given["classes"]), "the list of classes")
    if "size" in given:
        _size(draft, given["size"])
    for field, known in (("resize", RESIZES), ("interpolation", FILTERS)):
        if field in given:
            draft.choose(field, field, given[field].strip().lower(), known)
    if "crop_fraction" in given:
        fraction = number(parse_literal(given["crop_fraction"]))
        if fraction is None:
            draft.refuse_value("crop_fraction", given["crop_fraction"], "a number")
        else:
            draft.transform["crop_fraction"] = fraction
    if given.get("color", "3").strip() != "3":  # a count of channels
        draft.choose("color", "the order of the channels", given["color"].strip().lower(), COLORS)
    _normalisation(draft, given)
    return draft.finish()


def _given(metadata: Mapping[str, str]) -> dict[str, str]:
    """What is stated, by the names of :data:`KEYS`."""
    plain = {re.sub(r"[._\s-]", "", key.lower()): text for key, text in metadata.items()}
    prefix = re.compile(r"^(preprocess|preprocessing|image)(?=.)")
    plain = {prefix.sub("", key): text for key, text in plain.items()} | plain
    found = {field: [plain[key] for key in keys if plain.get(key, "").strip()] for field, keys in KEYS.items()}
    return {field: texts[0] for field, texts in found.items() if texts}


def _names(text: str) -> object:
    """Class names as a list or an object; of a plain text the lines, or what its commas divide."""
    value = parse_literal(text)
    if not isinstance(value, str):
        return value
    return value.splitlines() if "\n" in value.strip() else value.split(",")


def _size(draft: Draft, text: str) -> None:
    """One side, height and width, or those among channels and batch."""
    value = parse_literal(text)
    if isinstance(value, str):
        value = [parse_literal(part) for part in re.split(r"[,x×\s]+", value.strip("[]() "))]
    parts = list(value) if isinstance(value, list | tuple) else [value]
    if len(parts) == 4:
        parts = parts[1:]
    if len(parts) == 3:
        parts = parts[1:] if parts[0] == 3 else parts[:2] if parts[2] == 3 else []
    sides = [side(part) for part in (parts * 2 if len(parts) == 1 else parts)]
    if len(sides) != 2 or sides[0] is None or sides[1] is None:
        draft.noted.append(f"its size is not clear: {shown(text)}")
    elif "x" in text and sides[0] != sides[1]:
        draft.noted.append(f"its size {shown(text)} does not say which side is the height")
    else:
        draft.transform["size"] = (sides[0], sides[1])


def _normalisation(draft: Draft, given: Mapping[str, str]) -> None:
    """State mean and std, of a range, a scale, a mean and a std; nothing where their units are not clear."""
    mean, std = (_triple(draft, name, given[name]) if name in given else None for name in ("mean", "std"))
    if {"mean", "std"} & set(given) and (mean is None or std is None):
        draft.noted.append("mean and std are left out: they are not both there as three numbers")
        return
    known = _factor(draft, given)
    if known is None and mean is not None and std is not None:
        known = _unit(mean, std)
        if known is None:
            draft.noted.append(f"mean {mean} and std {std} are left out: no range says in what unit they are")
    if known is None:
        return
    if mean is not None and known[1]:
        draft.refuse("it has a range from -1 to 1, and a mean: which comes first is not said")
        return
    both = normalisation(mean or (0.0,) * 3, std or (1.0,) * 3, factor=known[0], offset=known[1])
    draft.transform["mean"], draft.transform["std"] = both
    if draft.transform.get("color") == "BGR" and len(set(both[0] + both[1])) > 2:
        draft.noted.append("mean and std are taken to be in the order blue, green, red")


def _triple(draft: Draft, name: str, text: str) -> Triple | None:
    value = parse_literal(text)
    if isinstance(value, str):
        value = [parse_literal(part) for part in re.split(r"[,\s]+", value)]
    return triple(value)


def _factor(draft: Draft, given: Mapping[str, str]) -> tuple[float, float] | None:
    """(factor of a level, offset) that range or scale state."""
    if "scale" in given:
        factor = number(parse_literal(given["scale"]))
        if factor is not None and factor > 0:
            return factor, 0.0
        draft.refuse_value("scale", given["scale"], "a number above 0")
    elif "range" in given:
        name = re.sub(r"[\s\[\]()]|\.0\b", "", given["range"].lower().replace("..", "-").replace("to", "-"))
        if name in RANGES:
            return RANGES[name]
        draft.refuse_value("range", given["range"], "0-255, 0-1, -1-1")
    return None


def _unit(mean: Triple, std: Triple) -> tuple[float, float] | None:
    """The factor of a level, of the size of the numbers: those of images in levels are far above 1."""
    if max(mean) > 2 or min(std) > 2:
        return 1.0, 0.0
    return (1 / 255, 0.0) if min(mean) > 0 and max(mean + std) < 1 else None
