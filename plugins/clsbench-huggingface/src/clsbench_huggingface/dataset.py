"""Datasets with an image column, by ``datasets``; encoded images are read row by row, and decoded by clsbench."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsbench import DataError, Dataset, FileEntry, ImageError, Sample
from clsbench_huggingface.hub import no_telemetry

#: Where datasets of the hub are, and an id on it.
URL = re.compile(r"hf://datasets/([\w.-]+(?:/[\w.-]+)?)/?")

#: clsbench's splits, and what others call them.
SPLITS = {"train": ("train", "training"), "val": ("validation", "valid", "val", "dev"), "test": ("test", "testing")}


@dataclass(frozen=True, slots=True)
class RowEntry:
    """The image of a row.

    Args:
        name: Split and number of the row.
        rows: A ``datasets.Dataset`` of one column, whose images are not decoded; pickled as the files that hold it.
        row: Which one.
        column: What it is called.
    """

    name: str
    rows: Any
    row: int
    column: str

    def read(self) -> bytes:
        """The encoded image.

        Raises:
            ImageError: if there is none, or its file cannot be read.
        """
        found = self.rows[self.row][self.column] or {}
        if found.get("bytes"):
            return bytes(found["bytes"])
        path = found.get("path")
        if not path or "://" in path:
            raise ImageError("missing", "the row holds no image", got="a URL" if path else None)
        return FileEntry(self.name, path).read()


def build(
    root: Path | str | None, *, image: str | None, label: str | None, config: str | None, revision: str | None
) -> Dataset:
    """See :func:`clsbench_huggingface.build_dataset`."""
    if root is None:
        raise DataError(
            "which dataset?", where="dataset huggingface",
            expected="a folder that save_to_disk wrote, a Parquet file, or hf://datasets/ID",
        )  # fmt: skip
    splits, notes = _splits(_load(str(root), config, revision), str(root))
    features = splits["train"].features
    image = image or _only(features, "Image", "image", root)
    label = label or _only(features, "ClassLabel", "label", root)
    for name in (image, label):
        if name not in features:
            raise DataError(f"there is no column '{name}'", where=root, expected=" or ".join(features))
    classes, position = _classes(splits["train"], label)
    samples = {}
    for split, rows in splits.items():
        labels = [position.get(value) for value in rows[label]]
        known = [row for row, value in enumerate(labels) if value is not None]
        if len(known) < len(labels):
            notes.append(f"{split}: rows without a label of train are left out: {len(labels) - len(known)}")
        images, digits = _undecoded(rows, image), len(str(len(labels)))
        samples[split] = [
            Sample(RowEntry(f"{split}/{row:0{digits}}", images, row, image), labels[row]) for row in known
        ]
    given = {split: found for split, found in samples.items() if found or split == "train"}
    return Dataset(classes=classes, splits=given, notes=tuple(notes), root=str(root))


def _load(root: str, config: str | None, revision: str | None) -> Any:
    """A ``datasets.Dataset``, or several by split.

    Raises:
        DataError: if it cannot be read.
    """
    url = URL.fullmatch(root)
    if url is None and not os.path.exists(root):
        raise DataError(
            "there is no such file or folder", where=root,
            hint=f"a dataset of the hub is hf://datasets/{root}" if URL.fullmatch(f"hf://datasets/{root}") else None,
        )  # fmt: skip
    no_telemetry()
    import datasets

    bars = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        if url:
            return datasets.load_dataset(url[1], config, revision=revision)
        if any(os.path.isfile(os.path.join(root, name)) for name in ("dataset_dict.json", "state.json")):
            return datasets.load_from_disk(root)
        if os.path.isfile(root):
            return datasets.load_dataset("parquet", data_files={"train": root})
        return datasets.load_dataset(root, config)
    except Exception as error:
        lines = str(error).splitlines() or [""]
        raise DataError(
            "datasets cannot read it", where=root, got=f"{type(error).__name__}: {lines[0]:.300}",
            hint="is the id right, and the hub reachable?" if url else None,
        ) from error  # fmt: skip
    finally:
        if bars:
            datasets.enable_progress_bars()


def _splits(loaded: Any, root: str) -> tuple[dict[str, Any], list[str]]:
    """Our splits, and notes."""
    if not isinstance(loaded, Mapping):
        return {"train": loaded}, []
    found = {}
    for split, words in SPLITS.items():
        if name := next((name for name in loaded if name.lower() in words), None):
            found[split] = loaded[name]
    others = [name for name in loaded if not any(loaded[name] is rows for rows in found.values())]
    if "train" not in found and len(loaded) == 1:
        (only,) = loaded
        return {"train": loaded[only]}, [f"the only split, {only}, is taken for train"]
    if "train" not in found:
        raise DataError("there is no training split", where=root, got=", ".join(loaded), expected="train")
    return found, [f"splits that are left out: {', '.join(others)}"] if others else []


def _only(features: Mapping[str, Any], kind: str, option: str, root: object) -> str:
    """The one column of a kind."""
    found = [name for name, feature in features.items() if type(feature).__name__ == kind]
    if len(found) == 1:
        return found[0]
    raise DataError(
        f"which column holds the {option}s?", where=root,
        got=", ".join(found) if found else f"no {kind} among {', '.join(features)}",
        hint=f"name it: --with data.{option}=COLUMN",
    )  # fmt: skip


def _classes(train: Any, label: str) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Names of the classes, and value -> class."""
    names = getattr(train.features[label], "names", None)
    if names:
        return tuple(names), {k: k for k in range(len(names))}
    values = {value for value in train[label] if value is not None}
    position = {text: k for k, text in enumerate(sorted({str(value) for value in values}))}
    return tuple(position), {value: position[str(value)] for value in values}


def _undecoded(rows: Any, image: str) -> Any:
    """The column of the images alone, as encoded bytes."""
    from datasets import Image

    return rows.select_columns([image]).cast_column(image, Image(decode=False)).with_format(None)
