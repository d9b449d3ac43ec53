"""The two ways from an encoded image to probabilities that the gate compares.

The reference path says what the network means: it decodes, resizes, normalises and runs the
network as its training does, or as plain Pillow and numpy do. The inference path is ``infer``'s:
its loader, its pipeline and its backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clsbench.errors import ClsbenchError, PluginError
from clsbench.images.clock import NO_CLOCK
from clsbench.images.decoders import PillowDecoder, orientation, upright
from clsbench.images.entries import Entry
from clsbench.images.formats import sniff
from clsbench.images.loader import ImageLoader, read
from clsbench.images.resize import resize_pillow
from clsbench.images.sources.source import reading_threads
from clsbench.inference.backend import Backend, classify
from clsbench.inference.pipeline import Pipeline
from clsbench.machine import available_cores
from clsbench.predictions.block import Predictions
from clsbench.transform import ImageTransform, normalise

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.models.classifier import Classifier

#: uint8 (…, 3), and float32 (n, K).
Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]

#: How far the probabilities may move where Pillow decodes and resizes instead of infer's faster routes, whose pixels
#: are up to 2 grey levels apart: 0.0036 at most on 396 photos (EfficientNet-Lite0, bicubic), where another filter moves
#: them by 0.12 and more.
PIXEL_TOLERANCE = 0.02

#: Images of one call of the reference's network: more leave the cache (ResNet-50 on two cores: 21/s by 8, 17/s by 32).
REFERENCE_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class ReferencePath:
    """What the network says, stage by stage; each stage can be swapped for inference's.

    Args:
        decode: An entry -> uint8 (H, W, 3), upright.
        resize: uint8 (H, W, 3) -> uint8 (h, w, 3).
        normalise: uint8 (n, h, w, 3) -> whatever ``network`` takes, by the stated mean and std.
        network: That -> float32 logits (n, K).
        own_normalise: The normalisation inside of the network or file under test, in place of ``normalise``; None
            where it cannot be told apart from the graph.
        pixel_tolerance: How far probabilities may move by decoding and resizing alone; 0 where both paths read
            images in the same way.
        temperature: Divides the logits before softmax.
    """

    decode: Callable[[Entry], Pixels]
    resize: Callable[[Pixels], Pixels]
    normalise: Callable[[Pixels], Any]
    network: Callable[[Any], Logits]
    own_normalise: Callable[[Pixels], Any] | None = None
    pixel_tolerance: float = 0.0
    temperature: float = 1.0

    def pixels(self, entry: Entry) -> Pixels:
        """The network's input: uint8 (h, w, 3).

        Raises:
            DataError: if the image cannot be read.
        """
        return self.resize(self.decode(entry))

    def logits(
        self,
        images: Pixels,
        normalise: Callable[[Pixels], Any] | None = None,
        heard: Callable[[int], None] = lambda count: None,
    ) -> Logits:
        """float32 (n, K) of uint8 (n, h, w, 3), in batches; ``heard`` is told of each."""
        prepare, parts = normalise or self.normalise, []
        for start in range(0, len(images), REFERENCE_BATCH):
            parts.append(self.network(prepare(images[start : start + REFERENCE_BATCH])))
            heard(len(parts[-1]))
        return np.concatenate(parts)


@dataclass(frozen=True, kw_only=True)
class InferencePath:
    """A model file as ``infer`` runs it.

    Args:
        loader: Infer's, for the file's transform.
        backend: With the file in it, and the plan that infer would take.
        classes: K.
        temperature: Of the card.
        columns: Which of the file's logits stands where, in the reference's order of classes; None for the same.
    """

    loader: ImageLoader
    backend: Backend
    classes: int
    temperature: float = 1.0
    columns: Sequence[int] | None = None

    def run(self, entries: Sequence[Entry], batch_size: int | None = None) -> Logits:
        """Raw float32 logits (n, K) of the whole pipeline; NaN where an image cannot be classified.

        Args:
            entries: Encoded images.
            batch_size: Of every call; the plan's if None.
        """
        threads = reading_threads(entries, available_cores())
        pipeline = Pipeline(
            self.loader, self.backend, classes=self.classes, decode_threads=threads, batch_size=batch_size
        )
        return self._ordered(np.concatenate([block.logits for block in pipeline.run(entries)]))

    def pixels(self, entries: Sequence[Entry]) -> tuple[list[Pixels | None], list[str | None]]:
        """As :func:`readable` of the loader; in batches as the pipeline's where a decoder takes several at once."""
        if self.loader.batches is None:
            return readable(self.loader, entries)
        self.loader.batches.restart()
        slots = np.zeros((len(entries), *self.loader.transform.size, 3), np.uint8)
        reasons: list[str | None] = [None] * len(entries)
        for first in range(0, len(entries), self.backend.batch_size):
            rows = slice(first, first + self.backend.batch_size)
            for row, error in self.loader.batches.load(entries[rows], slots[rows], NO_CLOCK):
                reasons[first + row] = None if error is None else str(error)
        return [slot if reason is None else None for slot, reason in zip(slots, reasons, strict=True)], reasons

    def logits(self, images: Pixels, batch_size: int) -> Logits:
        """float32 (n, K) of uint8 (n, h, w, 3), without the pipeline: the file alone."""
        starts = range(0, len(images), batch_size)
        parts = [classify(self.backend, images[start : start + batch_size], self.classes) for start in starts]
        return self._ordered(np.concatenate(parts))

    def _ordered(self, logits: Logits) -> Logits:
        return logits if self.columns is None else logits[:, list(self.columns)]


def training_path(classifier: Classifier, transform: ImageTransform) -> ReferencePath:
    """A torch network as its training evaluates it, but for the normalisation, which numpy does as the card states it.

    Args:
        classifier: On the CPU; it is put into evaluation mode.
        transform: What the card says.
    """
    import torch

    loader = ImageLoader(transform)

    def network(images: Any) -> Logits:
        classifier.eval()
        with torch.inference_mode():
            logits: Logits = classifier.head(classifier.backbone(torch.as_tensor(images))).float().numpy()
        return logits

    return ReferencePath(
        decode=loader.pixels,
        resize=partial(_fitted, loader),
        normalise=lambda images: np.ascontiguousarray(normalise(images, transform).transpose(0, 3, 1, 2)),
        network=network,
        own_normalise=lambda images: classifier.normalise(torch.from_numpy(images)),
    )


def file_path(backend: Backend, card: ModelCard) -> ReferencePath:
    """A model file as the reference: its normalisation is a part of its graph.

    Args:
        backend: With the file in it.
        card: Of the file.
    """
    loader = ImageLoader(card.transform)

    def network(images: Pixels) -> Logits:
        starts = range(0, len(images), backend.batch_size)
        return np.concatenate(
            [classify(backend, images[k : k + backend.batch_size], len(card.classes)) for k in starts]
        )

    return ReferencePath(
        decode=loader.pixels, resize=partial(_fitted, loader), normalise=lambda images: images, network=network,
        temperature=card.temperature or 1.0,
    )  # fmt: skip


def _fitted(loader: ImageLoader, pixels: Pixels) -> Pixels:
    """uint8 (H, W, 3) -> uint8 (h, w, 3), as a loader resizes."""
    out = np.empty((*loader.transform.size, 3), np.uint8)
    loader.fit(pixels, out)
    return out


def pillow_decode(transform: ImageTransform) -> Callable[[Entry], Pixels]:
    """Decoding with Pillow alone: an entry -> uint8 (H, W, 3), upright where the transform asks for it."""
    decoder = PillowDecoder()

    def decode(entry: Entry) -> Pixels:
        content = read(entry)
        if not isinstance(content, bytes):
            return content
        turn = orientation(content, sniff(content)) if transform.exif else 1
        return upright(decoder(content), turn)

    return decode


def pillow_resize(transform: ImageTransform) -> Callable[[Pixels], Pixels]:
    """Resizing with Pillow alone: uint8 (H, W, 3) -> uint8 (h, w, 3)."""

    def resize(pixels: Pixels) -> Pixels:
        (h, w), out = transform.size, np.empty((*transform.size, 3), np.uint8)
        out[:] = transform.padding
        resized = resize_pillow(pixels, transform.geometry(pixels.shape[1], pixels.shape[0]), transform.interpolation)
        if transform.color == "L":
            resized = np.asarray(Image.fromarray(resized).convert("L"))[:, :, None]
        top, left = (h - resized.shape[0]) // 2, (w - resized.shape[1]) // 2
        out[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
        return out

    return resize


def readable(make: Callable[[Entry], Pixels], entries: Sequence[Entry]) -> tuple[list[Pixels | None], list[str | None]]:
    """Pixels of each entry, or None and the reason why it cannot be read.

    Raises:
        PluginError: if a plugin failed in a way that is not about one image.
    """
    made: list[Pixels | None] = []
    reasons: list[str | None] = []
    for entry in entries:
        pixels, reason = None, None
        try:
            pixels = make(entry)
        except PluginError:
            raise
        except ClsbenchError as error:
            reason = error.one_line()
        made.append(pixels)
        reasons.append(reason)
    return made, reasons


def probabilities(logits: Logits, temperature: float = 1.0) -> NDArray[np.float32]:
    """float32 (n, K): softmax as predictions have it."""
    count = len(logits)
    return Predictions([""] * count, logits, [None] * count, temperature=temperature).probabilities
