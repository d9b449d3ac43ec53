"""Image classifiers that transformers saved, and datasets with an image column; see README.md.

This module is imported whenever a name has to be looked up, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import Component, hookimpl

if TYPE_CHECKING:
    from clsbench import Classifier, Dataset


@hookimpl
def register_models() -> Iterator[Component]:
    """``huggingface``."""
    yield Component("huggingface", build_model, "a classifier that transformers saved: --with model.path=FOLDER-OR-ID")


@hookimpl
def register_datasets() -> Iterator[Component]:
    """``huggingface``."""
    yield Component("huggingface", build_dataset, "images of a dataset that datasets saved, Parquet, hf://datasets/ID")


def build_model(
    num_classes: int | None,
    *,
    path: str | None = None,
    pretrained: bool = False,
    weights: Path | None = None,
    revision: str | None = None,
    size: int | None = None,
) -> Classifier:
    """Build a classifier of transformers.

    Args:
        num_classes: K; None for the head and the classes that it was saved with.
        path: The folder that ``save_pretrained`` wrote, or the id of a model on the hub such as
            ``microsoft/resnet-50``. Only with ``pretrained`` is anything downloaded.
        pretrained: Start from the saved weights; without them they are random.
        weights: Start from this local file instead.
        revision: Branch, tag or commit on the hub.
        size: Another input side than the image processor says, pixels.

    Raises:
        ModelError: if the model cannot be found or read, is no classifier of RGB images, has an image processor that
            clsbench cannot do exactly, or cannot be split into backbone and head.
        OptionError: without a path.
    """
    from clsbench_huggingface.network import build

    return build(num_classes, path=path, pretrained=pretrained, weights=weights, revision=revision, size=size)


def build_dataset(
    root: Path | str | None,
    *,
    image: str | None = None,
    label: str | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> Dataset:
    """Read labelled images of a dataset.

    Args:
        root: A folder that ``save_to_disk`` wrote, a Parquet file, a folder that ``load_dataset`` reads; or
            ``hf://datasets/ID``, which is downloaded.
        image: The column of the images, where there are several.
        label: The column of the labels, where it is not the only ``ClassLabel``; may hold texts.
        config: Which of several configurations.
        revision: Branch, tag or commit on the hub.

    Raises:
        DataError: if there is no such dataset, or no images, or no labels.
    """
    from clsbench_huggingface.dataset import build

    return build(root, image=image, label=label, config=config, revision=revision)
