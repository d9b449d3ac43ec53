"""Features of a backbone on labelled images: those that are kept, and the others evaluated."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from clsbench import __version__
from clsbench.datasets.dataset import Sample
from clsbench.errors import DataError, ModelError
from clsbench.images.loader import ImageLoader
from clsbench.images.sources.source import reading_threads
from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier
from clsbench.probing.feature_store import BackboneKey, FeatureStore, try_to_save
from clsbench.run_record import RunModel
from clsbench.training.augmentation import Augmentation
from clsbench.training.batches import Batches
from clsbench.training.config import Policy
from clsbench.training.features import FrozenBackbone
from clsbench.training.hardware import fitting_threads, operations
from clsbench.training.stored_images import StoredImages

#: The augmentation of views, as ``train`` does it by default.
POLICY: Policy = "basic"


class Hearing(Protocol):
    """Hears how it goes."""

    def warn(self, text: str) -> None:
        """Something the user must not miss."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Something long begins: ``total`` images."""

    def advance(self, count: int, errors: int = 0) -> None:
        """So many of them are done."""


@dataclass(frozen=True)
class Extracted:
    """Features of a backbone.

    Args:
        plain: float32 (N, D), of the images without randomness; rows of unreadable images are undefined.
        views: float32 (V, N, D) of augmented views; None where there are none.
        readable: bool (N,).
        unreadable: Names of images that could not be read, with the reason.
        evaluated: Images that the backbone was evaluated on now, all views counted.
        seconds: That this took; of features that were all kept, what it took then.
    """

    plain: NDArray[np.float32]
    views: NDArray[np.float32] | None
    readable: NDArray[np.bool_]
    unreadable: dict[str, str]
    evaluated: int
    seconds: float


def weights_digest(classifier: Classifier) -> str:
    """A digest of all that a state dict says of the backbone: names, types, shapes and numbers."""
    made = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(classifier.backbone.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        made.update(f"{name} {array.dtype} {tuple(array.shape)};".encode())
        made.update(array.reshape(-1).view(torch.uint8).numpy().data if array.numel() else b"")
    return made.hexdigest()


def key_of(classifier: Classifier, model: RunModel, device: torch.device) -> BackboneKey:
    """What the features of a network are kept under.

    Args:
        classifier: On any device.
        model: What built it.
        device: That evaluates it.
    """
    import onnxruntime

    versions = (f"clsbench {__version__}", f"torch {torch.__version__}", f"onnxruntime {onnxruntime.__version__}")
    return BackboneKey(
        model=model, weights=weights_digest(classifier), transform=classifier.transform, device=device.type,
        versions=versions,
    )  # fmt: skip


def extract(
    classifier: Classifier,
    samples: Sequence[Sample],
    digests: NDArray[np.uint8],
    *,
    store: FeatureStore | None,
    device: torch.device,
    backbone: FrozenBackbone,
    hearing: Hearing,
    name: str,
    views: int = 1,
    mirrored: bool = True,
    seed: int = 0,
) -> Extracted:
    """The features of images in a plain view, and in augmented ones where there are to be several.

    Args:
        classifier: On ``device``.
        samples: N images.
        digests: uint8 (N, 16), of their content.
        store: Of this backbone; None to evaluate everything and keep nothing.
        device: Of the classifier.
        backbone: Of this classifier.
        hearing: Hears progress and what was damaged.
        name: Of the model, for progress.
        views: V; 1 for the plain view alone.
        mirrored: Whether a mirrored image still shows its class.
        seed: Of the augmented views.

    Raises:
        ModelError: if a feature is not finite.
    """
    work = _Work(classifier, samples, digests, store, device, backbone, hearing, name)
    readable = work.plain()
    kept = np.flatnonzero(readable)
    augmented = None
    if views > 1:
        augmented = np.empty((views, len(samples), classifier.feature_dim), np.float32)
        for view in range(1, views + 1):
            augmented[view - 1, kept] = work.view(view, kept, mirrored, seed)
    for text in store.damaged if store else ():
        hearing.warn(f"kept features are damaged and were evaluated again: {text}")
    return Extracted(work.values, augmented, readable, work.unreadable, work.evaluated, work.seconds)


class _Work:
    """One backbone's features in the making."""

    def __init__(
        self,
        classifier: Classifier,
        samples: Sequence[Sample],
        digests: NDArray[np.uint8],
        store: FeatureStore | None,
        device: torch.device,
        backbone: FrozenBackbone,
        hearing: Hearing,
        name: str,
    ) -> None:
        self._classifier, self._samples, self._digests, self._store = classifier, samples, digests, store
        self._device, self._backbone, self._hearing, self._name = device, backbone, hearing, name
        self.values = np.empty((len(samples), classifier.feature_dim), np.float32)
        self.unreadable: dict[str, str] = {}
        self.evaluated, self.seconds = 0, 0.0

    def plain(self) -> NDArray[np.bool_]:
        """Fill ``values``; which rows are there, bool (N,)."""
        readable = np.zeros(len(self._samples), bool)
        if self._store:
            kept = self._store.load("plain", self._digests)
            self.values, readable = kept.values, kept.found.copy()
            self.seconds += kept.seconds
        missing = np.flatnonzero(~readable)
        if len(missing):
            augmentation = Augmentation("none", self._classifier.transform, len(missing))
            rows, done, seconds = self._evaluate(missing, augmentation, 0)
            self.values[missing[done]], readable[missing[done]] = rows[done], True
            if self._store and len(done):
                self._save("plain", np.flatnonzero(readable), self.values[readable], seconds)
        return readable

    def view(self, number: int, kept: NDArray[np.int64], mirrored: bool, seed: int) -> NDArray[np.float32]:
        """An augmented view of readable images, float32 (n, D)."""
        label = f"{POLICY}{number}{'' if mirrored else 'u'}-seed{seed}"
        if self._store:
            found = self._store.load(label, self._digests[kept])
            if found.found.all():
                self.seconds += found.seconds
                return found.values
        augmentation = Augmentation(POLICY, self._classifier.transform, len(kept), mirrored=mirrored, seed=seed)
        rows, done, seconds = self._evaluate(kept, augmentation, number)
        if len(done) < len(kept):  # it could be read a moment ago
            rows[np.setdiff1d(np.arange(len(kept)), done)] = self.values[np.setdiff1d(kept, kept[done])]
        elif self._store:
            self._save(label, kept, rows, seconds)
        return rows

    def _save(self, view: str, kept: NDArray[np.int64], rows: NDArray[np.float32], seconds: float) -> None:
        assert self._store is not None
        if reason := try_to_save(self._store, view, self._digests[kept], rows, seconds):
            self._hearing.warn(f"{self._name}: the features are not kept: {reason}")

    def _evaluate(
        self, which: NDArray[np.int64], augmentation: Augmentation, view: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], float]:
        """Features (n, D) of some images in a view, which of them could be read, and the seconds."""
        started, samples = time.perf_counter(), [self._samples[k] for k in which]
        threads = reading_threads([sample.image for sample in samples[:64]], available_cores())
        images = StoredImages(samples, ImageLoader(self._classifier.transform), augmentation, threads=threads)
        rows = np.empty((len(samples), self._classifier.feature_dim), np.float32)
        self._hearing.stage(f"features of {self._name}" + (f", view {view}" if view else ""), len(samples))
        batches, done = Batches(images, self._backbone.batch_size, self._device), []
        try:
            for features, indices in self._backbone(batches.indexed(view)):
                rows[indices] = features.cpu().numpy() if isinstance(features, torch.Tensor) else features
                done.append(indices)
                self._hearing.advance(len(indices))
        except DataError:
            if len(images.failing) < len(images.indices):  # else each of them has its reason
                raise
        finally:
            images.close()
        self.unreadable |= images.unreadable
        read = np.sort(np.concatenate(done)) if done else np.zeros(0, np.int64)
        if not np.isfinite(rows[read]).all():
            raise ModelError("the backbone gives features that are not finite", where=self._name)
        seconds = time.perf_counter() - started
        self.evaluated, self.seconds = self.evaluated + len(read), self.seconds + seconds
        return rows, read, seconds


def frozen(classifier: Classifier, device: torch.device, total: int) -> tuple[FrozenBackbone, Any]:
    """The backbone for so many images, and a context manager in which torch has a fitting number of threads."""
    example = torch.zeros(2, *classifier.transform.size, 3, dtype=torch.uint8, device=device)
    backbone = FrozenBackbone(classifier, device, total, operations(classifier, example) // 2)
    return backbone, fitting_threads(classifier, example, backbone.batch_size)
