"""torchvision's classification sets by name: adapters, so the reading and downloading stay torchvision's.

Images in files become file entries, unread. The others are views of one array per split.
The official splits are the given ones.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.component import Component
from clsbench.datasets.dataset import Dataset, Sample, check_files_exist
from clsbench.errors import DataError
from clsbench.images.entries import FileEntry, PixelsEntry
from clsbench.machine import cache_folder

#: Arguments of a class in ``torchvision.datasets``.
Arguments = Mapping[str, str | bool | type[Path]]


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet:
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
    splits: Mapping[str, Arguments]
    files: str
    summary: str
    mirrored: bool = True


_FLAG: Mapping[str, Arguments] = {"train": {"train": True}, "test": {"train": False}}
_IDX = "raw/ with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"

SETS = {
    "cifar10": TorchvisionSet(
        kind="CIFAR10",
        splits=_FLAG,
        files="cifar-10-batches-py/ with data_batch_1 to 5, test_batch, batches.meta",
        summary="60,000 photos of 10 things, 32×32; downloads 170 MB",
    ),
    "cifar100": TorchvisionSet(
        kind="CIFAR100",
        splits=_FLAG,
        files="cifar-100-python/ with train, test, meta",
        summary="60,000 photos of 100 things, 32×32; downloads 169 MB",
    ),
    "fashion-mnist": TorchvisionSet(
        kind="FashionMNIST",
        splits=_FLAG,
        files=f"FashionMNIST/{_IDX}",
        summary="70,000 grey images of 10 kinds of clothing, 28×28; downloads 31 MB",
    ),
    "mnist": TorchvisionSet(
        kind="MNIST",
        splits=_FLAG,
        files=f"MNIST/{_IDX}",
        summary="70,000 handwritten digits, 28×28; downloads 12 MB",
        mirrored=False,
    ),
    "oxford-iiit-pet": TorchvisionSet(
        kind="OxfordIIITPet",
        splits={"train": {"split": "trainval"}, "test": {"split": "test"}},
        files="oxford-iiit-pet/ with images/ and annotations/",
        summary="7,349 photos of 37 breeds of cats and dogs; downloads 811 MB",
    ),
    "flowers102": TorchvisionSet(
        kind="Flowers102",
        splits={split: {"split": split, "loader": Path} for split in ("train", "val", "test")},
        files="flowers-102/ with jpg/, imagelabels.mat, setid.mat",
        summary="8,189 photos of 102 kinds of flowers; downloads 345 MB",
    ),
    "food101": TorchvisionSet(
        kind="Food101",
        splits={split: {"split": split, "loader": Path} for split in ("train", "test")},
        files="food-101/ with images/ and meta/",
        summary="101,000 photos of 101 dishes; downloads 5 GB",
    ),
}


def components() -> Iterator[Component]:
    """One component for each set; imports nothing."""
    for name, known in SETS.items():
        yield Component(name, partial(build, name), known.summary, gives=tuple(known.splits))


def build(name: str, root: Path | None = None, *, download: bool = True) -> Dataset:
    """Open one of the sets, downloading it first if it is not there yet.

    CIFAR's files are pickles. torchvision unpickles them only if every one of them has the
    MD5 sum that it knows, downloaded or not; nothing else is unpickled here.

    Args:
        name: A key of :data:`SETS`.
        root: Where torchvision keeps it; None for ``$XDG_CACHE_HOME/clsbench/datasets``.
        download: Download what is missing.

    Raises:
        DataError: if the files are missing, damaged or cannot be downloaded.
    """
    root = root or cache_folder() / "datasets"
    classes, splits = _official_splits(name, root, download=download)
    return Dataset(classes=classes, splits=splits, mirrored=SETS[name].mirrored, root=str(root))


def _official_splits(name: str, root: Path, *, download: bool) -> tuple[tuple[str, ...], dict[str, list[Sample]]]:
    known, classes = SETS[name], ()
    given: dict[str, list[Sample]] = {}
    for split, arguments in known.splits.items():
        # The first split downloads all of them; checking 170 MB again would cost a second.
        theirs = _open(name, known, root, arguments, download=download and not given)
        classes = classes or tuple(theirs.classes)
        if tuple(theirs.classes) != classes:
            raise DataError(
                f"the splits of {name} have different classes",
                where=root,
                got=f"{len(theirs.classes)} in {split}, {len(classes)} in {next(iter(given))}",
                hint=f"the files are incomplete; remove them and download again: {known.files}",
                code="CB-L004",
            )
        given[split] = _samples(theirs, split, root)
    check_files_exist(
        [sample for samples in given.values() for sample in samples],
        where=root,
        hint=f"unpacking may have been interrupted; remove the files and download again: {known.files}",
    )
    return classes, given


def _open(name: str, known: TorchvisionSet, root: Path, arguments: Arguments, *, download: bool) -> Any:
    from torchvision import datasets

    kind = getattr(datasets, known.kind)
    try:
        # torchvision may print while it downloads, and stdout is for results.
        with contextlib.redirect_stdout(sys.stderr):
            return kind(root, download=download, **arguments)
    except Exception as error:  # noqa: BLE001  what bad files and networks raise has no common class
        raise DataError(
            f"the data set {name} cannot be {'downloaded or read' if download else 'read'}",
            where=root,
            got=" ".join(f"{type(error).__name__}: {error}".split()),
            expected=known.files,
            hint=f"run `clsbench datasets {name} FOLDER` where there is a network, copy FOLDER here and name it",
        ) from None


def _samples(theirs: Any, split: str, root: Path) -> list[Sample]:
    """Files are named by their paths, arrays by their numbers."""
    if hasattr(theirs, "data"):
        labels = np.asarray(theirs.targets).tolist()
        images = _three_channels(np.asarray(theirs.data))
        return [
            Sample(PixelsEntry(f"{split}/{i:05d}.png", image), k)
            for i, (image, k) in enumerate(zip(images, labels, strict=True))
        ]
    files = _files(theirs)
    return [Sample(FileEntry(path.relative_to(root).as_posix(), str(path)), label) for path, label in files]


def _files(theirs: Any) -> Sequence[tuple[Path, int]]:
    """(file, label) of each image, without reading it."""
    if hasattr(theirs, "loader"):
        return [theirs[i] for i in range(len(theirs))]
    # The pets take no loader, and their items are decoded; their lists have no public name.
    return list(zip(theirs._images, theirs._labels, strict=True))


def _three_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (N, H, W) or (N, H, W, 3) -> uint8 (N, H, W, 3); grey is not copied, and read-only."""
    if pixels.ndim == 4:
        return np.ascontiguousarray(pixels)
    return np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
