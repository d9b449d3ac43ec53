"""Foreign: a stranger's classifier, recognised: what it takes, what it gives, and how many images at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clsbench.adopting.freeing import freed
from clsbench.adopting.graph import SCAN_OPSET, ImageInput, converted, standard_opset
from clsbench.adopting.original import Original
from clsbench.adopting.scores import Scores, find_scores
from clsbench.adopting.wrapping import PREPARED, beginning, wrap
from clsbench.card import INPUT_NAME
from clsbench.errors import ModelError
from clsbench.inference.sessions import open_session
from clsbench.onnx_file import OnnxFacts, read_onnx
from clsbench.text import counted
from clsbench.transform import ImageTransform

#: How a graph takes any number of images: as it is, with its fixed batch size freed, or one after the other.
Batching = Literal["free", "freed", "one by one"]

#: How far scores of an image alone and among others may differ, of the largest: another order of sums in float16.
ROW_TOLERANCE = 2e-3


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A foreign classifier.

    Args:
        file: Where it came from.
        facts: What stands in it.
        image: Its input.
        scores: Its output.
        batching: How it takes any number of images.
        original: It, opened.
        model: The ModelProto to wrap; of a graph that was freed, with a free batch size.
    """

    file: Path
    facts: OnnxFacts
    image: ImageInput
    scores: Scores
    batching: Batching
    original: Original
    model: Any

    @property
    def precision(self) -> str:
        """Of the weights: ``float32``, ``float16`` or ``int8``."""
        operators = self.facts.operators
        if {"DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"} & operators.keys():
            return "int8"
        counts = self.facts.parameters
        return "float16" if counts.get("float16", 0) > counts.get("float", 0) else "float32"

    def logits(self, images: NDArray[np.uint8], transform: ImageTransform) -> NDArray[np.float32]:
        """uint8 (n, h, w, 3), RGB -> logits float32 (n, K) of the original with that preprocessing in numpy."""
        return self.original.logits(self.original.prepare(images, transform), self.scores)

    def normalisation_of(self, wrapped: Any) -> Callable[[NDArray[np.uint8]], NDArray[Any]] | None:
        """The normalisation inside of an adopted file: uint8 (n, h, w, 3) -> what the original takes.

        Args:
            wrapped: Its ModelProto.

        Returns:
            None where the file was not made of this original.
        """
        model = beginning(wrapped, self.image)
        if model is None:
            return None
        session = open_session(model.SerializeToString(), "cpu")
        return lambda images: np.asarray(session.run([PREPARED], {INPUT_NAME: images})[0])

    def wrapped(self, transform: ImageTransform) -> Any:
        """The ModelProto that keeps our contract."""
        return wrap(self.model, self.image, self.scores, transform, one_by_one=self.batching == "one by one")


def recognise(
    file: Path,
    model: Any,
    image: ImageInput,
    pixels: NDArray[np.uint8],
    transform: ImageTransform,
    *,
    classes: int | None,
    output: str | None,
) -> Foreign:
    """Run a graph on a few photos, to see what it gives and how many images it takes.

    Args:
        file: The .onnx file.
        model, image: Its ModelProto and its input, see :mod:`clsbench.adopting.graph`.
        pixels: Photos, uint8 (n, h, w, 3), of the size that the network is to have.
        transform: The likeliest preprocessing.
        classes: K where it is known.
        output: The output with the scores, where the user named one.

    Raises:
        ModelError: if it is no image classifier that can be used; says why.
    """
    original = _original(model, image, file)
    prepared = original.prepare(pixels, transform)
    probes = _probes(original, prepared)
    _refuse_chance(original, prepared, probes, file)
    scores = find_scores(probes, model.graph, file, classes=classes, asked=output)
    rows = original.scores(prepared, scores.output)
    batching, model = _batching(model, image, scores, prepared, rows, file)
    return Foreign(
        file=file, facts=read_onnx(file), image=image, scores=scores, batching=batching, original=original, model=model
    )


def _probes(original: Original, prepared: NDArray[Any]) -> dict[str, list[NDArray[Any]]]:
    """Output -> what it gives for each image, by itself where the graph takes one at a time."""
    batch = original.image.batch or 1
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in original.outputs}
    for start in range(0, len(prepared), batch):
        part = prepared[start : start + batch]
        filled = np.resize(part, (batch, *part.shape[1:]))
        for name, array in zip(original.outputs, map(_tensor, original.run(filled, original.outputs)), strict=True):
            apart = batch > 1 and array.ndim > 0 and len(array) == batch
            found[name] += [array[k : k + 1] if apart else array for k in range(len(part))]
    return found


def _original(model: Any, image: ImageInput, file: Path) -> Original:
    """The file as it is, so that whatever was changed for today's tools is compared with it too.

    One that ONNX Runtime does not open, as for its age, is the model that was made of it.
    """
    try:
        return Original(file, image, file)
    except ModelError:
        return Original(model, image, file)


def _tensor(value: Any) -> NDArray[Any]:
    """An output; of one that is no tensor, such as ZipMap's list of maps, a stand-in."""
    return value if isinstance(value, np.ndarray) else np.empty(1, object)


def _refuse_chance(
    original: Original, prepared: NDArray[Any], probes: Mapping[str, Sequence[NDArray[Any]]], file: Path
) -> None:
    """Refuse a graph that says something else of the same image each time.

    Args:
        original: It.
        prepared: The images, as it takes them.
        probes: Output -> what it gave of each image.
        file: For messages.
    """
    again = _probes(original, prepared[: original.image.batch or 1])
    for name, (first, *_) in again.items():
        if first.dtype.kind == "f" and not np.array_equal(first, probes[name][0], equal_nan=True):
            raise ModelError(
                "the graph gives other numbers for the same image each time", where=file, got=f"output {name}",
                expected="a network that leaves nothing to chance",
                hint="export it in evaluation mode, without dropout and random numbers",
            )  # fmt: skip


def _batching(
    model: Any, image: ImageInput, scores: Scores, prepared: NDArray[Any], rows: NDArray[np.float32], file: Path
) -> tuple[Batching, Any]:
    """How the graph takes any number of images, and the graph for it; found by trying with two and with three."""
    candidate = model if image.batch is None else freed(model, image)
    if _takes_many(candidate, image, scores, prepared, rows, file):
        return ("free" if image.batch is None else "freed"), candidate
    if image.batch is not None and image.batch > 1:
        raise ModelError(
            "the batch size of the graph cannot be freed", where=file,
            got=f"a fixed batch of {counted(image.batch, 'image')}",
            expected="a free batch size, or 1", hint="export it again with a free batch size (dynamic axes)",
        )  # fmt: skip
    return "one by one", model if standard_opset(model) >= SCAN_OPSET else converted(model, file)


def _takes_many(
    model: Any, image: ImageInput, scores: Scores, prepared: NDArray[Any], rows: NDArray[np.float32], file: Path
) -> bool:
    """Whether rows of a batch of two and of three are those of each image alone."""
    bound = ROW_TOLERANCE * float(np.abs(rows).max()) + 1e-9
    names = [scores.output, *([scores.features] if scores.features else [])]
    try:
        opened = Original(model, image, file)
        for count in (2, 3):
            together, *features = opened.run(prepared[:count], names)
            if together.size != count * scores.count or any(f.size != count * scores.feature_dim for f in features):
                return False
            got = np.asarray(together, np.float32).reshape(count, -1)
            if not np.allclose(got, rows[:count], rtol=0, atol=bound):
                return False
    except ModelError:
        return False
    return True
