"""What the gate measured, as cards and ``--json`` have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clsbench.errors import ModelError
from clsbench.json_fields import read_fields
from clsbench.text import counted


@dataclass(frozen=True)
class BatchParity:
    """Agreement of a file with its network at one batch size.

    Args:
        batch_size: N of each call.
        top1_agreement: Images with the same top-1, as a fraction.
        max_probability_difference: The largest of all images and classes; infinite for NaN.
        images: How many images were run at this size; None for all.
    """

    batch_size: int
    top1_agreement: float
    max_probability_difference: float
    images: int | None = None


@dataclass(frozen=True)
class StageDifference:
    """What one stage of the way from an encoded image to its probabilities does to them.

    Args:
        stage: ``decode``, ``resize``, ``normalise``, ``graph`` (``precision`` where the weights are not float32),
            ``temperature`` or ``batch``; ``reference`` where the network itself gives numbers that are not finite.
        difference: The largest change of a probability by swapping this stage alone; infinite for NaN.
    """

    stage: str
    difference: float


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """What the gate measured when a file was compared with the network it came from, from encoded images on.

    Args:
        images: How many images were compared.
        batches: One entry for each batch size.
        tolerance: The largest probability difference allowed; None if it was not limited. Smaller than what was asked
            for where no probability of the network is above 0.1.
        passed: Whether the file may be used.
        accuracy: Top-1 of the file as a fraction, the lowest over the batch sizes; None without labels.
        reference_accuracy: The same of the network.
        max_drop: The largest loss of accuracy allowed, in percentage points; None if every top-1 had to agree.
        lost, gained: Labelled images that only the network, or only the file, has right; None without labels.
        drop_interval: The 95 % interval of the loss of accuracy, in percentage points, by the paired bootstrap.
        expected_drop: Without labels, where accuracy was to be judged: the loss that the network's own probabilities
            expect of the flips, in percentage points.
        unreadable: Images that could not be read and were left out.
        mean_probability_difference: Over all images and classes; None for NaN.
        flips: Images with another top-1.
        near_ties: The same where the network's two best classes are closer than twice what is allowed: not counted.
        flipped: Names of some images with another top-1.
        required_tolerance: The smallest tolerance that would pass; None where none would.
        pixel_difference: What decoding and resizing alone move, where the network's images were read by another
            library and this was measured apart; else None. So are:
        pixel_tolerance: What that may be.
        network_difference: The largest difference on the same pixels, which ``tolerance`` is then for.
        stages: What each stage moves, of a file that did not pass.
        blamed: The stage that moves most.
        device: What the file ran on, such as ``cuda``; None for a CPU.
        tf32: Whether that multiplied float32 with the 10 bits of TF32.
    """

    images: int
    batches: tuple[BatchParity, ...]
    tolerance: float | None
    passed: bool
    accuracy: float | None = None
    reference_accuracy: float | None = None
    max_drop: float | None = None
    lost: int | None = None
    gained: int | None = None
    drop_interval: tuple[float, float] | None = None
    expected_drop: float | None = None
    unreadable: int = 0
    mean_probability_difference: float | None = None
    flips: int | None = None
    near_ties: int | None = None
    flipped: tuple[str, ...] = ()
    required_tolerance: float | None = None
    pixel_difference: float | None = None
    pixel_tolerance: float | None = None
    network_difference: float | None = None
    stages: tuple[StageDifference, ...] = ()
    blamed: str | None = None
    device: str | None = None
    tf32: bool | None = None

    def __repr__(self) -> str:
        word, most = "passed" if self.passed else "failed", self.max_probability_difference
        return f"<GateReport: {word}, {counted(self.images, 'image')}, probabilities differ by at most {most:.3g}>"

    def __post_init__(self) -> None:
        if not self.batches:
            raise ModelError("a gate's report names no batch size", got="batches: []")

    @property
    def drop(self) -> float | None:
        """The loss of accuracy in percentage points, or the one to expect; None where neither is known."""
        if self.accuracy is None or self.reference_accuracy is None:
            return self.expected_drop
        return 100 * (self.reference_accuracy - self.accuracy)

    @property
    def code(self) -> str | None:
        """Of :mod:`clsbench.finding_codes`, where it did not pass: of accuracy that is lost, or of parity."""
        if self.passed:
            return None
        return "CB-G002" if self.max_drop is not None and self.tolerance is None else "CB-G001"

    @property
    def top1_agreement(self) -> float:
        """The smallest over the batch sizes, as a fraction."""
        return min(b.top1_agreement for b in self.batches)

    @property
    def max_probability_difference(self) -> float:
        """The largest over the batch sizes."""
        return max(b.max_probability_difference for b in self.batches)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the card and ``--json``; beyond the first facts only those that there are."""
        plain = {field.name: field.default for field in dataclasses.fields(self)}
        values = dataclasses.asdict(self)
        first = {name: values.pop(name) for name in ("images", "batches", "tolerance", "passed")}
        return {
            **first,
            "batches": [{k: v for k, v in batch.items() if v is not None} for batch in first["batches"]],
            "top1_agreement": self.top1_agreement,
            "max_probability_difference": self.max_probability_difference,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v != plain[k]},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, where: object = None) -> GateReport:
        """The inverse of :meth:`to_json`.

        Raises:
            ModelError: if a field is missing or of another type.
        """
        return read_fields(cls, values, what="a gate's report", where=where)
