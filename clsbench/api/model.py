"""``load``: a model file as a Python object that classifies images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clsbench.api.components import Options, choose
from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, Entry, PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.images.pixels import pixels_of
from clsbench.images.sources.opening import holds_many, open_images
from clsbench.images.sources.paths import listed_entry
from clsbench.inference.backend import Backend, allocate, check_backend
from clsbench.inference.batch import Batch, predictions
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.timing import StageClock
from clsbench.machine import available_cores
from clsbench.model_file import read_card
from clsbench.predictions.abstaining import abstains
from clsbench.predictions.block import Predictions

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.inference.explaining import Explainer, Explanation, Method
    from clsbench.transform import ImageTransform

#: Images of a stream that are taken from it at a time.
CHUNK = 1024


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one image.

    Args:
        name: The path, or the position in the stream.
        label: The best class; None where the image could not be classified.
        confidence: Its probability, NaN without one.
        topk: The best classes with their probabilities, best first.
        probabilities: float32 (K,), of all classes; NaN where the image could not be classified.
        error: Why it could not be classified, or None.
        abstained: Whether the confidence is below the threshold of the model's card, if it has one.
    """

    name: str
    label: str | None
    confidence: float
    topk: tuple[tuple[str, float], ...]
    probabilities: NDArray[np.float32] = field(repr=False)
    error: str | None = None
    abstained: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the probabilities of all classes."""
        topk = [{"label": name, "probability": value} for name, value in self.topk]
        confidence = None if self.label is None else self.confidence
        return {
            "name": self.name,
            "label": self.label,
            "confidence": confidence,
            "topk": topk,
            "error": self.error,
            "abstained": self.abstained,
        }


class Model:
    """A model file, opened; a context manager. May be used from several threads.

    Args:
        file: The .onnx file.
        card: What it says about itself.
        backend: With the file in it, for streams.
        decoders: To try before the built-in ones.
        open_single: Opens what single images run on, once it is needed; None for ``backend``.
    """

    def __init__(
        self,
        file: Path,
        card: ModelCard,
        backend: Backend,
        decoders: Sequence[Any] = (),
        open_single: Callable[[], Backend] | None = None,
    ) -> None:
        self.file, self.card = file, card
        self._backend, self._loader = backend, ImageLoader(card.transform, decoders)
        self._single_backend = None if open_single else backend
        self._open_single, self._lock = open_single, Lock()
        self._explainers: dict[Method, Explainer] = {}

    def __repr__(self) -> str:
        return f"<Model {self.file.name}: {len(self.classes)} classes on {self.device}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """K names, in the order of the logits."""
        return self.card.classes

    @property
    def transform(self) -> ImageTransform:
        """The preprocessing of the file."""
        return self.card.transform

    @property
    def device(self) -> str:
        """What it runs on."""
        return f"{self._backend.device.device} ({self._backend.device.provider})"

    def predict(self, images: Any, *, topk: int = 5) -> Any:
        """Classify one image, or many, with the same pixels as ``clsbench infer``.

        Args:
            images: One image: a path or URL, encoded bytes, an image of Pillow or pixels uint8 (H, W, 3). Or many:
                a folder, an archive, or an iterable of those; it may be endless, it is read ahead by some hundreds.
            topk: How many of the best classes a prediction lists.

        Returns:
            A :class:`Prediction` for one image; an iterator of them, in order, for many. An image that
            cannot be read gives a prediction with ``error``, never an exception.

        Raises:
            DataError: if ``images`` is none of these.

        >>> model = load("model.onnx")                            # doctest: +SKIP
        >>> model.predict("cat.jpg").label                        # doctest: +SKIP
        'cat'
        >>> [p.label for p in model.predict(["1.jpg", "2.jpg"])]  # doctest: +SKIP
        ['cat', 'dog']
        """
        if isinstance(images, str | os.PathLike) and holds_many(images):
            return self._stream(open_images(images).entries, topk)
        if _is_image(images):
            return self._single(self._entry(images, ""), topk)
        if isinstance(images, Iterable):
            return self._stream((self._entry(image, str(k)) for k, image in enumerate(images)), topk)
        raise _not_an_image(images)

    def explain(self, image: Any, *, label: str | None = None, method: Method = "auto") -> Explanation:
        """A heatmap of where the evidence for ``label``, or else for the predicted class, lies in one image.

        ``method`` is cam, occlusion or rise; auto is CAM where the file allows it, and else occlusion. Raises
        OptionError or DataError for an unknown method or class, DataError if the image cannot be read, ModelError
        if CAM is not possible.
        """
        from clsbench.inference.explaining import Explainer

        with self._lock:
            if method not in self._explainers:
                self._explainers[method] = Explainer(self.file, self.card, self._backend, method=method)
        entry = self._entry(image, "")
        return self._explainers[method](self._loader(entry), [label] if label else [], name=entry.name)[-1]

    def close(self) -> None:
        """Free what is open."""
        self._backend.close()
        if self._single_backend not in (None, self._backend):
            self._single_backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _entry(self, image: Any, name: str) -> Entry:
        """An entry of one image; paths are named by themselves."""
        if isinstance(image, str | os.PathLike):
            return listed_entry("", os.fspath(image))
        if isinstance(image, bytes):
            return BytesEntry(name, image)
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise DataError(
                    "pixels must be uint8 (H, W, 3)",
                    where="predict",
                    got=f"{image.dtype} {image.shape}",
                    hint="convert them, or pass the path of the file",
                )
            return PixelsEntry(name, np.ascontiguousarray(image))
        if isinstance(image, Image.Image):
            return PixelsEntry(name, pixels_of(image, upright=self.transform.exif))
        raise _not_an_image(image)

    def _opened(self) -> Backend:
        with self._lock:
            if self._single_backend is None and self._open_single:
                self._single_backend = self._open_single()
        assert self._single_backend is not None
        return self._single_backend

    def _single(self, entry: Entry, topk: int) -> Prediction:
        backend = self._single_backend or self._opened()
        (memory,) = allocate(backend, (1, *self.transform.size, 3), 1)
        batch, clock = Batch(memory), StageClock()
        batch.fill((entry,), 0)
        batch.load(0, self._loader, clock)
        batch.run(backend, len(self.classes), clock)
        return self._predictions(predictions((batch,), self.card.temperature or 1.0, clock), topk)[0]

    def _stream(self, entries: Iterable[Entry], topk: int) -> Iterator[Prediction]:
        whole = entries if isinstance(entries, Sequence) else None
        source = iter(entries)
        while chunk := whole or list(islice(source, CHUNK)):
            pipeline = Pipeline(
                self._loader,
                self._backend,
                classes=len(self.classes),
                decode_threads=available_cores(),
                temperature=self.card.temperature,
            )
            for block in pipeline.run(chunk):
                yield from self._predictions(block, topk)
            if whole is not None:
                return

    def _predictions(self, block: Predictions, topk: int) -> list[Prediction]:
        probabilities, ranked, below = block.probabilities, block.top(max(1, topk)), self.card.abstain_below or 0.0
        abstained = abstains(probabilities.max(axis=1), below).tolist()
        made = []
        rows = zip(block.names, probabilities, ranked.tolist(), block.errors, abstained, strict=True)
        for name, row, best, error, unsure in rows:
            pairs = () if error is not None else tuple((self.classes[k], float(row[k])) for k in best)
            label, confidence = pairs[0] if pairs else (None, float("nan"))
            one = Prediction(
                name=name, label=label, confidence=confidence, topk=pairs[:topk], probabilities=row, error=error,
                abstained=unsure,
            )  # fmt: skip
            made.append(one)
        return made


def load(
    model: str | Path | None = None,
    *,
    device: str = "auto",
    backend: str = "onnxruntime",
    decoders: Sequence[str] = (),
    options: Options = (),
) -> Model:
    """Open a model file to classify images with it.

    Args:
        model: An .onnx file with a card; the latest export if left out.
        device: ``auto``, ``cpu``, ``cuda[:i,j]`` or ``tensorrt[:i,j]``; a named device is used, or it is an error.
        backend: The inference engine.
        decoders: Decoders to try before the built-in ones.
        options: Options of backend and decoders.

    Raises:
        ModelError: if the file cannot be used.
        DeviceError: if the device cannot be used.
    """
    from clsbench import runs

    picked = choose({"backend": [backend], "decoder": decoders}, options)
    file = runs.find_onnx(model)
    card = read_card(file)
    chosen, cores = picked["backend"][0], available_cores()
    opened = chosen.offered(tune="cached").build(file, device)
    check_backend(opened)
    # Streams run several calls at once on a thread each; an image alone is faster on all cores.
    alone = chosen.offered(streams=1, threads=cores, spinning=True)
    differs = opened.shares_cores and opened.threads < cores and alone.options != chosen.options
    open_single = partial(alone.build, file, device) if differs else None
    return Model(file, card, opened, [c.build() for c in picked["decoder"]], open_single)


def _is_image(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim != 4  # a batch of images is many
    if isinstance(value, str | os.PathLike | bytes):
        return True
    return isinstance(value, Image.Image)


def _not_an_image(value: object) -> DataError:
    return DataError(
        "this is not an image",
        where="predict",
        got=type(value).__name__,
        expected="a path, bytes, an image of Pillow, pixels uint8 (H, W, 3), or an iterable or folder of those",
    )
