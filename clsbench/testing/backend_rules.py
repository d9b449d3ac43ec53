"""Rules for backends: the reference's logits for any batch, and the truth about the device.

Legend: N images, K classes, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.errors import DeviceError, ModelError, OptionError
from clsbench.inference import backend as inference
from clsbench.inference import onnxruntime_backend, reference_backend
from clsbench.model_file import read_card
from clsbench.testing.component_rules import SENT_RULES, check_built
from clsbench.testing.rules import NotChecked, Subject, require, rule
from clsbench.testing.samples import CARD, images_for, write_model

#: The largest batch that is compared; all smaller ones are too.
LARGEST = 5

#: By how much float32 logits may differ, relative and absolute; of other precisions, a probability.
RTOL, ATOL, PROBABILITY = 1e-3, 1e-4, 0.1


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build(model_path, device)`` opens a model file with a card on the device."""
    with _file(subject) as file:
        backend = subject.opened(file, _device(subject), device="device")
        check_built(subject, backend)
        backend.close()


@rule("builds")
def says_how_to_be_called(subject: Subject) -> None:
    """``device`` is a :class:`clsbench.DeviceInfo`; ``streams``, ``threads`` and ``batch_size`` are at least 1."""
    with _opened(subject) as backend:
        inference.check_backend(backend)


@rule("builds")
def device_is_the_truth(subject: Subject) -> None:
    """It runs where it was asked to run and says so; a device that there is not is a DeviceError or OptionError."""
    asked = _device(subject)
    with _opened(subject) as backend:
        found = backend.device.device
        require(asked == "auto" or found == asked.partition(":")[0], f"asked for {asked}, it says it runs on {found}")
    try:
        with _opened(subject, device="no-such-device") as backend:
            found = backend.device.device
    except (DeviceError, OptionError):
        return
    raise AssertionError(f"asked for no-such-device, it opened without an error, on {found}")


@rule("builds", "says-how-to-be-called")
def agrees_with_the_reference(subject: Subject) -> None:
    """For N = 1 to 5 it returns float32 (N, K), the logits of the reference."""
    card, (reference, _) = _card(subject), _reference(subject)
    images = images_for(card, LARGEST)
    with _opened(subject) as backend:
        for count in range(1, LARGEST + 1):
            logits = inference.classify(backend, images[:count], len(card.classes))
            _near(logits, reference[:count], f"N = {count}", backend)


@rule("builds", "says-how-to-be-called", "agrees-with-the-reference")
def empty_batch(subject: Subject) -> None:
    """No images give no logits, float32 (0, K), and no error."""
    card = _card(subject)
    with _opened(subject) as backend:
        inference.classify(backend, images_for(card, 1)[:0], len(card.classes))


@rule("builds", "says-how-to-be-called", "agrees-with-the-reference")
def logits_stay(subject: Subject) -> None:
    """A later call changes neither earlier logits nor the images it is given."""
    images = images_for(_card(subject), 2)
    given = images.copy()
    with _opened(subject) as backend:
        logits = backend(given)
        before = logits.copy()
        require(np.array_equal(given, images), "it changed the images that it was given")
        backend(255 - images)
        require(np.array_equal(logits, before), "a later call changed the logits of an earlier one")


@rule("builds", "says-how-to-be-called", "agrees-with-the-reference", "logits-stay")
def threads_share_it(subject: Subject) -> None:
    """Calls from four threads at once return what single calls do: that is how it is used."""
    images, (reference, _) = images_for(_card(subject), LARGEST), _reference(subject)
    rows = [k % LARGEST for k in range(40)]
    with _opened(subject) as backend, ThreadPoolExecutor(4) as pool:
        for row, logits in zip(rows, pool.map(lambda row: backend(images[row : row + 1]), rows), strict=True):
            _near(logits, reference[row : row + 1], f"image {row + 1}, called from threads", backend)


@rule("builds", "says-how-to-be-called")
def memory_can_be_used(subject: Subject) -> None:
    """``allocate`` gives uint8 of the shape, contiguous, writable and new at each call."""
    with _opened(subject) as backend:
        inference.allocate(backend, (2, *_card(subject).transform.size, 3), 2)


@rule("builds", "says-how-to-be-called", "agrees-with-the-reference")
def features_agree_too(subject: Subject) -> None:
    """``with_features``, if it has one, returns the same logits, and the reference's features float32 (N, D)."""
    card, (reference, features) = _card(subject), _reference(subject)
    with _opened(subject) as backend:
        if features is None or not hasattr(backend, "with_features"):
            raise NotChecked("it gives no features" if features is not None else "the model file gives no features")
        for count in (1, LARGEST):
            images = images_for(card, count)
            logits, found = inference.classify_with_features(backend, images, len(card.classes), features.shape[1])
            _near(logits, reference[:count], f"N = {count}, logits", backend)
            _near(found, features[:count], f"N = {count}, features", backend)


@rule("builds")
def rubbish_is_a_model_error(subject: Subject) -> None:
    """A missing or empty file, rubbish, and a file without a card are each a ModelError: no crash, and no guess."""
    with TemporaryDirectory() as folder:
        bare = _without_card(Path(folder) / "bare.onnx")
        for what, data in (("a missing file", None), ("an empty file", b""), ("rubbish", b"\x08\x07rubbish")):
            file = Path(folder) / "rubbish.onnx"
            if data is not None:
                file.write_bytes(data)
            _refuses(subject, file, what)
        _refuses(subject, bare, "a file without a card")


@rule("builds", "rubbish-is-a-model-error")
def a_wrong_card_is_a_model_error(subject: Subject) -> None:
    """A graph with more logits than its card has classes is a ModelError: names would go to wrong classes."""
    with TemporaryDirectory() as folder:
        file = write_model(Path(folder) / "wrong.onnx", classes=len(CARD.classes) + 1)
        _refuses(subject, file, "a graph of 4 logits with a card of 3 classes")


def _refuses(subject: Subject, file: Path, what: str) -> None:
    try:
        backend = subject.build(file, _device(subject))
    except ModelError:
        return
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__} instead of a ModelError: {error}") from error
    backend.close()
    raise AssertionError(f"{what} was opened without an error")


def _without_card(file: Path) -> Path:
    import onnx

    write_model(file)
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, file)
    return file


@contextmanager
def _opened(subject: Subject, device: str | None = None) -> Iterator[Any]:
    with _file(subject) as file:
        backend = subject.build(file, device or _device(subject))
        try:
            yield backend
        finally:
            backend.close()


@contextmanager
def _file(subject: Subject) -> Iterator[Path]:
    """The author's model, or the kit's."""
    if "model" in subject.inputs:
        yield Path(subject.input("model"))
        return
    with TemporaryDirectory() as folder:
        yield write_model(Path(folder) / "model.onnx")


def _device(subject: Subject) -> str:
    return str(subject.input("device", "cpu"))


def _card(subject: Subject) -> ModelCard:
    with _file(subject) as file:
        return read_card(file)


def _reference(subject: Subject) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Logits (N, K) and features (N, D) of the kit's images: the author's, or by ONNX's reference evaluator.

    A model of the author's is run in ONNX Runtime, as the evaluator would take minutes.
    """
    if "reference" in subject.inputs:
        logits = np.asarray(subject.input("reference"), np.float32)
        return logits, subject.input("features")

    def run() -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        build: Callable[..., Any] = onnxruntime_backend.build if "model" in subject.inputs else reference_backend.build
        with _file(subject) as file:
            card, backend = read_card(file), build(file, "cpu")
            images = images_for(card, LARGEST)
            found = backend.with_features(images) if card.feature_dim else (backend(images), None)
            backend.close()
        return found

    answers: tuple[NDArray[np.float32], NDArray[np.float32] | None] = subject.fact("answer of the reference", run)
    return answers


def _near(found: NDArray[np.float32], right: NDArray[np.float32], what: str, backend: Any) -> None:
    """Nearly the same numbers; of a backend that says it computes in fewer bits, nearly the same probabilities."""
    require(found.shape == right.shape, f"{what}: {found.shape} instead of {right.shape}")
    if getattr(backend.device, "precision", None) in (None, "float32"):
        close, apart = np.isclose(found, right, RTOL, ATOL).all(), np.abs(found - right).max(initial=0)
    else:
        apart = np.abs(_softmax(found) - _softmax(right)).max(initial=0)
        close = apart <= PROBABILITY
    require(close, f"{what}: up to {apart:.2g} from the reference")


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


RULES = (
    *SENT_RULES,
    builds,
    says_how_to_be_called,
    device_is_the_truth,
    agrees_with_the_reference,
    empty_batch,
    logits_stay,
    threads_share_it,
    memory_can_be_used,
    features_agree_too,
    rubbish_is_a_model_error,
    a_wrong_card_is_a_model_error,
)
