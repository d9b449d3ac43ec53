"""open_clip's preprocessing as an ImageTransform.

Source: ``open_clip.transform.image_transform_v2``.
"""

from __future__ import annotations

from typing import Any

from clsbench import ImageTransform, ModelError

#: open_clip's name -> ours. Its pixels are Pillow's, cropped as torchvision does.
RESIZE = {"shortest": "crop", "squash": "squash", "longest": "letterbox"}


def transform_of(network: Any, name: str) -> ImageTransform:
    """The preprocessing of a network.

    Args:
        network: Of open_clip.
        name: For messages.

    Raises:
        ModelError: if an ImageTransform cannot state it.
    """
    config: dict[str, Any] = network.visual.preprocess_cfg
    try:
        return _stated(config, name)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the preprocessing of {name} cannot be read", got=f"{type(error).__name__}: {error}"[:300],
            expected="what open_clip writes: numbers for mean, std and fill_color",
        ) from None  # fmt: skip


def _stated(config: dict[str, Any], name: str) -> ImageTransform:
    size = config["size"]
    h, w = (size, size) if isinstance(size, int) else size
    resize, filter_ = config["resize_mode"], config["interpolation"]
    # "random" is for training; open_clip evaluates with bicubic then.
    interpolation = "bicubic" if filter_ == "random" else filter_
    if resize not in RESIZE or (resize != "squash" and h != w):
        raise ModelError(
            f"the preprocessing of {name} cannot be stated in a model file", got=f"{resize} to {h}×{w} pixels",
            expected="shortest or longest to a square, or squash",
        )  # fmt: skip
    pad = {"pad": (int(config["fill_color"]),) * 3} if resize == "longest" else {}
    return ImageTransform.of(
        {
            "size": (h, w), "resize": RESIZE[resize], "interpolation": interpolation,
            "mean": _three(config["mean"]), "std": _three(config["std"]), **pad,
        }
    )  # fmt: skip


def _three(values: Any) -> tuple[float, ...]:
    return tuple(map(float, values)) if isinstance(values, list | tuple) else (float(values),) * 3
