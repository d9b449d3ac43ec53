"""Where a prediction comes from: heatmaps over the network's input, for any model file and without torch.

Three methods. **CAM** splits the logit exactly, at the cost of one run; few files allow it, see
:mod:`clsbench.inference.class_activation`. **Occlusion** (Zeiler & Fergus 2014, arXiv:1311.2901) hides one square
after another and measures how much the probability falls. **RISE** (Petsiuk et al. 2018, arXiv:1806.07421) hides
random halves of the image and averages over what was left visible. What is hidden gets the colour that is
0 once it is normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.inference.backend import Backend, classify
from clsbench.inference.class_activation import ClassActivation

Method = Literal["auto", "cam", "occlusion", "rise"]

#: What a method is called in titles and sentences.
TITLES = {"cam": "CAM", "occlusion": "occlusion", "rise": "RISE"}

#: Occlusion: squares along a side without overlap, and the steps in which one moves over its own length.
SQUARES, STEPS = 7, 2

#: RISE: random masks, cells of a mask along a side, and the part of the cells that stays visible.
MASKS, CELLS, VISIBLE = 1000, 7, 0.5

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Where the evidence for one class lies in one image.

    Args:
        name: Of the image.
        label: The class that is explained.
        probability: Of it, 0 to 1.
        method: ``cam``, ``occlusion`` or ``rise``.
        heatmap: float32 (h, w) on the network's input. For ``cam`` each place's share of the logit, whose mean
            and the bias are the logit (before the map is enlarged); for ``occlusion`` how much the probability
            falls where a pixel is hidden; for ``rise`` how much higher than on average it is where one is visible.
        pixels: uint8 (h, w, 3), the network's input.
        runs: Images that the model was run on.
    """

    name: str
    label: str
    probability: float
    method: str
    heatmap: NDArray[np.float32] = field(repr=False)
    pixels: NDArray[np.uint8] = field(repr=False)
    runs: int

    @property
    def title(self) -> str:
        """The method as it is called in titles and sentences."""
        return TITLES[self.method]

    @property
    def peak(self) -> tuple[int, int]:
        """Row and column of the largest value."""
        row, column = np.unravel_index(int(self.heatmap.argmax()), self.heatmap.shape)
        return int(row), int(column)

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the map."""
        told = {name: getattr(self, name) for name in ("name", "label", "probability", "method", "runs")}
        return {**told, "peak": list(self.peak), "size": list(self.heatmap.shape)}


class Explainer:
    """Explains images with one model.

    Args:
        file: The model file.
        card: Of it.
        backend: With the file in it; occlusion and RISE run on it.
        method: ``auto`` is CAM where the file allows it, and occlusion elsewhere.
        seed: Of RISE's masks.

    Attributes:
        method: What is used: never ``auto``.
        reason: Why ``auto`` did not take CAM, or None.
        runs: Images that the model is run on for each image.

    Raises:
        OptionError: for an unknown method.
        ModelError: if CAM was asked for and the file does not allow it.
    """

    def __init__(
        self, file: Path, card: ModelCard, backend: Backend, *, method: Method = "auto", seed: int = 0
    ) -> None:
        if method not in get_args(Method):
            raise OptionError("unknown method", where="method", got=method, expected=" or ".join(get_args(Method)))
        self._card, self._backend, self._seed = card, backend, seed
        self._hidden = np.array(card.transform.mean_color, np.float64)
        self._cam: ClassActivation | None = None
        self.reason: str | None = None
        if method in ("auto", "cam"):
            try:
                self._cam = ClassActivation(file, card)
            except ModelError as error:
                if method == "cam":
                    raise
                self.reason = f"{error.what} ({error.facts['got']})"
        self.method = ("cam" if self._cam else "occlusion") if method == "auto" else method
        squares = len(list(_squares(card.transform.size)))
        self.runs = {"cam": 1, "occlusion": 1 + squares, "rise": 1 + MASKS}[self.method]

    def __call__(
        self,
        pixels: NDArray[np.uint8],
        labels: Sequence[str] = (),
        *,
        name: str = "",
        progress: Callable[[int], None] = lambda count: None,
    ) -> tuple[Explanation, ...]:
        """Explain the predicted class of an image, and other classes at no further cost.

        Args:
            pixels: uint8 (h, w, 3), the network's input.
            labels: Classes to explain beside the predicted one.
            name: Of the image.
            progress: Hears how many images were run.

        Returns:
            Of the predicted class, then of each of ``labels`` that is another one.

        Raises:
            DataError: if the model has no such class.
            ModelError: if its logits are not finite, or CAM is not exact for this image.
        """
        classes = self._card.classes
        unknown = [label for label in labels if label not in classes]
        if unknown:
            raise DataError("the model has no such class", got=unknown[0], expected=", ".join(classes[:20]))
        if self._cam:
            logits, maps = self._cam(pixels)
            found = self._softmax(logits[None])[0]
        else:
            found = self._probabilities(pixels[None])[0]
        progress(1)
        targets = list(dict.fromkeys([int(found.argmax()), *(classes.index(label) for label in labels)]))
        if self._cam:
            heat = [_enlarged(maps[k], pixels.shape[:2]) for k in targets]
        elif self.method == "occlusion":
            heat = list(self._occlusion(pixels, found, targets, progress))
        else:
            heat = list(self._rise(pixels, targets, progress))
        return tuple(
            Explanation(
                name=name, label=classes[k], probability=float(found[k]), method=self.method,
                heatmap=values.astype(np.float32), pixels=pixels, runs=self.runs,
            )
            for k, values in zip(targets, heat, strict=True)
        )  # fmt: skip

    def _occlusion(
        self, pixels: NDArray[np.uint8], found: NDArray[np.float64], targets: list[int], progress: Callable[[int], None]
    ) -> NDArray[np.float64]:
        """float64 (T, h, w): the mean fall of each target's probability over the squares that cover a pixel."""
        squares = list(_squares(pixels.shape[:2]))

        def drops(chunk: range) -> NDArray[np.float64]:
            images = np.repeat(pixels[None], len(chunk), axis=0)
            for image, number in zip(images, chunk, strict=True):
                image[squares[number]] = self._hidden
            return found[targets] - self._probabilities(images)[:, targets]

        total = np.zeros((len(targets), *pixels.shape[:2]))
        covered = np.zeros(pixels.shape[:2])
        fallen = np.concatenate(list(self._chunks(drops, len(squares), progress)))
        for square, fall in zip(squares, fallen, strict=True):
            total[:, *square] += fall[:, None, None]
            covered[square] += 1
        return total / covered

    def _rise(
        self, pixels: NDArray[np.uint8], targets: list[int], progress: Callable[[int], None]
    ) -> NDArray[np.float64]:
        """float64 (T, h, w): the expected probability where a pixel is visible, less that of all masks.

        Equations 3 to 6 of the paper, with the masks' own mean in place of its expectation: pixels that
        chance left visible more often are not brighter for that.
        """
        masks = _masks(pixels.shape[:2], self._seed)
        hidden = self._hidden.astype(np.float32)
        shown = pixels - hidden

        def sums(chunk: range) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
            visible = masks(chunk)
            images = np.round(hidden + visible[..., None] * shown).astype(np.uint8)
            values = self._probabilities(images)[:, targets]
            return np.tensordot(values.T, visible, axes=1), visible.sum(axis=0, dtype=np.float64), values.sum(axis=0)

        weighted, weights, totals = (sum(part) for part in zip(*self._chunks(sums, MASKS, progress), strict=True))
        return np.asarray(weighted / np.maximum(weights, 1e-9) - totals[:, None, None] / MASKS)

    def _chunks(self, run: Callable[[range], T], count: int, progress: Callable[[int], None]) -> Iterator[T]:
        """What ``run`` makes of each chunk of ``count`` images, in order, as many at once as the backend likes."""
        size = self._backend.batch_size
        chunks = [range(start, min(start + size, count)) for start in range(0, count, size)]
        pool = ThreadPoolExecutor(self._backend.streams)
        try:
            for chunk, made in zip(chunks, pool.map(run, chunks), strict=True):
                progress(len(chunk))
                yield made
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the chunks that have not begun

    def _probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return self._softmax(classify(self._backend, images, len(self._card.classes)))

    def _softmax(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64, so that the small falls of a confident model are not rounded away."""
        if not np.isfinite(logits).all():
            raise ModelError("the model returned logits that are not finite")
        scaled = logits.astype(np.float64)
        scaled = (scaled - scaled.max(axis=1, keepdims=True)) / (self._card.temperature or 1.0)
        powers = np.exp(scaled)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _squares(size: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """The squares that occlusion hides, row by row; together they cover every pixel."""
    for top, bottom in _spans(size[0]):
        for left, right in _spans(size[1]):
            yield slice(top, bottom), slice(left, right)


def _spans(side: int) -> list[tuple[int, int]]:
    length = max(1, round(side / SQUARES))
    starts = [*range(0, side - length, max(1, length // STEPS)), side - length]
    return [(start, start + length) for start in starts]


def _masks(size: tuple[int, ...], seed: int) -> Callable[[range], NDArray[np.float32]]:
    """RISE's masks by their numbers: float32 (n, h, w), 1 where the image is visible.

    Coarse random cells, enlarged bilinearly and shifted by less than a cell (section 3.2 of the paper).
    """
    cells = min(CELLS, *size)
    chance = np.random.default_rng(seed)
    coarse = (chance.random((MASKS, cells + 1, cells + 1)) < VISIBLE).astype(np.float32)
    shifts = chance.random((MASKS, 2))

    def made(chunk: range) -> NDArray[np.float32]:
        numbers = list(chunk)
        down, across = (_blends(side, cells, shifts[numbers, axis]) for axis, side in enumerate(size))
        return np.asarray(down @ coarse[numbers] @ across.transpose(0, 2, 1))

    return made


def _blends(side: int, cells: int, shifts: NDArray[np.float64]) -> NDArray[np.float32]:
    """float32 (n, side, cells + 1): bilinear weights of the cells at each pixel, shifted by parts of a cell."""
    places = (np.arange(side) + 0.5) * cells / side + shifts[:, None] - 0.5
    blends = np.clip(1 - np.abs(places.clip(0, cells)[..., None] - np.arange(cells + 1)), 0, 1)
    return np.asarray(blends, np.float32)


def _enlarged(values: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float32]:
    """A coarse map on the pixels of the network, bilinear."""
    from PIL import Image

    coarse = Image.fromarray(values.astype(np.float32))
    return np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float32)
