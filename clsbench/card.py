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

from clsbench.confidence import Abstention, Calibration, check_threshold
from clsbench.errors import ModelError
from clsbench.gate_report import GateReport
from clsbench.json_fields import Scalar, parse_object, read_fields
from clsbench.text import command, counted, on_one_line, printable, some
from clsbench.transform import ImageTransform

#: The ONNX metadata key, and the version of the JSON under it.
METADATA_KEY = "clsbench.card"
SCHEMA = 1

#: The graph contract: uint8 (N, h, w, 3) in, float32 (N, K) out and, in files that have it, float32 (N, D), N free.
INPUT_NAME, OUTPUT_NAME, FEATURES_NAME = "images", "logits", "features"

#: Fields that are written only where there is something to say.
OPTIONAL = ("parent", "made_for", "float_layers", "proved_on", "calibration", "abstain_below", "abstention")

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


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything needed to use a model file, and where it came from.

    Args:
        classes: Unique names; position k names logit k.
        transform: How images become the input pixels.
        precision: Of the weights: ``float32``, ``float16``, ``int8``.
        parent: The hash of the model file that this one was made of by changing its precision; None for an original.
        made_for: The backend whose rules of quantization it follows, ``onnxruntime`` or ``openvino``; None for floats.
        float_layers: Nodes of an int8 file that were kept in float, because the accuracy budget needed it.
        proved_on: Where the gate has passed: backends, with ``:device`` for another one than the CPU. Another one runs
            the images that the file carries first; see :mod:`clsbench.carried_gate`.
        temperature: Divides the logits before softmax, where the model was calibrated.
        calibration: How that was found; None where it was not by ``export --calibrate``.
        abstain_below: Predictions of a lower probability (calibrated, six places) are marked as abstained.
        abstention: How that was chosen; None where it was not by ``export --abstain-at-precision``.
        feature_dim: D, where the file gives what goes into its head as a second output; None where it does not.
        model: Where the network came from, if that is known.
        training: A summary of the run that made it; empty for a network exported as it is.
        parity: What the gate measured; None before it has.
        clsbench_version: The version that wrote the file.

    Raises:
        ModelError: if the class names are not unique, or there are fewer than two, or a number is out of range.
    """

    classes: tuple[str, ...]
    transform: ImageTransform
    precision: str = "float32"
    parent: str | None = None
    made_for: str | None = None
    float_layers: tuple[str, ...] = ()
    proved_on: tuple[str, ...] = ()
    temperature: float | None = None
    calibration: Calibration | None = None
    abstain_below: float | None = None
    abstention: Abstention | None = None
    feature_dim: int | None = None
    model: ModelSource | None = None
    training: Mapping[str, Scalar] = field(default_factory=dict)
    parity: GateReport | None = None
    clsbench_version: str = ""

    def __repr__(self) -> str:
        height, width = self.transform.size
        name = f"{on_one_line(printable(self.model.name))}: " if self.model else ""
        return f"<ModelCard {name}{counted(len(self.classes), 'class')}, {height}×{width}>"

    def __post_init__(self) -> None:
        check_class_names(self.classes)
        check_threshold(self.abstain_below)
        if self.temperature is not None and not 1 / HOTTEST <= self.temperature <= HOTTEST:
            raise ModelError(
                "the temperature of a model card is not one that logits can be divided by",
                got=self.temperature, expected=f"{1 / HOTTEST:g} to {HOTTEST:g}",
            )  # fmt: skip
        if self.feature_dim is not None and self.feature_dim < 1:
            raise ModelError("the number of features is not one", got=self.feature_dim, expected="at least 1")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON; includes the description of input and outputs."""
        h, w = self.transform.size
        features = {"name": FEATURES_NAME, "dtype": "float32", "shape": ["N", self.feature_dim]}
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name in OPTIONAL:  # not in the card of a file without them
            if values[name] in (None, ()):
                del values[name]
            elif name in ("calibration", "abstention"):
                values[name] = values[name].to_json()
            elif isinstance(values[name], tuple):
                values[name] = list(values[name])
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
            **({"features": features} if self.feature_dim else {}),
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
                code="CB-M009",
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
                hint=f"`{command('adopt', where or 'FILE')}` gives it one, or export it with `clsbench export`",
                code="CB-M001",
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
