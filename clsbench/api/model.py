"""``load``: a model file as a Python object that classifies images."""

from __future__ import annotations

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

from clsbench.api.carried import check_opened
from clsbench.api.components import Options, choose
from clsbench.api.embedding import embeddings
from clsbench.api.engines import named_backend
from clsbench.api.model_images import entries_of, entry_of
from clsbench.api.observer import Observer
from clsbench.errors import DataError
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, allocate, check_backend, require_features
from clsbench.inference.batch import Batch, predictions
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.timing import StageClock
from clsbench.machine import available_cores
from clsbench.model_file import feature_dim, read_card
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
        entries = entries_of(images, upright=self.transform.exif)
        if isinstance(entries, Iterable):
            return (one for block in self._blocks(entries) for one in self._predictions(block, topk))
        return self._predictions(self._block(entries), topk)[0]

    def embed(self, images: Any) -> Any:
        """What goes into the network's head, its features: the pixels are those of :meth:`predict`.

        Args:
            images: One image or many, as for :meth:`predict`.

        Returns:
            float32 (D,), D being ``card.feature_dim``, for one image; an iterator of :class:`Embedding`, in order, for
            many. One of them that cannot be read has ``error`` and features of NaN, and keeps its place.

        Raises:
            ModelError: if the file gives no features; export it again.
            DataError: if the one image cannot be read, or ``images`` is none of these.
            PluginError: if a plugin's backend gives no features.

        >>> model = load("model.onnx")                                      # doctest: +SKIP
        >>> model.embed("cat.jpg").shape                                    # doctest: +SKIP
        (1280,)
        >>> np.stack([one.features for one in model.embed("photos/")]).shape  # doctest: +SKIP
        (250, 1280)
        """
        dim = feature_dim(self.card, self.file)
        require_features(self._backend)
        entries = entries_of(images, upright=self.transform.exif)
        if isinstance(entries, Iterable):
            return (one for block in self._blocks(entries, dim) for one in embeddings(block))
        found = embeddings(self._block(entries, dim))[0]
        if found.error is not None:
            raise DataError("an image cannot be read", where=found.name or None, got=found.error)
        return found.features

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
        entry = entry_of(image, "", upright=self.transform.exif)
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

    def _opened(self) -> Backend:
        with self._lock:
            if self._single_backend is None and self._open_single:
                self._single_backend = self._open_single()
        assert self._single_backend is not None
        return self._single_backend

    def _block(self, entry: Entry, feature_dim: int | None = None) -> Predictions:
        """Of one image."""
        backend = self._single_backend or self._opened()
        (memory,) = allocate(backend, (1, *self.transform.size, 3), 1)
        batch, clock = Batch(memory), StageClock()
        batch.fill((entry,), 0)
        batch.load(0, self._loader, clock)
        batch.run(backend, len(self.classes), clock, feature_dim)
        return predictions((batch,), self.card.temperature or 1.0, clock)

    def _blocks(self, entries: Iterable[Entry], feature_dim: int | None = None) -> Iterator[Predictions]:
        """Of many images, in order."""
        whole = entries if isinstance(entries, Sequence) else None
        source = iter(entries)
        while chunk := whole or list(islice(source, CHUNK)):
            pipeline = Pipeline(
                self._loader,
                self._backend,
                classes=len(self.classes),
                decode_threads=available_cores(),
                temperature=self.card.temperature,
                feature_dim=feature_dim,
            )
            yield from pipeline.run(chunk)
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
        device: ``auto``, ``cpu``, ``cuda[:i,j]``, ``tensorrt[:i,j]`` or ``ep:NAME[:i]``; a named device is used, or it
            is an error.
        backend: What runs the model, with options after colons as in ``openvino:precision=bf16``.
        decoders: Decoders to try before the built-in ones.
        options: Options of backend and decoders.

    Raises:
        ModelError: if the file cannot be used.
        DeviceError: if the device cannot be used.
    """
    from clsbench import runs

    named, options = named_backend(backend, options)
    picked = choose({"backend": [named], "decoder": decoders}, options)
    file = runs.find_onnx(model)
    card = read_card(file)
    chosen, cores = picked["backend"][0], available_cores()
    opened = chosen.offered(tune="cached").build(file, device)
    check_backend(opened)
    check_opened(file, card, chosen.resolved.component.name, opened, Observer())
    # Streams run several calls at once on a thread each; an image alone is faster on all cores.
    alone = chosen.offered(streams=1, threads=cores, spinning=True)
    differs = opened.shares_cores and opened.threads < cores and alone.options != chosen.options
    open_single = partial(alone.build, file, device) if differs else None
    return Model(file, card, opened, [c.build() for c in picked["decoder"]], open_single)
