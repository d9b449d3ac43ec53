"""The conformance kit: one list of checks for every component, built-in or not.

Each check takes a component and raises AssertionError with what is wrong. A plugin's
tests need nothing else of clsbench:

    from clsbench.testing import check_model, installed

    def test_tiny():
        check_model(installed("model", "acme/tiny"))
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.component import Component
from clsbench.datasets.dataset import Dataset
from clsbench.guard import Opener
from clsbench.images.batch_checks import check_batches
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.options import option_types
from clsbench.predictions.block import Predictions
from clsbench.predictions.metric import run_metrics
from clsbench.predictions.outcomes import Outcomes
from clsbench.registry import Registry
from clsbench.transform import ImageTransform


def installed(kind: str, name: str) -> Component:
    """A component by its name, found as the command line finds it.

    Raises:
        ClsbenchError: if it is not installed, ambiguous or broken.
    """
    from clsbench import builtin

    return Registry(builtin).resolve(kind, name).component


def check_options_are_keywords(component: Component) -> None:
    """Every option has a default, so that the component can be built from its name alone."""
    for name, (_, default) in option_types(component.build).items():
        _require(default is not _empty(), f"option '{name}' of {component.name} has no default")


def check_model(component: Component, *, num_classes: int = 3, **options: Any) -> None:
    """A model: shapes, normalisation inside, images independent of their batch, strict weights.

    Args:
        component: From ``register_models``.
        num_classes: K to build with.
        options: For ``build``.
    """
    import torch

    from clsbench.models.classifier import Classifier

    check_options_are_keywords(component)
    _require("pretrained" in option_types(component.build), "a model needs the option 'pretrained'")
    classifier = component.build(num_classes, **options)
    _require(isinstance(classifier, Classifier), f"build returned {type(classifier).__name__}, not a Classifier")
    classifier.eval()
    images = torch.from_numpy(_images(3, classifier.transform.size))
    with torch.inference_mode():
        features, logits = classifier.features(images), classifier(images)
        alone = classifier(images[1:2])
    _require(features.shape == (3, classifier.feature_dim), f"features have shape {tuple(features.shape)}")
    _require(logits.shape == (3, num_classes), f"logits have shape {tuple(logits.shape)}")
    _require(logits.dtype == torch.float32, f"logits are {logits.dtype}")
    with torch.inference_mode():
        torch.testing.assert_close(classifier.head(features), logits, msg="the logits are not the head of the features")
    torch.testing.assert_close(alone, logits[1:2], msg="an image's logits depend on its batch")
    _require(classifier.layer_groups[-1][0] == "head", "the last layer group must be 'head'")
    again = component.build(num_classes, **options)
    again.load_state_dict(classifier.state_dict())  # strict: raises where names differ
    again.eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(images), logits, msg="the state dict does not hold the whole model")


def check_dataset(component: Component, root: Path | None, **options: Any) -> None:
    """A dataset: unique classes, labels in range, unique names, readable entries, the same splits each time."""
    check_options_are_keywords(component)
    first, second = component.build(root, **options), component.build(root, **options)
    _require(isinstance(first, Dataset), f"build returned {type(first).__name__}, not a Dataset")
    _require(set(component.gives) <= first.splits.keys(), f"the dataset does not give {component.gives}")
    loader = ImageLoader(ImageTransform(size=(2, 2)))
    loader(pickle.loads(pickle.dumps(first.samples("train")[0].image)))
    for split in first.splits:
        samples = first.samples(split)
        names = [sample.name for sample in samples]
        _require(len(set(names)) == len(names), f"names repeat in {split}")
        _require(names == [s.name for s in second.samples(split)], f"{split} differs from build to build")
        _require(all(s.label is not None for s in samples), f"{split} has samples without a label")


def check_source(component: Component, location: str, **options: Any) -> None:
    """A source: unique names in the same order each time, entries that can be pickled and read, reasons for the rest.

    Args:
        component: From ``register_sources``.
        location: Where it has at least one image.
        options: For ``build``.
    """
    check_options_are_keywords(component)
    first, second = component.build(location, **options), component.build(location, **options)
    names = [entry.name for entry in first.entries]
    _require(isinstance(first.location, str), "the location of a source is text")
    _require(bool(names) and len(set(names)) == len(names), "the names of a source are at least one, and unique")
    _require(names == [entry.name for entry in second.entries], "the entries differ from build to build")
    _require([entry.name for entry in first.entries[:2]] == names[:2], "the entries are no sequence")
    loader = ImageLoader(ImageTransform(size=(2, 2)))
    pixels, again = loader(first.entries[0]), loader(pickle.loads(pickle.dumps(first.entries[0])))
    np.testing.assert_array_equal(again, pixels)
    texts = [text for one in first.skipped for text in (one.name, one.reason)]
    _require(all(isinstance(text, str) for text in texts), "what is skipped has a name and a reason")


def check_decoder(component: Component, encoded: bytes, pixels: NDArray[np.uint8]) -> None:
    """A decoder: the right pixels for good bytes, an exception for bad ones, one by one and several at once.

    Args:
        component: From ``register_decoders``.
        encoded: An image in one of its formats.
        pixels: What it shows, uint8 (H, W, 3).
    """
    check_options_are_keywords(component)
    decoder = component.build()
    _require(bool(decoder.formats), "a decoder names its formats")
    decoded = decoder(encoded)
    _require(decoded.dtype == np.uint8 and decoded.ndim == 3, f"pixels are {decoded.dtype} {decoded.shape}")
    np.testing.assert_array_equal(decoded, pixels)
    for bad in (b"", b"not an image", encoded[: len(encoded) // 2]):
        try:
            decoder(bad)
        except Exception:  # noqa: BLE001  any exception is right
            continue
        raise AssertionError(f"{component.name} decoded {bad[:16]!r} without an error")
    if hasattr(decoder, "decode_batch"):
        check_batches(decoder, encoded, pixels)


def check_backend(
    component: Component,
    model_path: Path,
    reference: NDArray[np.float32],
    features: NDArray[np.float32] | None = None,
) -> None:
    """A backend: the logits of :func:`images_for` at any batch size, and what it says about itself.

    Args:
        component: From ``register_backends``.
        model_path: An .onnx file with a card.
        reference: The logits (N, K) it must give for ``images_for(card, N)``.
        features: The features (N, D) for them, for a backend that has ``with_features``.
    """
    from clsbench.inference import backend as inference
    from clsbench.model_file import read_card

    check_options_are_keywords(component)
    backend = component.build(model_path, "cpu")
    images = images_for(read_card(model_path), len(reference))
    try:
        for size in (1, len(images)):
            parts = [images[i : i + size] for i in range(0, len(images), size)]
            logits = np.concatenate([inference.classify(backend, part, reference.shape[1]) for part in parts])
            np.testing.assert_allclose(logits, reference, rtol=1e-3, atol=1e-4)
            if features is not None:
                dim = features.shape[1]
                both = [inference.classify_with_features(backend, part, logits.shape[1], dim) for part in parts]
                np.testing.assert_allclose(np.concatenate([one for one, _ in both]), reference, rtol=1e-3, atol=1e-4)
                np.testing.assert_allclose(np.concatenate([one for _, one in both]), features, rtol=1e-3, atol=1e-4)
        inference.check_backend(backend)
        inference.allocate(backend, (2, *images.shape[1:]), 2)
    finally:
        backend.close()


def check_executor(component: Component, model_path: Path, entries: Sequence[Entry]) -> None:
    """An executor: the rows of ``serial`` in the same order, run after run, and what it ran on.

    Args:
        component: From ``register_executors``.
        model_path: An .onnx file with a card; of one with features these have to come too.
        entries: Images, readable or not.
    """
    from clsbench.inference.executors import SerialExecutor
    from clsbench.inference.job import Execution, JobSpec
    from clsbench.model_file import read_card

    check_options_are_keywords(component)
    engine = Opener(installed("backend", "onnxruntime").build, {}, "clsbench/onnxruntime")
    card = read_card(model_path)
    spec = JobSpec(model=model_path, card=card, backend=engine, device="cpu", features=card.feature_dim is not None)
    wanted = list(SerialExecutor().run(spec, entries))
    executor = component.build()
    for _ in range(2):
        found = list(executor.run(spec, entries))
        for column in ("names", "errors"):
            rows, right = ([row for block in blocks for row in getattr(block, column)] for blocks in (found, wanted))
            _require(rows == right, f"the {column} are not those of the serial executor: {rows} instead of {right}")
        for column in ("logits", *(["features"] if spec.features else [])):
            missing = any(getattr(block, column) is None for block in found)
            _require(not missing, f"the blocks have no {column} although the job asks for them")
            ours, right_ones = (np.concatenate([getattr(one, column) for one in blocks]) for blocks in (found, wanted))
            np.testing.assert_allclose(ours, right_ones, rtol=1e-3, atol=1e-4)
        _require(isinstance(executor.execution, Execution), "execution is not a clsbench.Execution after the run")
    _require(not list(executor.run(spec, [])), "blocks were yielded although there are no images")


def check_writer(component: Component, path: Path) -> list[str]:
    """A writer: a whole file after success, none after a failure.

    Args:
        component: From ``register_writers``.
        path: Where to write; must not exist.

    Returns:
        The names that were written, in order, to be looked for in the file.
    """
    check_options_are_keywords(component)
    card = ModelCard(classes=("a", "b,\n"), transform=ImageTransform(size=(2, 2)), feature_dim=2)
    own = {"features": True} if "features" in option_types(component.build) else {}
    logits = np.array([[2, 1], [np.nan, np.nan], [0, 3]], np.float32)
    names = ["x/1.png", "broken, file.png", "ü.png"]
    batch = Predictions(names, logits, [None, "damaged", None], np.array([0, -1, 0]), features=logits)
    try:
        with component.build(path, card, topk=2, **own) as writer:
            writer.write(batch)
            raise InterruptedError
    except InterruptedError:
        _require(not path.exists(), "an unfinished file has its final name although the job was interrupted")
    with component.build(path, card, topk=2, **own) as writer:
        writer.write(batch)
        writer.write(batch)
    _require(path.is_file(), "no file was written")
    return names * 2


def check_metric(component: Component) -> None:
    """A metric: values that JSON can hold and as declared, for usual and for degenerate outcomes."""
    check_options_are_keywords(component)
    metric = component.build()
    classes = tuple("abcdefg")
    for labels, ranked in (([0, 1, 2], [[0, 1], [0, 1], [2, 0]]), ([3], [[3, 1]]), ([3], [[1, 3]])):
        confidence = np.full(len(labels), 0.5, np.float32)
        outcomes = Outcomes(classes, np.array(labels), np.array(ranked), confidence, confidence)
        found = run_metrics(outcomes, [(component.name, metric)])
        _require(not found.errors, "; ".join(found.errors.values()))
        _require(bool(found.values), "a metric returns a dict of values")


def images_for(card: ModelCard, count: int) -> NDArray[np.uint8]:
    """The kit's images in the size a model wants: uint8 (count, h, w, 3)."""
    return _images(count, card.transform.size)


def _images(count: int, size: Sequence[int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def _empty() -> Any:
    import inspect

    return inspect.Parameter.empty


def _require(true: bool, message: str) -> None:
    if not true:
        raise AssertionError(message)


__all__ = [
    "check_backend",
    "check_dataset",
    "check_decoder",
    "check_executor",
    "check_metric",
    "check_model",
    "check_source",
    "check_writer",
    "images_for",
    "installed",
]
