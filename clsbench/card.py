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
from clsbench.transform import ImageTransform

#: The ONNX metadata key, and the version of the JSON under it.
METADATA_KEY = "clsbench.card"
SCHEMA = 1

#: The graph contract: uint8 (N, h, w, 3) in, float32 (N, K) out, N free.
INPUT_NAME, OUTPUT_NAME = "images", "logits"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything needed to use a model file, and where it came from.

    Args:
        classes: Unique names; position k names logit k.
        transform: How images become the input pixels.
        precision: Of the weights: ``float32``, ``float16``, ``int8``.
        temperature: Divides the logits before softmax, where the model was calibrated.
        model: Name, plugin, version and options of the network.
        training: A summary of the run that made it; empty for a network exported as it is.
        parity: What the parity gate measured.
        clsbench_version: The version that wrote the file.

    Raises:
        ModelError: if the class names are not unique, or there are fewer than two.
    """

    classes: tuple[str, ...]
    transform: ImageTransform
    precision: str = "float32"
    temperature: float | None = None
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    clsbench_version: str = ""

    def __post_init__(self) -> None:
        check_class_names(self.classes)
        if self.temperature is not None and not self.temperature > 0:
            raise ModelError("a card's temperature must be above 0", got=self.temperature)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON; includes the description of input and output."""
        h, w = self.transform.size
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            "schema": SCHEMA,
            **values,
            "classes": list(self.classes),
            "transform": self.transform.to_json(),
            "input": {"name": INPUT_NAME, "dtype": "uint8", "shape": ["N", h, w, 3]},
            "output": {"name": OUTPUT_NAME, "dtype": "float32", "shape": ["N", len(self.classes)]},
        }

    def dumps(self) -> str:
        """The text stored under :data:`METADATA_KEY`."""
        return json.dumps(self.to_json(), ensure_ascii=False)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, where: object = None) -> ModelCard:
        """The inverse of :meth:`to_json`.

        Raises:
            ModelError: if the schema is newer than this clsbench, or a field is missing or wrong.
        """
        schema = values.get("schema")
        if not isinstance(schema, int) or schema > SCHEMA:
            raise ModelError(
                "a model card has a schema this clsbench does not know",
                where=where,
                got=schema,
                expected=f"at most {SCHEMA}",
                hint="pip install --upgrade clsbench",
            )
        names = {f.name for f in dataclasses.fields(cls)}
        kept = {name: value for name, value in values.items() if name in names}
        try:
            if not isinstance(kept["classes"], list):
                raise TypeError("classes is no list")
            kept["classes"] = tuple(str(name) for name in kept["classes"])
            kept["transform"] = ImageTransform.from_json(kept["transform"])
            return cls(**kept)
        except (KeyError, TypeError) as error:
            raise ModelError("a model card cannot be read", where=where, got=error) from None

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], *, where: object = None) -> ModelCard:
        """Read the card out of an ONNX file's metadata.

        Raises:
            ModelError: if there is no card or it is damaged.
        """
        if METADATA_KEY not in metadata:
            raise ModelError(
                "this .onnx file carries no clsbench card, so its classes and preprocessing are unknown",
                where=where,
                expected=f"metadata key '{METADATA_KEY}'",
                hint="export it with `clsbench export --onnx`; nothing is guessed from the graph",
            )
        try:
            values = json.loads(metadata[METADATA_KEY])
        except ValueError as error:
            raise ModelError("a model card is not valid JSON", where=where, got=error) from None
        return cls.from_json(values if isinstance(values, dict) else {}, where=where)


def check_class_names(classes: Sequence[str]) -> None:
    """Refuse class names that cannot tell classes apart.

    Raises:
        ModelError: if there are fewer than two, or a name is empty or stands twice.
    """
    repeated = [name for name, times in Counter(classes).items() if times > 1]
    if repeated or "" in classes:
        raise ModelError(
            "class names must be unique and not empty",
            got=", ".join(repr(name) for name in repeated) + " more than once" if repeated else "an empty name",
            hint="rename one of them",
        )
    if len(classes) < 2:
        raise ModelError("a classifier needs at least two classes", got=list(classes))
