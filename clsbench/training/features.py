"""Features of a frozen backbone, evaluated once and then trained on for any number of epochs.

A frozen backbone gives the same features for the same image in every epoch, so the head's
training needs it once a view. On a CPU, where ONNX Runtime is several times faster than
torch, the backbone is exported for that if the images are many enough to pay for it.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.inference.sessions import open_session
from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier
from clsbench.training.batches import Batches
from clsbench.training.config import Cache
from clsbench.training.processes import Processes
from clsbench.training.storage import allocate, choose_storage
from clsbench.training.stored_images import StoredImages
from clsbench.training.transfer import fits_on_device, to_tensor

#: Images a call: small batches stay in the processor's cache, large ones fill a GPU.
CPU_BATCH, GPU_BATCH = 4, 64

#: Calls handed to each thread at a time.
GROUP = 4

#: Floating-point operations that are worth an export, which takes one to three seconds: what
#: torch needs some four seconds for on two cores.
WORTH = 1e11

#: The largest difference to torch's features, relative to their spread, that is accepted.
TOLERANCE = 1e-3

#: Images -> features (n, D): a tensor where they are on a GPU, which is then not waited for.
Run = Callable[[Tensor], NDArray[np.float32] | Tensor]
T = TypeVar("T")


class Features:
    """Cached features as batches ask for them.

    Args:
        values: float32 (V, N, D): V views of N images; a tensor on the batches' device, or an array.
        images: Where the features came from, for labels and messages.
        indices: int64, of the images that have features in all views.
    """

    ahead = 0

    def __init__(self, values: NDArray[np.float32] | Tensor, images: StoredImages, indices: NDArray[np.int64]) -> None:
        self.labels, self.indices, self._values, self._images = images.labels, indices, values, images
        #: Index -> reason of those that have none, because they could not be read.
        self.failing = {int(k): images.unreadable[images.name(k)] for k in np.setdiff1d(images.indices, indices)}

    def fetch(self, indices: NDArray[np.int64], view: int) -> tuple[NDArray[np.float32] | Tensor, NDArray[np.int64]]:
        """Features (n, D) of a view."""
        if isinstance(self._values, Tensor):
            return self._values[max(0, view - 1)].index_select(0, to_tensor(indices, self._values.device)), indices
        return self._values[max(0, view - 1), indices], indices

    def name(self, index: int) -> str:
        """Of an image."""
        return self._images.name(index)

    def refuse(self) -> None:
        """There are no features; raises DataError."""
        self._images.refuse()

    def finish(
        self, stored: Tensor, indices: NDArray[np.int64], view: int, draws: NDArray[np.int64] | None = None
    ) -> Tensor:
        """The features as they are."""
        return stored

    def agree(self, processes: Processes) -> None:
        """All of them have the same features."""


class FrozenBackbone:
    """A backbone that does not change: torch's, or an exported one where the work pays for the export.

    Args:
        classifier: On ``device``.
        device: Of the classifier.
        total: How many images there will be, all views counted.
        operations: Floating-point operations of an image. The choice looks at the work alone and
            not at the clock, so that a run with the same seed gives the same weights.
    """

    def __init__(self, classifier: Classifier, device: torch.device, total: int, operations: int) -> None:
        self._classifier, self._run, self._streams = classifier, in_torch(classifier), 1
        self._worth_exporting = device.type == "cpu" and total * operations > WORTH
        self.batch_size = CPU_BATCH if device.type == "cpu" else GPU_BATCH
        #: The backbone in ONNX Runtime, one thread a call, once it was exported.
        self.exported: Run | None = None

    def __call__(self, batches: Iterable[tuple[Tensor, T]]) -> Iterator[tuple[NDArray[np.float32] | Tensor, T]]:
        """Features float32 (n, D) of each batch (n, h, w, 3) in levels 0 to 255, with what came along."""
        self._classifier.eval()
        source = iter(batches)
        with ThreadPoolExecutor(available_cores()) as pool:
            while group := list(islice(source, self._streams * GROUP)):
                self._export_once(group[0][0])
                # One stream while torch computes: it uses all cores for one call.
                results = (pool.map if self._streams > 1 else map)(self._run, [inputs for inputs, _ in group])
                yield from ((features, along) for features, (_, along) in zip(results, group, strict=True))

    def _export_once(self, images: Tensor) -> None:
        if self._worth_exporting and len(images) > 1:
            self._worth_exporting = False
            if faster := onnx_backbone(self._classifier, images):
                self._run = self.exported = faster
                self._streams = available_cores()


def cache_features(
    backbone: FrozenBackbone,
    images: StoredImages,
    feature_dim: int,
    *,
    views: int,
    device: torch.device,
    cache: Cache,
    folder: Path,
    heard: Callable[[int], None],
    processes: Processes | None = None,
) -> Features | None:
    """Evaluate a frozen backbone once on each view of each image.

    Args:
        backbone: Serves several splits.
        images: Of one split.
        feature_dim: D.
        views: With 1 the images without randomness; else view v is what epoch v would show.
        device: Of the backbone.
        cache: Where to keep the features.
        folder: For features on disk.
        heard: Called with the number of images just done.
        processes: Each evaluates its part, and has all features in the end.

    Returns:
        The features; None where they fit nowhere, and the backbone has to stay in the loop.
    """
    processes = processes or Processes()
    shape = (views, len(images.labels), feature_dim)
    values = _room(shape, device, cache, folder, processes)
    if values is None:
        return None
    batches = Batches(images, backbone.batch_size * processes.count, device, processes=processes)
    numbers = range(1, views + 1) if views > 1 else range(1)
    read = np.zeros(shape[:2], np.uint8)
    jobs = ((inputs, (k, at)) for k, number in enumerate(numbers) for inputs, at in batches.indexed(number) if len(at))
    for features, (view, indices) in backbone(jobs):
        if isinstance(values, Tensor):
            values[view].index_copy_(0, to_tensor(indices, device), torch.as_tensor(features))
        else:
            values[view, indices] = features.cpu().numpy() if isinstance(features, Tensor) else features
        read[view, indices] = 1
        heard(processes.count * len(indices))
    processes.fill(values)
    processes.fill(read)
    return Features(values, images, np.flatnonzero(read.all(0)))


def _room(
    shape: tuple[int, ...], device: torch.device, cache: Cache, folder: Path, processes: Processes
) -> NDArray[np.float32] | Tensor | None:
    """Where float32 features of this shape are kept: on the GPU if they fit there; None if they fit nowhere."""
    size = 4 * math.prod(shape)
    if processes.from_main(fits_on_device(size, device)):
        return torch.zeros(shape, device=device)
    place = choose_storage(size * processes.local_count, "auto" if cache == "off" else cache, folder)
    if (place := processes.from_main(place)) == "off":
        return None
    room = allocate(shape, np.float32, place, folder).view(np.float32)
    if processes.several:
        room[:] = 0
    return room


def in_torch(classifier: Classifier) -> Run:
    """The backbone in torch: (n, h, w, 3) in levels 0 to 255 -> features float32 (n, D)."""

    def run(images: Tensor) -> NDArray[np.float32] | Tensor:
        with torch.inference_mode():
            features = classifier.features(images).float()
            return features if features.is_cuda else features.numpy()

    return run


class _Features(torch.nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier.features(images)


def onnx_backbone(classifier: Classifier, images: Tensor) -> Run | None:
    """The backbone in ONNX Runtime, one thread a call; None where the export fails or disagrees.

    Args:
        classifier: On the CPU, in evaluation mode.
        images: Real inputs (n, h, w, 3), n of at least 2, on which both must agree.
    """
    images = images.float()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backbone.onnx"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # The older exporter: a second instead of ten, and the result is checked below. It
                # leaves the mode that it found, so the wrapper must not be in training mode.
                torch.onnx.export(
                    _Features(classifier).eval(), (images,), file, dynamo=False, input_names=["images"],
                    output_names=["features"], dynamic_axes={"images": {0: "N"}, "features": {0: "N"}},
                )  # fmt: skip
            session = open_session(file, "cpu", threads=1)
        except Exception:  # noqa: BLE001  torch's own way is always there
            return None

    def run(images: Tensor) -> NDArray[np.float32]:
        features: NDArray[np.float32] = session.run(["features"], {"images": images.float().numpy()})[0]
        return features

    expected, got = np.asarray(in_torch(classifier)(images)), run(images)
    return run if np.abs(got - expected).max() <= TOLERANCE * max(float(expected.std()), 1e-6) else None
