"""The gate: a file must say what its network says, from the encoded image to the probabilities.

Real images go through two paths: the reference's, as training (or the original's stated preprocessing) reads and
classifies them, and inference's, exactly as ``infer`` runs the file. A file that does not pass is not handed out, and
the stage that moves the probabilities most is named.

The rule. The largest difference of a probability may be :data:`TOLERANCE`. Where the reference reads its images with
another library than inference does, what decoding and resizing move may be up to the reference's ``pixel_tolerance``,
and what is left on the same pixels up to the tolerance. Another top-1 is a flip where the reference's two best classes
are further apart than twice what is allowed; closer ones are counted as near ties. Where all probabilities of the
reference are below a tenth, as an untrained network's of many classes, the tolerance shrinks with the largest of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError, OptionError
from clsbench.exporting.gate_accuracy import accuracy_of, cost, finite, lowest_accuracy, of_all_images, other_answers
from clsbench.exporting.gate_blame import Passes, Swaps, blamed, largest_difference
from clsbench.exporting.gate_images import GateImages, spread
from clsbench.exporting.gate_paths import InferencePath, Pixels, ReferencePath, probabilities, readable
from clsbench.gate_report import BatchParity, GateReport
from clsbench.images.entries import Entry
from clsbench.inference.backend import DeviceInfo
from clsbench.text import counted

#: The largest probability difference that passes. float32 on two engines differs by some
#: 1e-6; a wrong mean, crop or layer differs by 1e-2 and more.
TOLERANCE = 1e-3

#: The same for float16 against another precision. On 396 photos EfficientNet-Lite0's probabilities move by 0.0068 at
#: most (median 0.0008) and no top-1 changes; with another mean and standard deviation they move by 0.92.
FLOAT16_TOLERANCE = 0.02

#: The same for bfloat16, which has three bits less: in OpenVINO EfficientNet-Lite0 moves by 0.057 at most on 398 photos
#: (median 0.006), by 0.077 on 64 crops; top-1 changes for six of them, whose two best classes are within 0.03.
BFLOAT16_TOLERANCE = 0.1

#: What may differ where one of two forms alone has a precision.
TOLERANCES = {"bfloat16": BFLOAT16_TOLERANCE, "float16": FLOAT16_TOLERANCE}
#: The loss of accuracy, in percentage points, that int8 may bring.
INT8_DROP = 0.5

#: Batch sizes tried beside the plan's: one is the exporters' favourite special case, an odd one is nobody's.
SMALL_BATCHES = (1, 3)

#: Images that the small batches are tried on, spread evenly, whole batches of 3; all go through the plan's.
PART = 18

#: The largest probability below which the tolerance shrinks.
NEAR_UNIFORM = 0.1

#: How many flipped images are named.
NAMED = 5


@dataclass(frozen=True)
class Gate:
    """What a file must show to pass. By default every top-1 must agree, and every probability nearly.

    Args:
        max_drop: The largest loss of top-1 accuracy on labelled images, in percentage points of the
            network's; single images may then differ. None: every top-1 must be the network's.
        tolerance: The largest difference of a probability, by the rule of :mod:`clsbench.exporting.gate`; None for no
            limit.
        expected: Whether ``max_drop`` may be judged without labels, by the loss that the network's own probabilities
            expect: the mean over the images of p(its top-1) - p(the file's top-1), which is 0 where both are the same.
            An overconfident network expects too much.

    Raises:
        OptionError: if a number is negative or not finite.
    """

    max_drop: float | None = None
    tolerance: float | None = TOLERANCE
    expected: bool = False

    def __post_init__(self) -> None:
        for name, value in (("max_drop", self.max_drop), ("tolerance", self.tolerance)):
            if value is not None and not 0 <= value < math.inf:
                raise OptionError(f"the gate's {name} is out of range", got=value, expected="a number of at least 0")


def gate_between(*precisions: str) -> Gate:
    """The gate by default between two forms of a network: that of int8, float16 or bfloat16 where one alone has it.

    Args:
        precisions: Of each form; where it computes in several, these with a plus: ``bfloat16+float32``.
    """
    if len(set(precisions)) > 1 and "int8" in precisions:
        return Gate(max_drop=INT8_DROP, tolerance=None, expected=True)
    parts = {part for precision in precisions for part in precision.split("+")}
    apart = [TOLERANCES[name] for name in parts & TOLERANCES.keys()] if len(set(precisions)) > 1 else []
    return Gate(tolerance=max(apart, default=TOLERANCE))


def gate_on(device: DeviceInfo, *precisions: str) -> Gate:
    """The same where the file runs on a device: TF32 keeps as many bits as float16, and is held to what that is."""
    return gate_between(*precisions, *(("float16",) if device.tf32 and "float32" in precisions else ()))


def ran_on(device: DeviceInfo, report: GateReport) -> GateReport:
    """A report that says where the file ran, if not on a CPU."""
    if device.device == "cpu":
        return report
    return dataclasses.replace(report, device=device.device, tf32=device.tf32)


def check_labels(gate: Gate, images: GateImages) -> None:
    """Refuse a gate of accuracy without labels.

    Raises:
        DataError: if ``max_drop`` is set and the images have no labels.
    """
    if gate.max_drop is not None and images.labels is None and not gate.expected:
        raise DataError(
            "the gate's max_drop needs labelled images", got=f"{counted(len(images), 'image')} without labels"
        )


@dataclass(frozen=True)
class Known:
    """What the reference says of the images of a gate; may be compared with several files.

    Args:
        entries: The images that it can read.
        pixels: Its own of these, uint8 (n, h, w, 3).
        rows: Their positions among all images.
        logits: float32 (n, K).
    """

    entries: Sequence[Entry]
    pixels: Pixels
    rows: Sequence[int]
    logits: NDArray[np.float32]


def ask(reference: ReferencePath, images: GateImages, heard: Callable[[int], None] = lambda count: None) -> Known:
    """Let the reference classify the images.

    Args:
        reference, images, heard: As for :func:`measure`.

    Raises:
        DataError: if no image can be read.
    """
    entries, pixels, rows = _read(reference, images)
    heard(len(images) - len(entries))
    return Known(entries, pixels, rows, reference.logits(pixels, heard=heard))


def measure(
    reference: ReferencePath,
    inference: InferencePath,
    images: GateImages,
    gate: Gate | None = None,
    *,
    precision: str = "float32",
    known: Known | None = None,
    blame: bool = True,
    heard: Callable[[int], None] = lambda count: None,
) -> GateReport:
    """Send images through both paths and compare the probabilities, at batch sizes of 1, 3 and the plan's.

    Args:
        reference: What is right.
        inference: The file.
        images: The images; those that the reference cannot read are left out and counted.
        gate: What must be shown.
        precision: Of the file's weights.
        known: What the reference says of the images, if it has been asked already.
        blame: Whether to look for the stage to blame where the file does not pass.
        heard: Told how many images the reference's network has just classified, or left out.

    Raises:
        DataError: if accuracy is to be compared and there are no labels, or no image can be read.
    """
    gate = gate or Gate()
    check_labels(gate, images)
    known = known or ask(reference, images, heard)
    labels = None if images.labels is None else images.labels[known.rows]
    found = Swaps(
        reference=reference, inference=inference, entries=known.entries, pixels=known.pixels, logits=known.logits,
        passes=_passes(inference, known.entries), precision=precision,
    )  # fmt: skip
    return _judged(found, labels, gate, unreadable=len(images) - len(known.entries), blame=blame)


def _read(reference: ReferencePath, images: GateImages) -> tuple[list[Entry], Pixels, list[int]]:
    """The entries that the reference can read, their pixels uint8 (n, h, w, 3), and their positions."""
    made, reasons = readable(reference.pixels, images.entries)
    rows = [k for k, image in enumerate(made) if image is not None]
    if not rows:
        raise DataError(
            "none of the images for the gate can be read", got=next((r for r in reasons if r), "no images"),
            hint="name images that can be read: export --gate-images DIR, verify --images DIR",
        )  # fmt: skip
    return [images.entries[k] for k in rows], np.stack([image for image in made if image is not None]), rows


def _passes(inference: InferencePath, entries: Sequence[Entry]) -> Passes:
    """Batch size -> rows and logits: all images at the plan's, and some at each of the small ones."""
    some, everything = spread(len(entries), PART), np.arange(len(entries))
    full = min(inference.backend.batch_size, len(entries))
    rows = {**{min(size, len(entries)): some for size in SMALL_BATCHES}, full: everything}
    return {size: (rows[size], inference.run([entries[k] for k in rows[size]], size)) for size in sorted(rows)}


def _judged(found: Swaps, labels: NDArray[np.int64] | None, gate: Gate, *, unreadable: int, blame: bool) -> GateReport:
    """The verdict; the stages are looked at only where it is a bad one."""
    expected = probabilities(found.logits, found.reference.temperature)
    passes = {
        size: (rows, probabilities(logits, found.inference.temperature))
        for size, (rows, logits) in found.passes.items()
    }
    share = min(1.0, float(expected.max()) / NEAR_UNIFORM) if np.isfinite(expected).all() else 1.0
    limits = _Limits(gate.tolerance and gate.tolerance * share, found.reference.pixel_tolerance)
    batches = tuple(_batch(size, rows, got, expected) for size, (rows, got) in passes.items())
    network = total = max(batch.max_probability_difference for batch in batches)
    pixel = None
    if limits.apart and network > (limits.tolerance or 0.0):
        same = _on_inferences_pixels(found)
        pixel = largest_difference(expected, same)
        network = max(largest_difference(got, same[rows]) for rows, got in passes.values())
    flips, ties = other_answers(passes, expected, limits.allowed(apart=pixel is not None))
    accuracy, before = (
        (None, None) if labels is None else (lowest_accuracy(passes, labels), accuracy_of(expected, labels))
    )
    changed = cost(of_all_images(passes), expected, labels) if gate.max_drop is not None else {}
    drop = changed.get("expected_drop") if accuracy is None or before is None else 100 * (before - accuracy)
    if gate.max_drop is None:
        same_answers = not flips
    else:  # a hair more, so that a drop of exactly that many images passes
        same_answers = drop is not None and drop <= gate.max_drop + 1e-9
    passed = same_answers and limits.hold(network, pixel)
    stages = tuple(found.stages()) if blame and not passed else ()
    needed = total if pixel is not None and pixel > limits.pixels else network
    return GateReport(
        images=len(expected), batches=batches, tolerance=limits.tolerance, passed=passed, accuracy=accuracy,
        reference_accuracy=before, max_drop=gate.max_drop, **changed, unreadable=unreadable,
        mean_probability_difference=finite(np.abs(of_all_images(passes) - expected).mean()),
        flips=len(flips), near_ties=len(ties), flipped=tuple(found.entries[k].name for k in flips[:NAMED]),
        required_tolerance=finite(needed / share), pixel_difference=pixel,
        pixel_tolerance=None if pixel is None else limits.pixels,
        network_difference=None if pixel is None else network,
        stages=stages, blamed=blamed(stages, limits.ratio),
    )  # fmt: skip


@dataclass(frozen=True)
class _Limits:
    """What may differ: a probability, and what decoding and resizing may move, where that is more."""

    tolerance: float | None
    pixels: float

    @property
    def apart(self) -> bool:
        """Whether pixels have a limit of their own."""
        return bool(self.tolerance) and self.pixels > (self.tolerance or 0.0)

    @property
    def ratio(self) -> float:
        """How many times as far as other stages decoding and resizing may move a probability."""
        return self.pixels / self.tolerance if self.tolerance and self.apart else 1.0

    def allowed(self, *, apart: bool) -> float | None:
        """The largest difference of a probability from the encoded image on."""
        return self.tolerance if self.tolerance is None or not apart else self.tolerance + self.pixels

    def hold(self, network: float, pixel: float | None) -> bool:
        """Whether both differences are within their limits."""
        near = network < math.inf if self.tolerance is None else network <= self.tolerance
        return near and (pixel is None or pixel <= self.pixels)


def _on_inferences_pixels(found: Swaps) -> NDArray[np.float32]:
    """Probabilities of the reference's network on the pixels that inference makes; NaN where it makes none."""
    resized, _ = found.inference.pixels(found.entries)
    if found.inference.loader.transform.size != found.pixels.shape[1:3]:
        return np.full(found.logits.shape, np.nan, np.float32)
    logits = found.again(found.logits, list(found.pixels), resized)
    return probabilities(logits, found.reference.temperature)


def _batch(size: int, rows: NDArray[np.int64], got: NDArray[np.float32], expected: NDArray[np.float32]) -> BatchParity:
    agreement = float((got.argmax(axis=1) == expected[rows].argmax(axis=1)).mean())
    worst = np.abs(got - expected[rows]).max()
    return BatchParity(size, agreement, float(worst) if math.isfinite(worst) else math.inf, len(rows))
