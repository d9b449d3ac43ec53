"""Images of one split: decoded once and kept, or decoded anew in every epoch.

Validation's are made by the same :class:`~clsbench.images.loader.ImageLoader` call as
inference's; training's by the same decoding and resizing with another box.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.datasets.dataset import Sample
from clsbench.datasets.near_duplicates import SMALLEST
from clsbench.errors import ClsbenchError, DataError, PluginError
from clsbench.images.entries import in_memory
from clsbench.images.loader import ImageLoader
from clsbench.images.perceptual_hash import THUMBNAIL, WORDS, perceptual_hashes, thumbnail
from clsbench.images.shapes import shorter_side
from clsbench.training.augmentation import SHAPE_COLUMNS, Augmentation
from clsbench.training.processes import Processes
from clsbench.training.storage import allocate
from clsbench.training.transfer import to_tensor

#: Decoding jobs that are handed to the pool at a time.
CHUNK = 512


class StoredImages:
    """The labelled images of a split, as batches ask for them.

    Args:
        samples: Those without a label are left out.
        loader: Decodes and resizes.
        augmentation: How images are stored and what becomes of them.
        threads: That decode.
        split: Its name, for messages.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        loader: ImageLoader,
        augmentation: Augmentation,
        *,
        threads: int,
        split: str | None = None,
    ) -> None:
        self.samples = [sample for sample in samples if sample.label is not None]
        self.labels = np.array([sample.label for sample in self.samples], np.int64)
        self.augmentation = augmentation
        #: Names of images read by :meth:`prepare`, with a digest of their encoded bytes.
        self.digests: dict[str, bytes] = {}
        #: Perceptual hashes, uint64 (N, 4), of what validation sees of the images, and which of them have one.
        self.hashes, self.hashed = np.zeros((len(self.samples), WORDS), np.uint64), np.zeros(len(self.samples), bool)
        self._loader, self._threads, self._split = loader, threads, split
        self._stored: NDArray[np.uint8] | None = None
        self._on_device: Tensor | None = None
        self._shapes = np.zeros((len(self.samples), SHAPE_COLUMNS), np.float32)
        self._kept = np.ones(len(self.samples), bool)
        # Index -> reason: never read; failed at the last attempt, after :meth:`prepare`; failed and read again.
        self._unreadable: dict[int, str] = {}
        self._failing: dict[int, str] = {}
        self._recovered: dict[int, str] = {}
        self._changed: set[int] = set()  # of the last two, since :meth:`agree`
        self._pool: ThreadPoolExecutor | None = None

    @property
    def stored_bytes(self) -> int:
        """What keeping all images takes."""
        return len(self.samples) * 3 * math.prod(self.augmentation.stored_size)

    @property
    def indices(self) -> NDArray[np.int64]:
        """Of the images that could be read at first, int64: the same in every epoch, whatever fails later."""
        return np.flatnonzero(self._kept)

    @property
    def failing(self) -> dict[int, str]:
        """Those of :attr:`indices` that failed when they were last wanted, with the reason; they are tried again."""
        return dict(self._failing)

    @property
    def unreadable(self) -> dict[str, str]:
        """Names of images that were left out, of all epochs or of some, with the reason."""
        recovered = {k: f"{reason}; it could be read again later" for k, reason in dict(self._recovered).items()}
        found = {**self._unreadable, **recovered, **self._failing}
        return {self.samples[index].name: reason for index, reason in found.items()}

    @property
    def ahead(self) -> int:
        """How many batches to fetch before they are needed: none where there is hardly anything to do."""
        if self._on_device is not None:
            return 0
        in_memory = self._stored is not None and not isinstance(self._stored, np.memmap)
        return 2 if not in_memory or self.augmentation.whole else 0

    def prepare(
        self,
        storage: Literal["ram", "disk", "off"],
        folder: Path,
        heard: Callable[[int], None],
        *,
        decode: bool,
        processes: Processes | None = None,
    ) -> None:
        """Read every image once: keep it, digest it, hash what it shows, and find the unreadable ones.

        Args:
            storage: Where to keep them.
            folder: For ``disk``.
            heard: Called with the number of images just read.
            decode: Without storage, whether to decode and hash as well, or only to digest.
            processes: Each reads its part, and has all of them in the end.

        Raises:
            DataError: if none of them can be read.
        """
        processes, kept = processes or Processes(), None
        if storage != "off":
            shape = (len(self.samples), *self.augmentation.stored_size, 3)
            kept = allocate(shape, np.uint8, storage, folder).view(np.uint8)
            if processes.several:
                kept[:] = 0

        thumbnails = np.empty((CHUNK, THUMBNAIL, THUMBNAIL, 3), np.uint8)

        def one(index: int) -> None:
            sample = self.samples[index]
            try:
                content = self._loader.read(sample.image)
                encoded = content if isinstance(content, bytes) else repr(content.shape).encode() + content.tobytes()
                self.digests[sample.name] = hashlib.blake2b(encoded, digest_size=16).digest()
                if kept is not None or decode:
                    held = in_memory(sample.name, content)
                    stored, self._shapes[index] = self.augmentation.load(self._loader, held)
                    if kept is not None:
                        kept[index] = stored
                    if shorter_side(content) >= SMALLEST:
                        thumbnails[index % CHUNK] = thumbnail(stored, tuple(self._shapes[index, :4].tolist()))
                        self.hashed[index] = True
            except PluginError:
                raise
            except ClsbenchError as error:
                self._kept[index], self._unreadable[index] = False, error.one_line()

        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            for start in range(0, len(self.samples), CHUNK):
                part = np.arange(start, min(start + CHUNK, len(self.samples)))
                for _ in pool.map(one, processes.share(part).tolist(), chunksize=8):
                    pass
                known = start + np.flatnonzero(self.hashed[start : start + CHUNK])
                if len(known):
                    self.hashes[known] = perceptual_hashes(thumbnails[known % CHUNK])
                heard(len(part))
        self._stored = kept
        self._gather(processes)
        if not self._kept.any():
            self.refuse()

    def _gather(self, processes: Processes) -> None:
        """Take what the other processes have read of it as well."""
        if processes.several:
            if self._stored is not None:
                processes.fill(self._stored)
            for values in (self._shapes, self.hashes.view(np.int64), self.hashed.view(np.uint8)):
                processes.fill(values)
            digests = processes.union(self.digests)
            self.digests = {s.name: digests[s.name] for s in self.samples if s.name in digests}
            lost = processes.union({str(index): reason for index, reason in self._unreadable.items()})
            self._unreadable = {int(index): lost[index] for index in sorted(lost, key=int)}
            self._kept[list(self._unreadable)] = False

    def agree(self, processes: Processes) -> None:
        """After a pass in which each process has read its part, know what all of them could not read."""
        if processes.several:
            failed = {str(index): self._failing.get(index) for index in self._changed}
            for index, reason in processes.union(failed).items():
                self._note(int(index), reason)
        self._changed.clear()

    def _note(self, index: int, reason: str | None) -> None:
        """An image has failed, or one that had failed could be read (None)."""
        if reason is not None:
            self._failing[index] = reason
            self._recovered.pop(index, None)
        elif index in self._failing:
            self._recovered[index] = self._failing.pop(index)
        self._changed.add(index)

    def move_to(self, device: torch.device) -> None:
        """Keep stored images on a device from now on."""
        if self._stored is not None:
            self._on_device, self._stored = torch.from_numpy(self._stored).to(device), None

    def fetch(self, indices: NDArray[np.int64], view: int) -> tuple[NDArray[np.uint8] | Tensor, NDArray[np.int64]]:
        """Stored images uint8 (n, H, W, 3), and the indices of those that could be read."""
        if self._on_device is not None:
            return self._on_device.index_select(0, to_tensor(indices, self._on_device.device)), indices
        if self._stored is not None:
            return self._stored[indices], indices
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
        pixels = list(self._pool.map(self._decode, indices.tolist()))
        read = [p for p in pixels if p is not None]
        return np.stack(read) if read else np.empty((0, 0, 0, 3), np.uint8), indices[[p is not None for p in pixels]]

    def finish(
        self, stored: Tensor, indices: NDArray[np.int64], view: int, draws: NDArray[np.int64] | None = None
    ) -> Tensor:
        """Augment fetched images on their device: see :meth:`Augmentation.apply`."""
        return self.augmentation.apply(stored, self._shapes[indices], indices if draws is None else draws, view)

    def close(self) -> None:
        """Let go of memory and threads."""
        self._stored = self._on_device = None
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def name(self, index: int) -> str:
        """Of an image."""
        return self.samples[index].name

    def refuse(self) -> None:
        """None of the images can be read.

        Raises:
            DataError: saying so.
        """
        reason = next(iter(self.unreadable.values()), "no images")
        raise DataError("none of the images can be read", where=self._split, got=reason)

    def _decode(self, index: int) -> NDArray[np.uint8] | None:
        """The stored pixels; None where the image cannot be read now, which the next epoch tries again."""
        try:
            pixels, self._shapes[index] = self.augmentation.load(self._loader, self.samples[index].image)
        except PluginError:
            raise
        except ClsbenchError as error:
            self._note(index, error.one_line())
            return None
        if index in self._failing:
            self._note(index, None)
        return pixels
