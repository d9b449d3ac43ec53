"""Hugging Face's ``preprocessor_config.json`` and ``config.json``, of image processors for classification.

Source: transformers 5.23, ``image_processing_backends.py`` and ``models/*/image_processing_*.py``, and the feature
extractors that came before them. Their releases differ in the default of a size, a crop or a filter, so that a file
which leaves one out does not say what is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clsbench.adopting.description import Description, Draft, normalisation, number, shown, side, triple
from clsbench.transform import crop_fraction_of

#: Pillow's numbers of filters; 5, hamming, has no counterpart.
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}

#: Keys that are understood, and those that change no pixel of an RGB image.
KEYS = {
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct", "do_rescale", "rescale_factor",
    "rescale_offset", "include_top", "do_normalize", "image_mean", "image_std", "do_flip_channel_order",
}  # fmt: skip
HARMLESS = {
    "do_convert_rgb", "do_reduce_labels", "reduce_labels", "data_format", "input_data_format", "return_tensors",
    "default_to_square", "device", "disable_grouping", "model_input_names", "image_processor_type",
    "feature_extractor_type", "processor_class", "transformers_version", "auto_map",
}  # fmt: skip

Pair = tuple[int, int]


@dataclass(frozen=True)
class _Processor:
    """What a class of image processors does beyond the fields of its file.

    Args:
        square: Whether a single number as size is both sides; else the shortest. None where that is not known.
        crops: Whether it crops where the file does not say; None where releases differ.
        enlarged: (shortest side asked for, crop_pct) -> the side that is resized to.
        normalises: Whether it ever does.
        flips: Whether it turns the channels round where the file does not say.
    """

    square: bool | None
    crops: bool | None = False
    enlarged: Callable[[int, float | None], int] = lambda edge, crop_pct: edge
    normalises: bool = True
    flips: bool = False


def _poolformers(edge: int, crop_pct: float | None) -> int:
    return int(edge / (crop_pct or 0.9))


def _levits(edge: int, crop_pct: float | None) -> int:
    return int((256 / 224) * edge)


_SQUARE, _CROPPING = _Processor(True), _Processor(False, True)

#: Classes by their names without ``ImageProcessor`` or ``FeatureExtractor``.
PROCESSORS = {
    "ViT": _SQUARE, "Pvt": _SQUARE, "Siglip": _Processor(None), "Blip": _SQUARE, "Segformer": _SQUARE,
    "EfficientNet": _SQUARE, "DeiT": _Processor(True, True), "Beit": _Processor(True, None), "CLIP": _CROPPING,
    "ChineseCLIP": _CROPPING, "Bit": _CROPPING, "MobileNetV1": _CROPPING, "MobileNetV2": _CROPPING, "ConvNext": _Processor(False),
    "MobileViT": _Processor(False, True, normalises=False, flips=True),
    "Levit": _Processor(False, True, _levits), "PoolFormer": _Processor(False, True, _poolformers),
    "": _Processor(None, None),
}  # fmt: skip


def is_huggingfaces(values: Mapping[str, object]) -> bool:
    """Whether a JSON object is a model's config of transformers."""
    return isinstance(values.get("id2label"), dict) or (
        isinstance(values.get("model_type"), str) and "transformers_version" in values
    )


def describe_huggingface(
    preprocessor: Mapping[str, object] | None, config: Mapping[str, object] | None, origin: str
) -> Description:
    """What the two files say together.

    Args:
        preprocessor: ``preprocessor_config.json``, if there is one.
        config: ``config.json``, if there is one.
        origin: For the description.
    """
    draft = Draft(origin)
    if preprocessor is not None:
        given = {key: value for key, value in preprocessor.items() if value is not None}
        name = str(given.get("image_processor_type") or given.get("feature_extractor_type") or "")
        kind = re.sub(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$", "", name)
        if kind in PROCESSORS:
            _preprocessing(draft, given, kind, PROCESSORS[kind])
        else:
            draft.refuse(f"its image processor is {shown(name)}, whose steps are not known here")
    if config is not None:
        _config(draft, config)
    return draft.finish()


def _preprocessing(draft: Draft, given: Mapping[str, object], kind: str, processor: _Processor) -> None:
    for key, value in given.items():
        if key not in KEYS | HARMLESS and not key.startswith("_") and value is not False:
            draft.refuse(f"{shown(key)} is {shown(value)}, which is not known here")
    if given.get("do_resize", True) is True:
        _geometry(draft, given, kind, processor)
        draft.choose("interpolation", "resample", given.get("resample"), FILTERS)
    else:
        draft.refuse("do_resize is not true: it takes images of the network's size only")
    if given.get("do_flip_channel_order", processor.flips) is True:
        draft.transform["color"] = "BGR"
    _normalisation(draft, given, kind, processor)


def _geometry(draft: Draft, given: Mapping[str, object], kind: str, processor: _Processor) -> None:
    """State size, resize and crop_fraction."""
    square = given.get("default_to_square", processor.square)
    edge, both = _size(given.get("size"), square if isinstance(square, bool) else None)
    crops = given.get("do_center_crop", processor.crops)
    if edge is None and both is None:
        draft.refuse_value("size", given.get("size"), "{height, width} or {shortest_edge}, whole numbers")
    elif kind == "ConvNext" and crops is False:
        _convnexts(draft, edge, given.get("crop_pct", 224 / 256))
    elif crops is True and kind != "ConvNext":
        _, kept = _size(given.get("crop_size"), True)
        crop_pct = number(given.get("crop_pct"))
        if kept is None:
            draft.refuse_value("crop_size", given.get("crop_size"), "a whole number, or {height, width}")
        elif kind == "PoolFormer" and (crop_pct is not None and crop_pct <= 0):
            draft.refuse_value("crop_pct", crop_pct, "a number above 0")
        elif edge is not None:
            edge = processor.enlarged(edge, crop_pct)
            _crop(draft, "crop", kept, (edge, edge))
        elif both is not None:
            _crop(draft, "squash-crop", kept, both)
    elif crops is False and both is not None:
        draft.transform.update(size=both, resize="squash")
    elif crops is False:
        draft.refuse(f"it resizes the shortest side to {edge} and does not crop: images of any size")
    else:
        draft.refuse_value("do_center_crop", given.get("do_center_crop"), "false, or true but for ConvNext")


def _size(value: object, square: bool | None) -> tuple[int | None, Pair | None]:
    """(shortest side, None) or (None, (height, width)) of a size; (None, None) if it is neither."""
    edge = side(value)
    if edge is not None and square is not None:
        return (None, (edge, edge)) if square else (edge, None)
    if isinstance(value, dict) and set(value) == {"shortest_edge"}:
        return side(value["shortest_edge"]), None
    if isinstance(value, dict) and set(value) == {"height", "width"}:
        value = [value["height"], value["width"]]
    elif isinstance(value, list) and len(value) == 2 and value[0] != value[1]:
        return None, None  # releases differ in which of them is the height
    if isinstance(value, list) and len(value) == 2:
        height, width = side(value[0]), side(value[1])
        return None, (height, width) if height and width else None
    return None, None


def _convnexts(draft: Draft, edge: int | None, crop_pct: object) -> None:
    """Below 384 pixels it crops, and squashes from there on."""
    fraction = number(crop_pct)
    if edge is None:
        draft.refuse("size of a ConvNext processor has height and width, which it does not take")
    elif edge >= 384:
        draft.transform.update(size=(edge, edge), resize="squash")
    elif fraction is None or not 0 < fraction <= 1:
        draft.refuse_value("crop_pct", crop_pct, "a number above 0, at most 1")
    else:
        _crop(draft, "crop", (edge, edge), (int(edge / fraction),) * 2)


def _crop(draft: Draft, resize: str, kept: Pair, resized: Pair) -> None:
    """State a centre crop of a resized image; ``resized`` is the shortest side twice for ``crop``."""
    fraction = crop_fraction_of(kept, resized)
    if fraction is None:
        what = "the shortest side to {}".format(*resized) if resize == "crop" else "to {} × {}".format(*resized)
        draft.refuse(f"it resizes {what} and crops to {kept[0]} × {kept[1]}, which pads or has no one crop_fraction")
    elif resize == "squash-crop" and kept == resized:
        draft.transform.update(size=kept, resize="squash")
    else:
        draft.transform.update(size=kept, resize=resize, crop_fraction=fraction)
        over = [whole - part for whole, part in zip(resized, kept, strict=True)]
        if resize == "crop" or any(odd // 2 != round(odd / 2) for odd in over):
            draft.noted.append(
                "where an odd number of pixels is cut off, transformers puts the crop's corner half a pixel up and "
                "left, and clsbench to the even pixel, as torchvision does"
            )


def _normalisation(draft: Draft, given: Mapping[str, object], kind: str, processor: _Processor) -> None:
    """State mean and std: of (level × factor - offset - mean) / std."""
    factor, offset = (number(given.get("rescale_factor", 1 / 255)) if given.get("do_rescale", True) else 1.0), 0.0
    if factor is None or factor <= 0:
        draft.refuse_value("rescale_factor", given.get("rescale_factor"), "a number above 0")
        return
    if given.get("rescale_offset") is True and given.get("do_rescale", True):
        if abs(factor * 127.5 - 1) > 1e-6:
            draft.refuse(f"rescale_offset with a rescale_factor of {factor:g}: its releases disagree about the offset")
        offset = 1.0
    mean, std = triple(given.get("image_mean")), triple(given.get("image_std"))
    normalises = bool(given.get("do_normalize", True)) and processor.normalises
    divides = kind == "EfficientNet" and given.get("include_top", True) is True
    if (normalises and mean is None) or ((normalises or divides) and std is None):
        draft.refuse(f"image_mean is {shown(given.get('image_mean'))} and image_std {shown(given.get('image_std'))}")
        return
    if not normalises or mean is None:
        mean = (0.0, 0.0, 0.0)
    scale = (1.0, 1.0, 1.0)
    if std is not None:  # an EfficientNet's head is given what was divided by std twice
        scale = (std[0] ** (normalises + divides), std[1] ** (normalises + divides), std[2] ** (normalises + divides))
    draft.transform["mean"], draft.transform["std"] = normalisation(mean, scale, factor=factor, offset=offset)


def _config(draft: Draft, config: Mapping[str, object]) -> None:
    """Classes of ``config.json``, and what makes a network something else than a classifier of RGB images."""
    channels = config.get("num_channels", 3)
    if channels != 3:
        draft.refuse(f"num_channels is {shown(channels)}: the network takes something other than RGB images")
    if config.get("problem_type") in ("multi_label_classification", "regression"):
        draft.refuse(f"problem_type is {shown(config['problem_type'])}: not one class for each image")
    names = config.get("id2label")
    if isinstance(names, dict) and names and not all(re.fullmatch(r"LABEL_\d+", str(name)) for name in names.values()):
        draft.name_classes(names, "id2label")
