"""The gate that an int8 file carries: a few images, and what its float32 parent and the file itself said of them.

Engines read quantized graphs in their own way, so that a file proved in one of them can be fast and wrong in another.
A backend that the file was not proved on therefore classifies the carried images first. They are JPEGs of the
network's own size, decoded in the same way everywhere; they stand as JSON under a second metadata key of the file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.errors import ClsbenchError, ModelError
from clsbench.images.entries import BytesEntry
from clsbench.images.formats import sniff
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, DeviceInfo, classify
from clsbench.json_fields import parse_object, read_fields
from clsbench.model_file import read_card
from clsbench.onnx_file import read_onnx
from clsbench.text import counted, on_one_line, printable, shortened, some

#: The ONNX metadata key, and the version of the JSON under it.
METADATA_KEY = "clsbench.carried_gate"
SCHEMA = 1

#: The largest text under the key that is read, and the most images in it.
LARGEST, MOST = 1 << 24, 64

#: How far engines may move the probabilities of an int8 file that they all read rightly. EfficientNet-Lite0 on 398
#: photos, ONNX Runtime against OpenVINO: at most 0.15, on average 0.016, and no top-1 with a margin above 0.12 differs.
AT_MOST, ON_AVERAGE = 0.3, 0.06

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Carried:
    """What a file carries.

    Args:
        pixels: uint8 (n, h, w, 3), the network's input.
        parent: float32 (n, K), logits of the file's parent.
        said: float32 (n, K), logits of the file where it was made.
        classes: K names, of the card.
        backend: Where that was, as in the card's ``proved_on``.
        processor: Of that machine.
    """

    pixels: Pixels
    parent: Logits
    said: Logits
    classes: tuple[str, ...]
    backend: str = ""
    processor: str = ""


@dataclass(frozen=True)
class OtherAnswer:
    """A carried image that another engine answers otherwise; classes by their names.

    Args:
        image: Its number, from 1.
        here: The top-1 of the backend.
        said: That of the file where it was made.
        parent: That of its parent.
        clear: Whether it was no near tie.
    """

    image: int
    here: str
    said: str
    parent: str
    clear: bool

    def __str__(self) -> str:
        names = (self.here, self.said, self.parent)
        here, said, parent = (on_one_line(printable(shortened(name, 40))) for name in names)
        return f"image {self.image}: {here}, not {said}" + ("" if said == parent else f" (its parent: {parent})")


@dataclass(frozen=True)
class Agreement:
    """What a backend makes of the carried images.

    Args:
        images: How many there are.
        others: Those with another top-1 than the file had where it was made.
        largest, mean: Over the images: the largest change of a probability, at most and on average; infinite for NaN.
    """

    images: int
    others: tuple[OtherAnswer, ...]
    largest: float
    mean: float

    @property
    def passed(self) -> bool:
        """Whether the backend reads the file as it was meant."""
        return not any(other.clear for other in self.others) and self.mean <= ON_AVERAGE and self.largest <= AT_MOST

    def __str__(self) -> str:
        differ = f"{len(self.others)} of {counted(self.images, 'carried image')} get another top-1"
        names = some([str(other) for other in self.others])
        moved = f"probabilities differ by at most {self.largest:.3g}, on average {self.mean:.3g}"
        return f"{differ}, {moved}{': ' if names else ''}{names}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "others": [asdict(other) for other in self.others], "passed": self.passed}


@dataclass(frozen=True)
class CarriedText:
    """The JSON: images and logits, float32 little-endian (n, K), as base64."""

    schema: int
    images: tuple[str, ...]
    parent: str
    said: str
    backend: str
    processor: str


def proof_name(backend: str, device: DeviceInfo) -> str:
    """How a card's ``proved_on`` calls a backend on a device: ``openvino``, ``onnxruntime:cuda``."""
    return backend if device.device == "cpu" else f"{backend}:{device.device}"


def decoded(images: Sequence[bytes], card: ModelCard) -> Pixels:
    """uint8 (n, h, w, 3) of JPEGs as a file carries them.

    Raises:
        ClsbenchError: if one is no JPEG of the network's size.
    """
    h, w = card.transform.size
    if odd := [k for k, image in enumerate(images, 1) if sniff(image) != "jpeg"]:
        raise ModelError("a carried image is no JPEG", got=f"image {odd[0]}")
    loader = ImageLoader(card.transform, max_pixels=h * w)
    made = [loader.pixels(BytesEntry(f"carried image {k}", image)) for k, image in enumerate(images, 1)]
    for k, pixels in enumerate(made, 1):
        if pixels.shape != (h, w, 3):
            raise ModelError(
                "a carried image has another size than the network takes", got=f"image {k}: {pixels.shape[:2]}",
                expected=f"{(h, w)}",
            )  # fmt: skip
    return np.stack(made)


def read_carried(file: Path) -> Carried | None:
    """What a file carries; None where it carries nothing.

    Args:
        file: A model file with a card.

    Raises:
        ModelError: if the file cannot be read, or what it carries is damaged.
    """
    text, card = read_onnx(file).metadata.get(METADATA_KEY), read_card(file)
    if text is None:
        return None
    what = "the images that the model file carries"
    if len(text) > LARGEST:
        raise ModelError(
            f"{what} cannot be read", where=file, got=f"{len(text):,} characters", expected=f"{LARGEST:,} at most"
        )
    found = read_fields(CarriedText, parse_object(text, what=what, where=file), what=what, where=file)
    if found.schema > SCHEMA:
        raise ModelError(
            f"{what} are of an unknown schema", where=file, got=found.schema, expected=f"at most {SCHEMA}",
            hint="pip install --upgrade clsbench", code="CB-M009",
        )  # fmt: skip
    count, classes = len(found.images), len(card.classes)
    if not 1 <= count <= MOST:
        raise ModelError(f"{what} cannot be read", where=file, got=counted(count, "image"), expected=f"1 to {MOST}")
    try:
        pixels = decoded([_plain(image) for image in found.images], card)
        parent, said = (_logits(each, count, classes) for each in (found.parent, found.said))
    except ClsbenchError as error:
        raise ModelError(
            f"{what} cannot be read", where=file, got=error.one_line(), hint="get the file again, or export it again"
        ) from None
    return Carried(pixels, parent, said, card.classes, found.backend, found.processor)


def agree(backend: Backend, carried: Carried) -> Agreement:
    """Let a backend classify the carried images, and compare with what the file said where it was made.

    Args:
        backend: With the file in it.
        carried: Of the file.

    Raises:
        PluginError, ModelError: if the backend returns something else than logits.
    """
    size, classes = backend.batch_size, carried.classes
    starts = range(0, len(carried.pixels), size)
    parts = [classify(backend, carried.pixels[k : k + size], len(classes)) for k in starts]
    here, said = _probabilities(np.concatenate(parts)), _probabilities(carried.said)
    moved = np.abs(here - said).max(axis=1)
    moved[~np.isfinite(moved)] = np.inf
    second, best = np.sort(said, axis=1)[:, -2:].T
    answers = here.argmax(axis=1), said.argmax(axis=1), carried.parent.argmax(axis=1)
    others = tuple(
        OtherAnswer(
            image=k + 1,
            here=classes[answers[0][k]],
            said=classes[answers[1][k]],
            parent=classes[answers[2][k]],
            clear=bool(best[k] - second[k] > AT_MOST),
        )
        for k in np.flatnonzero(answers[0] != answers[1]).tolist()
    )
    return Agreement(len(said), others, float(moved.max()), float(moved.mean()))


def refusal(found: Agreement, file: Path, backend: str, card: ModelCard, *, hint: str) -> ModelError:
    """The error for a backend that answers otherwise; names the labels that differ.

    Args:
        found: What it answered.
        file: The model file.
        backend: Its name.
        card: Of the file.
        hint: What to do.
    """
    return ModelError(
        f"{backend} does not answer as this {card.precision} file was meant to", where=file,
        got=found,
        expected=f"what it answers on {' and '.join(card.proved_on) or card.made_for}, where it was proved",
        hint=hint, code="CB-G005",
    )  # fmt: skip


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ModelError("a text is not base64", got=error) from None


def _logits(text: str, count: int, classes: int) -> Logits:
    content = _plain(text)
    if len(content) != 4 * count * classes:
        raise ModelError(
            "the logits have another size", got=f"{len(content):,} bytes",
            expected=f"{counted(count, 'image')} of {counted(classes, 'class')}",
        )  # fmt: skip
    logits = np.frombuffer(content, "<f4").reshape(count, classes).astype(np.float32)
    if not np.isfinite(logits).all():
        raise ModelError("the logits are not finite numbers")
    return logits


def _probabilities(logits: Logits) -> NDArray[np.float64]:
    """float64 (n, K): softmax."""
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares
