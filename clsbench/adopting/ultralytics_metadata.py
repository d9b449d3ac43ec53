"""The metadata that ultralytics writes into the .onnx files it exports.

Source: ultralytics 8.4, ``engine/exporter.py`` (the keys) and ``data/augment.py`` (``classify_transforms``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from clsbench.adopting.description import Description, Draft, shown, side
from clsbench.adopting.literals import parse_literal

#: The first release known to resize with torchvision; 8.0.230 still did with OpenCV, which does not antialias.
FIRST = (8, 0, 239)


def is_ultralytics(metadata: Mapping[str, str]) -> bool:
    """Whether ultralytics wrote it."""
    return {"task", "names", "stride"} <= set(metadata) or metadata.get("author") == "Ultralytics"


def describe_ultralytics(metadata: Mapping[str, str]) -> Description:
    """What it says; a square input is cropped, and any other squashed, without normalisation.

    Args:
        metadata: For which :func:`is_ultralytics` is true.
    """
    draft = Draft("ONNX metadata (ultralytics)")
    task, channels = metadata.get("task", "classify"), metadata.get("channels", "3")
    if task != "classify":
        draft.refuse(f"its task is {shown(task)}, which is not classification of whole images")
        return draft.finish()
    if channels != "3":
        draft.refuse(f"its channels are {shown(channels)}: the network takes something other than RGB images")
    version = re.match(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", metadata.get("version", ""))
    if version is None or tuple(map(int, version.groups())) < FIRST:
        draft.refuse(
            f"its version is {shown(metadata.get('version'))}: releases before {'.'.join(map(str, FIRST))} resize "
            "without antialiasing"
        )
    size = parse_literal(metadata.get("imgsz", ""))
    sides = [side(part) for part in (size if isinstance(size, list | tuple) else [size, size])]
    draft.transform.update(
        interpolation="bilinear", color="RGB", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )  # fmt: skip
    if len(sides) == 2 and sides[0] and sides[1]:
        resize = "crop" if sides[0] == sides[1] else "squash"
        draft.transform.update(size=(sides[0], sides[1]), resize=resize, crop_fraction=1.0)
    else:
        draft.refuse_value("imgsz", metadata.get("imgsz"), "one or two whole numbers")
    if "names" in metadata:
        draft.name_classes(parse_literal(metadata["names"]), "names")
    return draft.finish()
