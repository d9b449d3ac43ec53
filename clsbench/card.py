"""ModelCard: what a model file says about itself.

The card is JSON under one metadata key of the .onnx file, with a schema version. A file
with a card needs nothing else to be run: no torch, no plugin, no flags.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clsbench.errors import ModelError
from clsbench.json_fields import Scalar, parse_object, read_fields
from clsbench.text import some
from clsbench.transform import ImageTransform

#: The ONNX metadata key, and the version of the JSON under it.
METADATA_KEY = "clsbench.card"
SCHEMA = 1

#: The graph contract: uint8 (N, h, w, 3) in, float32 (N, K) out, N free.
INPUT_NAME, OUTPUT_NAME = "images", "logits"

#: The highest temperature, and the inverse of the lowest: what lies beyond is no calibration, and float32 has an end.
HOTTEST = 1e6


@dataclass(frozen=True)
class ModelSource:
    """Where a network came from.

    Args:
        name: Of the model component, qualified by its plugin.
        distribution, version: That the plugin was installed from.
        options: That it was built with.
        head: Its text, such as ``linear``; None for a network with its original head.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    options: Mapping[str, Scalar] = field(default_factory=dict)
    head: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = dataclasses.asdict(self)
        return values if self.head is not None else {k: v for k, v in values.items() if k != "head"}


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
    """

    images: int
    batches: tuple[BatchParity, ...]
    tolerance: float | None
    passed: bool
    accuracy: float | None = None
    reference_accuracy: float | None = None
    max_drop: float | None = None
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

    def __post_init__(self) -> None:
        if not self.batches:
            raise ModelError("a gate's report names no batch size", got="batches: []")

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


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything needed to use a model file, and where it came from.

    Args:
        classes: Unique names; position k names logit k.
        transform: How images become the input pixels.
        precision: Of the weights: ``float32``, ``float16``, ``int8``.
        temperature: Divides the logits before softmax, where the model was calibrated.
        model: Where the network came from, if that is known.
        training: A summary of the run that made it; empty for a network exported as it is.
        parity: What the gate measured; None before it has.
        clsbench_version: The version that wrote the file.

    Raises:
        ModelError: if the class names are not unique, or there are fewer than two.
    """

    classes: tuple[str, ...]
    transform: ImageTransform
    precision: str = "float32"
    temperature: float | None = None
    model: ModelSource | None = None
    training: Mapping[str, Scalar] = field(default_factory=dict)
    parity: GateReport | None = None
    clsbench_version: str = ""

    def __post_init__(self) -> None:
        check_class_names(self.classes)
        if self.temperature is not None and not 1 / HOTTEST <= self.temperature <= HOTTEST:
            raise ModelError(
                "the temperature of a model card is not one that logits can be divided by",
                got=self.temperature, expected=f"{1 / HOTTEST:g} to {HOTTEST:g}",
            )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON; includes the description of input and output."""
        h, w = self.transform.size
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            "schema": SCHEMA,
            **values,
            "classes": list(self.classes),
            "transform": self.transform.to_json(),
            "model": self.model.to_json() if self.model else {},
            "training": dict(self.training),
            "parity": self.parity.to_json() if self.parity else {},
            "input": {"name": INPUT_NAME, "dtype": "uint8", "shape": ["N", h, w, 3]},
            "output": {"name": OUTPUT_NAME, "dtype": "float32", "shape": ["N", len(self.classes)]},
        }

    def dumps(self) -> str:
        """The text stored under :data:`METADATA_KEY`.

        Bytes of a path that are not UTF-8, such as one in the model's options, become escapes, which JSON allows.
        """
        text = json.dumps(self.to_json(), ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, where: object = None) -> ModelCard:
        """The inverse of :meth:`to_json`.

        Raises:
            ModelError: if the schema is newer than this clsbench, or a field is missing or of another type.
        """
        schema = values.get("schema")
        if not isinstance(schema, int) or schema > SCHEMA:
            raise ModelError(
                "a model card is of an unknown schema",
                where=where,
                got=schema,
                expected=f"at most {SCHEMA}",
                hint="pip install --upgrade clsbench",
            )
        unknown = {name: None for name in ("model", "parity") if values.get(name) == {}}
        return read_fields(cls, {**values, **unknown}, what="a model card", where=where)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], *, where: object = None) -> ModelCard:
        """Read the card out of an ONNX file's metadata.

        Raises:
            ModelError: if there is no card, or it is damaged.
        """
        if METADATA_KEY not in metadata:
            raise ModelError(
                "this .onnx file carries no clsbench card, so its classes and preprocessing are unknown",
                where=where,
                expected=f"metadata key '{METADATA_KEY}'",
                hint="export it with `clsbench export --onnx`; nothing is guessed from the graph",
            )
        return cls.from_json(parse_object(metadata[METADATA_KEY], what="a model card", where=where), where=where)


def check_class_names(classes: Sequence[str]) -> None:
    """Refuse class names that cannot tell classes apart, or that no model file can hold.

    Raises:
        ModelError: if there are fewer than two, or a name is empty, stands twice or is not text: a folder's name in
            another encoding than UTF-8, such as an old archive leaves.
    """
    repeated = [name for name, times in Counter(classes).items() if times > 1]
    if repeated or "" in classes:
        raise ModelError(
            "class names must be unique and not empty",
            got=", ".join(repr(name) for name in repeated) + " more than once" if repeated else "an empty name",
            hint="rename one of them",
        )
    if odd := [name for name in classes if not _is_text(name)]:
        raise ModelError(
            "class names must be text in UTF-8",
            got=some([ascii(name) for name in odd]),
            expected="names that a model file can hold: rename the class, or its folder",
        )
    if len(classes) < 2:
        raise ModelError("a classifier needs at least two classes", got=list(classes))


def _is_text(name: str) -> bool:
    """Whether a name is Unicode text; Python keeps other bytes of a path as half surrogate pairs."""
    return not any("\ud800" <= character <= "\udfff" for character in name)
