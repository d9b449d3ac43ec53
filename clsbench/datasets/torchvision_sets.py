"""torchvision's classification sets by name: adapters, so the reading and downloading stay torchvision's.

Images that lie in files are handed on as paths, unread. The rest are views of one array
each split. Official splits are given splits; validation is set aside from train where
there is none.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Dataset, Sample, check_files_exist
from clsbench.datasets.splits import check_split_options, make_splits
from clsbench.errors import DataError
from clsbench.hookspecs import Component


@dataclass(frozen=True, kw_only=True)
class Source:
    """One of torchvision's sets.

    Args:
        kind: The class in ``torchvision.datasets``.
        splits: Our split -> the arguments that choose torchvision's; ``loader=Path`` makes
            an item's image its path.
        files: What lies below the root once it is downloaded.
        summary: For listings.
        mirrored: Whether a mirrored image still shows its class.
    """

    kind: str
    splits: Mapping[str, Mapping[str, Any]]
    files: str
    summary: str
    mirrored: bool = True


_FLAG = {"train": {"train": True}, "test": {"train": False}}
_IDX = "raw/ with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"

SOURCES = {
    "cifar10": Source(
        kind="CIFAR10",
        splits=_FLAG,
        files="cifar-10-batches-py/ with data_batch_1 to 5, test_batch, batches.meta",
        summary="60,000 photos of 10 things, 32×32; downloads 170 MB",
    ),
    "cifar100": Source(
        kind="CIFAR100",
        splits=_FLAG,
        files="cifar-100-python/ with train, test, meta",
        summary="60,000 photos of 100 things, 32×32; downloads 169 MB",
    ),
    "fashion-mnist": Source(
        kind="FashionMNIST",
        splits=_FLAG,
        files=f"FashionMNIST/{_IDX}",
        summary="70,000 grey images of 10 kinds of clothing, 28×28; downloads 31 MB",
    ),
    "mnist": Source(
        kind="MNIST",
        splits=_FLAG,
        files=f"MNIST/{_IDX}",
        summary="70,000 handwritten digits, 28×28; downloads 12 MB",
        mirrored=False,
    ),
    "oxford-iiit-pet": Source(
        kind="OxfordIIITPet",
        splits={"train": {"split": "trainval"}, "test": {"split": "test"}},
        files="oxford-iiit-pet/ with images/ and annotations/",
        summary="7,349 photos of 37 breeds of cats and dogs; downloads 811 MB",
    ),
    "flowers102": Source(
        kind="Flowers102",
        splits={split: {"split": split, "loader": Path} for split in ("train", "val", "test")},
        files="flowers-102/ with jpg/, imagelabels.mat, setid.mat",
        summary="8,189 photos of 102 kinds of flowers; downloads 345 MB",
    ),
    "food101": Source(
        kind="Food101",
        splits={split: {"split": split, "loader": Path} for split in ("train", "test")},
        files="food-101/ with images/ and meta/",
        summary="101,000 photos of 101 dishes; downloads 5 GB",
    ),
}


def components() -> Iterator[Component]:
    """One component for each set; imports nothing."""
    for name, source in SOURCES.items():
        yield Component(name, partial(build, name), source.summary)


def build(
    name: str,
    root: Path | None = None,
    *,
    download: bool = True,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Open one of the sets, downloading it first where it is not there yet.

    CIFAR's files are pickles. torchvision unpickles them only if every one of them has the
    MD5 sum that it knows, downloaded or not; nothing else is unpickled here.

    Args:
        name: A key of :data:`SOURCES`.
        root: Where torchvision keeps it; None for ``$XDG_CACHE_HOME/clsbench/datasets``.
        download: Download what is missing.
        val_fraction: The part of each class of train set aside for validation, where the set
            has no such split; None for 0.2.
        test_fraction: Refused: every one of these sets has a test split.
        folds: Split train and val into this many folds instead.
        fold: The fold that is val, from 1.
        seed: Of the splits.

    Raises:
        DataError: if the files are missing, damaged or cannot be downloaded.
        OptionError: if the split options contradict each other or the given splits.
    """
    root = root or _cache_folder()
    fractions = {"val_fraction": val_fraction, "test_fraction": test_fraction}
    # Before gigabytes are downloaded.
    check_split_options(SOURCES[name].splits, **fractions, folds=folds, fold=fold, where=name)
    classes, given = _official_splits(name, root, download=download)
    splits, notes = make_splits(
        given,
        **fractions,
        folds=folds,
        fold=fold,
        seed=seed,
        where=name,
    )
    return Dataset(classes=classes, splits=splits, notes=tuple(notes), mirrored=SOURCES[name].mirrored, root=str(root))


def _official_splits(name: str, root: Path, *, download: bool) -> tuple[tuple[str, ...], dict[str, list[Sample]]]:
    source = SOURCES[name]
    opened: dict[str, Any] = {}
    for split, arguments in source.splits.items():
        # The first split downloads all of them; checking 170 MB again would cost a second.
        opened[split] = _open(name, source, root, download=download and not opened, **arguments)
    classes = tuple(opened["train"].classes)
    given: dict[str, list[Sample]] = {}
    for split, pictures in opened.items():
        if tuple(pictures.classes) != classes:
            raise DataError(
                f"the splits of {name} have different classes",
                where=root,
                got=f"{len(pictures.classes)} in {split}, {len(classes)} in train",
                hint=f"the files are incomplete; remove them and download again: {source.files}",
            )
        given[split] = _samples(pictures, split, root)
    check_files_exist(
        [sample for samples in given.values() for sample in samples],
        where=root,
        hint=f"unpacking was perhaps cut off; remove the files and download again: {source.files}",
    )
    return classes, given


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clsbench" / "datasets"


def _open(name: str, source: Source, root: Path, *, download: bool, **arguments: Any) -> Any:
    from torchvision import datasets

    kind = getattr(datasets, source.kind)
    try:
        # torchvision may print while it downloads, and stdout is for results.
        with contextlib.redirect_stdout(sys.stderr):
            return kind(root, download=download, **arguments)
    except Exception as error:  # noqa: BLE001  what bad files and networks raise in there has no common class
        raise DataError(
            f"the data set {name} cannot be {'had' if download else 'read'}",
            where=root,
            got=" ".join(f"{type(error).__name__}: {error}".split()),
            expected=source.files,
            hint=f"on a connected machine run `clsbench datasets {name} FOLDER`, then bring FOLDER here and name it",
        ) from None


def _samples(pictures: Any, split: str, root: Path) -> list[Sample]:
    """Files as paths, named by them; arrays as views, numbered."""
    if hasattr(pictures, "data"):
        labels = np.asarray(pictures.targets).tolist()
        images = _three_channels(np.asarray(pictures.data))
        return [
            Sample(f"{split}/{i:05d}.png", image, k) for i, (image, k) in enumerate(zip(images, labels, strict=True))
        ]
    files = _files(pictures)
    return [Sample(path.relative_to(root).as_posix(), str(path), label) for path, label in files]


def _files(pictures: Any) -> Sequence[tuple[Path, int]]:
    """(file, label) of each image, without reading it."""
    if hasattr(pictures, "loader"):
        return [pictures[i] for i in range(len(pictures))]
    # The pets take no loader, and their items are decoded; their lists have no public name.
    return list(zip(pictures._images, pictures._labels, strict=True))


def _three_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (N, H, W) or (N, H, W, 3) -> uint8 (N, H, W, 3); grey is not copied, and read-only."""
    if pixels.ndim == 4:
        return np.ascontiguousarray(pixels)
    return np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
