"""Features that were evaluated once: files in the cache folder, by what computes them and of which images.

features/<backbone>/<view>-<images>.safetensors     digests uint8 (N, 16), features float32 (N, D)

The folder's name is a digest of the weights, the network's name and options, the preprocessing, the device and
the versions; the file's is one of the images' content. Rows of another file of the same folder serve as well, so
a data set with a few more images costs only these. A file whose numbers are not those that were written is not used.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.machine import cache_folder
from clsbench.output_files import whole_file
from clsbench.run_record import RunModel
from clsbench.transform import ImageTransform

#: Bytes of all files together; beyond it those that were not used for longest are removed.
LIMIT = 4_000_000_000

#: Bytes of an image's digest.
DIGEST = 16


def features_folder() -> Path:
    """Where features are kept."""
    return cache_folder() / "features"


@dataclass(frozen=True, kw_only=True)
class BackboneKey:
    """All that the features of an image depend on, beside it.

    Args:
        model: What builds the network: name, distribution, version and options.
        weights: A digest of the backbone's tensors.
        transform: The preprocessing.
        device: That evaluates it: ``cpu`` or ``cuda``.
        versions: Of clsbench, torch and ONNX Runtime.
    """

    model: RunModel
    weights: str
    transform: ImageTransform
    device: str
    versions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "transform": self.transform.to_json(), "precision": "float32"}

    @property
    def digest(self) -> str:
        """A short name, the same on every machine."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=DIGEST).hexdigest()


@dataclass(frozen=True)
class Kept:
    """Features found in the store.

    Args:
        values: float32 (N, D); rows that were not found are undefined.
        found: bool (N,).
        seconds: What evaluating them took, of the file that has all of them; else 0.
    """

    values: NDArray[np.float32]
    found: NDArray[np.bool_]
    seconds: float = 0.0


class FeatureStore:
    """The features of one backbone.

    Args:
        key: What tells it from others.
        width: D.
        folder: Of all features; the cache folder's if None.
    """

    def __init__(self, key: BackboneKey, width: int, folder: Path | None = None) -> None:
        self._key, self._width = key, width
        self._root = folder or features_folder()
        self.folder = self._root / key.digest
        #: What was wrong with files that were not used.
        self.damaged: list[str] = []

    def load(self, view: str, digests: NDArray[np.uint8]) -> Kept:
        """The features of images, as far as they are kept.

        Args:
            view: ``plain``, whose rows depend on nothing but their image; any other view's on all images.
            digests: uint8 (N, 16), of the images' content.
        """
        file = self._file(view, digests)
        values, found = np.empty((len(digests), self._width), np.float32), np.zeros(len(digests), bool)
        others = sorted(self.folder.glob("plain-*.safetensors")) if view == "plain" else []
        for candidate in [file, *(other for other in others if other != file)]:
            if found.all() or not candidate.is_file():
                continue
            try:
                theirs, features, seconds = self._read(candidate, digests if candidate != file else None)
            except _UnusableError as error:
                self.damaged.append(f"{candidate}: {error}")
                with suppress(OSError):
                    candidate.unlink()
                continue
            with suppress(OSError):
                os.utime(candidate)
            if np.array_equal(theirs, digests):
                return Kept(features, np.ones(len(digests), bool), seconds)
            rows = {digest.tobytes(): row for row, digest in enumerate(theirs)}
            at = np.array([rows.get(digest.tobytes(), -1) for digest in digests])
            new = (at >= 0) & ~found
            values[new], found[new] = features[at[new]], True
        return Kept(values, found)

    def save(self, view: str, digests: NDArray[np.uint8], features: NDArray[np.float32], seconds: float) -> None:
        """Keep features, and remove old ones of any backbone beyond :data:`LIMIT`.

        Args:
            view, digests: As in :meth:`load`.
            features: float32 (N, D).
            seconds: What evaluating them took.

        Raises:
            DataError: if the file cannot be written.
        """
        from safetensors.numpy import save_file

        file, values = self._file(view, digests), np.ascontiguousarray(features)
        facts = {"backbone": self._key.to_json(), "seconds": seconds, "checksum": _checksum(digests, values)}
        with whole_file(file, "the features", synced=False) as path:
            save_file(
                {"digests": np.ascontiguousarray(digests), "features": values}, path, {"clsbench": json.dumps(facts)}
            )
        _make_room(self._root, file)

    def _file(self, view: str, digests: NDArray[np.uint8]) -> Path:
        images = hashlib.blake2b(digests.tobytes(), digest_size=DIGEST).hexdigest()
        return self.folder / f"{view}-{images}.safetensors"

    def _read(
        self, file: Path, wanted: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], float]:
        """Digests, features and seconds of a file; of another set of images only if it has one of the wanted."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, "np") as opened:
                facts = json.loads((opened.metadata() or {})["clsbench"])
                digests = opened.get_tensor("digests")
                if wanted is not None and not {*map(bytes, digests)} & {*map(bytes, wanted)}:
                    return digests[:0], np.empty((0, self._width), np.float32), 0.0
                features = opened.get_tensor("features")
            seconds, checksum = float(facts["seconds"]), facts["checksum"]
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _UnusableError(f"{type(error).__name__}: {error}") from None
        count = len(digests)
        shapes = (digests.dtype, digests.shape, features.dtype, features.shape)
        if shapes != (np.uint8, (count, DIGEST), np.float32, (count, self._width)):
            raise _UnusableError(f"{features.dtype} {features.shape}, expected float32 ({count}, {self._width})")
        if checksum != _checksum(digests, features):
            raise _UnusableError("its checksum is wrong")
        return digests, features, seconds


class _UnusableError(Exception):
    """Why a file is not used."""


def _checksum(digests: NDArray[np.uint8], features: NDArray[np.float32]) -> str:
    made = hashlib.blake2b(digests.tobytes(), digest_size=DIGEST)
    made.update(features.data)
    return made.hexdigest()


def stored(folder: Path | None = None) -> list[tuple[Path, os.stat_result]]:
    """The files of the store, the one that was not used for longest first."""
    found = []
    for file in (folder or features_folder()).glob("*/*.safetensors"):
        with suppress(OSError):
            found.append((file, file.stat()))
    return sorted(found, key=lambda pair: pair[1].st_mtime_ns)


def _make_room(folder: Path, newest: Path) -> None:
    files = stored(folder)
    total = sum(status.st_size for _, status in files)
    for file, status in files:
        if total <= LIMIT:
            break
        if file != newest:
            with suppress(OSError):
                file.unlink()
                total -= status.st_size


def try_to_save(
    store: FeatureStore, view: str, digests: NDArray[np.uint8], features: NDArray[np.float32], seconds: float
) -> str | None:
    """Keep features where that is possible; else why it is not."""
    try:
        store.save(view, digests, features, seconds)
    except DataError as error:
        return error.one_line()
    return None
