"""Which stage is to blame: one stage after another is swapped from the reference's to inference's.

    reference → inference's decoding → its resizing → the network's own normalisation
              → the file at batch 1 → the card's temperature → larger batches and the whole pipeline

The stage whose swap moves the probabilities most, measured by what it may, is to blame. What is the same on both
sides costs nothing: the network runs again only for images whose pixels have changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.exporting.gate_paths import InferencePath, Logits, Pixels, ReferencePath, probabilities, readable
from clsbench.gate_report import StageDifference
from clsbench.images.entries import Entry

#: Batch size -> rows int64 (n,) of the images that were run at it, and float32 (n, K) of them.
Passes = dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]]

#: The stage where the network itself gives no finite answer, so that nothing can be compared with it.
REFERENCE = "reference"

#: The stage of all that cannot be told apart where the two networks take images of different sizes.
RESIZE_AND_GRAPH = "resize and graph"


@dataclass(frozen=True, kw_only=True)
class Swaps:
    """The two paths and what they have said so far.

    Args:
        reference, inference: The paths.
        entries: N images that the reference can read.
        pixels: The reference's, uint8 (N, h, w, 3).
        logits: The reference's, float32 (N, K).
        passes: Batch size -> what the whole pipeline gave.
        precision: Of the file's weights.
    """

    reference: ReferencePath
    inference: InferencePath
    entries: Sequence[Entry]
    pixels: Pixels
    logits: Logits
    passes: Passes
    precision: str = "float32"

    def stages(self) -> Iterator[StageDifference]:
        """What each swap moves, in order; stages that are the same thing on both sides are left out."""
        temperature = self.reference.temperature
        before = probabilities(self.logits, temperature)
        if not np.isfinite(before).all():
            yield StageDifference(REFERENCE, math.inf)
            return
        decoded, _ = readable(self._decoded_as_infer, self.entries)
        logits = self.again(self.logits, list(self.pixels), decoded)
        after = probabilities(logits, temperature)
        yield StageDifference("decode", largest_difference(before, after))
        resized, _ = self.inference.pixels(self.entries)
        graph = "graph" if self.precision == "float32" else "precision"
        if self.inference.loader.transform.size == self.pixels.shape[1:3]:
            before, logits = after, self.again(logits, decoded, resized)
            after = probabilities(logits, temperature)
            yield StageDifference("resize", largest_difference(before, after))
            if self.reference.own_normalise:
                before, logits = after, self._own(resized)
                after = probabilities(logits, temperature)
                yield StageDifference("normalise", largest_difference(before, after))
        else:
            graph = RESIZE_AND_GRAPH
        before, logits = after, self._file(resized, 1)
        after = probabilities(logits, temperature)
        yield StageDifference(graph, largest_difference(before, after))
        if self.inference.temperature != temperature:
            before, after = after, probabilities(logits, self.inference.temperature)
            yield StageDifference("temperature", largest_difference(before, after))
        yield StageDifference("batch", max(self._batches(after, resized)))

    def _decoded_as_infer(self, entry: Entry) -> Pixels:
        pixels = self.inference.loader.pixels(entry)
        return self.reference.resize(pixels)

    def again(self, logits: Logits, before: Sequence[Pixels | None], after: Sequence[Pixels | None]) -> Logits:
        """The reference's logits where the pixels have become others; NaN where there are none any more."""
        made, known = logits.copy(), []
        for row, (old, new) in enumerate(zip(before, after, strict=True)):
            if new is None:
                made[row] = np.nan
            elif old is None or not np.array_equal(old, new):
                known.append((row, new))
        if known:
            made[[row for row, _ in known]] = self.reference.logits(np.stack([image for _, image in known]))
        return made

    def _own(self, pixels: Sequence[Pixels | None]) -> Logits:
        return self._by(lambda images: self.reference.logits(images, self.reference.own_normalise), pixels)

    def _file(self, pixels: Sequence[Pixels | None], size: int) -> Logits:
        return self._by(lambda images: self.inference.logits(images, size), pixels)

    def _by(self, run: Callable[[Pixels], Logits], pixels: Sequence[Pixels | None]) -> Logits:
        """Logits of the images that there are; NaN for the others."""
        made = np.full_like(self.logits, np.nan)
        rows = [k for k, image in enumerate(pixels) if image is not None]
        if rows:
            made[rows] = run(np.stack([image for image in pixels if image is not None]))
        return made

    def _batches(self, alone: NDArray[np.float32], pixels: Sequence[Pixels | None]) -> Iterator[float]:
        """How far other batch sizes, and then the pipeline, are from the file at batch 1."""
        temperature = self.inference.temperature
        for size, (rows, logits) in self.passes.items():
            if size > 1:
                yield largest_difference(alone, probabilities(self._file(pixels, size), temperature))
            yield largest_difference(alone[rows], probabilities(logits, temperature))


def blamed(stages: Sequence[StageDifference], pixels_may: float = 1.0) -> str | None:
    """The stage that moves the probabilities most, the first of several; None without any.

    Args:
        stages: What each moves.
        pixels_may: How many times as far as other stages decoding and resizing may move them.
    """

    def excess(stage: StageDifference) -> float:
        return stage.difference / (pixels_may if stage.stage in ("decode", "resize") else 1.0)

    return max(stages, key=excess).stage if stages else None


def largest_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The largest of all images and classes; infinite where only one of the two is a number."""
    return float(differences(a, b).max(initial=0.0))


def differences(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 (n,): the largest difference of each image over its classes, as :func:`largest_difference`."""
    apart = np.abs(a.astype(np.float64) - b)
    apart = np.where(np.isnan(a) & np.isnan(b), 0.0, np.where(np.isnan(apart), np.inf, apart))
    worst: NDArray[np.float64] = apart.max(axis=1)
    return worst
