"""timm's ``config.json``, as ``save_for_hf`` writes it beside weights.

Source: timm 1.0, ``data/config.py`` (defaults), ``data/transforms_factory.py`` (``transforms_imagenet_eval``) and
``models/_hub.py`` (the file).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from clsbench.adopting.description import Description, Draft, count_of, number, side, triple
from clsbench.transform import IMAGENET_MEAN, IMAGENET_STD, crop_fraction_of

#: timm's names of filters; its ``hamming`` and ``random`` have no counterpart.
FILTERS = {name: name for name in ("bilinear", "bicubic", "lanczos", "box", "nearest")}


def is_timms(values: Mapping[str, object]) -> bool:
    """Whether a JSON object is a model's config of timm, in today's layout or the older flat one."""
    if not isinstance(values.get("architecture"), str):
        return False
    return isinstance(values.get("pretrained_cfg"), dict) or "input_size" in values


def describe_timm(values: Mapping[str, object], origin: str = "config.json (timm)") -> Description:
    """What such a config says; values that it leaves out are timm's defaults.

    Args:
        values: For which :func:`is_timms` is true.
        origin: For the description.
    """
    draft = Draft(origin)
    nested = values.get("pretrained_cfg")
    given = {**(nested if isinstance(nested, dict) else values)}
    size = _size(draft, given.get("input_size") or [3, 224, 224])
    draft.choose("interpolation", "interpolation", given.get("interpolation") or "bicubic", FILTERS)
    for field, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        value = given.get(field) or default
        numbers = triple(value)
        if numbers is None:
            draft.refuse_value(field, value, "three numbers")
        else:
            draft.transform[field] = numbers
    if size is not None:
        draft.transform["size"] = size
        _resize(draft, size, given.get("crop_pct") or 0.875, given.get("crop_mode") or "center")
    _classes(draft, values, given)
    return draft.finish()


def _size(draft: Draft, value: object) -> tuple[int, int] | None:
    """(h, w) of timm's (channels, h, w)."""
    parts = [side(part) for part in value] if isinstance(value, list | tuple) else []
    if len(parts) != 3 or parts[0] != 3 or parts[1] is None or parts[2] is None:
        draft.refuse_value("input_size", value, "3 channels, height, width")
        return None
    return parts[1], parts[2]


def _resize(draft: Draft, size: tuple[int, int], crop_pct: object, mode: object) -> None:
    """timm resizes to floor(size / crop_pct), and keeps the middle."""
    fraction = number(crop_pct)
    if fraction is None or not 0 < fraction <= 1:
        draft.refuse_value("crop_pct", crop_pct, "a number above 0, at most 1")
        return
    resized = math.floor(size[0] / fraction), math.floor(size[1] / fraction)
    exact = crop_fraction_of(size, resized)
    if mode == "border":
        if resized != size:
            draft.refuse(f"crop_mode is 'border' with crop_pct {fraction:g}: it pads, then crops")
        draft.transform["resize"] = "letterbox"
    elif mode not in ("center", "squash"):
        draft.refuse_value("crop_mode", mode, "center, squash, border")
    elif exact is None:
        draft.refuse(f"crop_pct {fraction:g} resizes height and width to {resized}, which no one fraction does")
    elif mode == "squash":
        draft.transform["resize"] = "squash" if resized == size else "squash-crop"
        draft.transform["crop_fraction"] = exact
    else:
        draft.transform.update(resize="crop", crop_fraction=exact)
        if size[0] != size[1]:
            draft.noted.append(
                "for images that are not square timm rounds the longer side of the resized image, and clsbench cuts "
                "its fraction of a pixel off"
            )


def _classes(draft: Draft, values: Mapping[str, object], given: Mapping[str, object]) -> None:
    names = values.get("label_names") or given.get("label_names") or values.get("labels")
    if not names:
        return
    draft.name_classes(names, "label_names")
    count = values.get("num_classes", given.get("num_classes"))
    if draft.classes and isinstance(count, int) and count != len(draft.classes):
        draft.noted.append(f"label_names has {count_of(draft.classes)}, num_classes is {count}: the names are left out")
        draft.classes = None
