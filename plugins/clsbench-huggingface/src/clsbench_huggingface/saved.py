"""What a saved model says of itself: its configuration, its preprocessing and its classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clsbench import ImageTransform, ModelError, describe_huggingface

#: Larger files are no configuration; that of ImageNet-21k has 2 MB.
MAX_BYTES = 1 << 26

#: What is taken where the weights are random and no processor was saved.
SIDE = 224


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A model's folder.

    Args:
        folder: Where it is.
        transform: Its preprocessing.
        classes: The names of its classes, as they stand there.
    """

    folder: Path
    transform: ImageTransform
    classes: tuple[str, ...] | None


def read_saved(folder: Path, *, pretrained: bool, size: int | None) -> Saved:
    """Read the JSON files of a model.

    Args:
        folder: Where they are.
        pretrained: Whether its weights are to be used, which need their own preprocessing.
        size: Another input side, pixels.

    Raises:
        ModelError: if it has no ``config.json``, or asks for something that an ImageTransform cannot do.
    """
    config = _json(folder / "config.json")
    if config is None:
        raise ModelError(
            "there is no model in the folder", where=folder, expected="config.json, as save_pretrained writes it"
        )
    processor = _processor(folder)
    if processor is None and pretrained:
        raise ModelError(
            "the model does not say how its images were preprocessed", where=folder,
            expected="preprocessor_config.json beside config.json",
            hint="save its image processor there too: processor.save_pretrained(FOLDER)",
        )  # fmt: skip
    described = describe_huggingface(processor, config, str(folder))
    if described.refused:
        raise ModelError(
            "the model cannot be used exactly as it was saved", where=folder, got="; ".join(described.refused)
        )
    transform = (
        _plain(config) if processor is None else ImageTransform.of({"size": (SIDE, SIDE), **described.transform})
    )
    if size is not None:
        transform = replace(transform, size=(size, size))
    return Saved(folder=folder, transform=transform, classes=described.classes or _placeholders(config))


def _processor(folder: Path) -> Mapping[str, Any] | None:
    """The image processor's own file, or its part in that of a processor of several inputs."""
    if (own := _json(folder / "preprocessor_config.json")) is not None:
        return own
    part = (_json(folder / "processor_config.json") or {}).get("image_processor")
    return part if isinstance(part, dict) else None


def _json(file: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no such file."""
    if not file.is_file():
        return None
    problem = None
    try:
        value = json.loads(file.read_bytes()) if file.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        value, problem = None, f"{error:.200}" if isinstance(error, OSError) else "no JSON"
    if not isinstance(value, dict):
        raise ModelError("a file of the model cannot be read", where=file, got=problem, expected="a JSON object")
    return value


def _plain(config: Mapping[str, Any]) -> ImageTransform:
    """ImageNet's usual preprocessing in the size that the configuration names, for random weights."""
    size = config.get("image_size")
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    if not (
        isinstance(height, int) and isinstance(width, int) and 0 < min(height, width) <= max(height, width) <= 4096
    ):
        height, width = SIDE, SIDE
    return ImageTransform(size=(height, width))


def _placeholders(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """``LABEL_0`` and so on, as transformers calls classes without names."""
    names = config.get("id2label")
    return tuple(f"LABEL_{k}" for k in range(len(names))) if isinstance(names, dict) and names else None
