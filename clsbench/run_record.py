"""RunRecord: run.json as a type, with one reader and one writer.

Written when a run begins and whenever its weights are, so that at any moment it describes the
weights beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from clsbench.environment import Environment
from clsbench.errors import ModelError
from clsbench.json_fields import Scalar, read_fields
from clsbench.text import counted
from clsbench.transform import ImageTransform

#: The version of run.json. Up to schema 2 ``data.options`` held the options of the split as well; before schema 4
#: there were no ``lr_test``, ``fingerprint`` and ``environment``.
SCHEMA = 4
SPLIT_OPTIONS = ("val_fraction", "test_fraction", "folds", "fold", "seed")

#: How a run stands: ``finished`` as it was configured; ``stopped`` early, by a time limit or because the
#: loss diverged; ``interrupted`` by a user or a scheduler; ``running``, or killed before it could say so.
Status = Literal["running", "finished", "stopped", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a run was trained on.

    Args:
        dataset: The component, qualified.
        root: Absolute, or a URL.
        options: Those that were given, but for the split.
        defaults: The component's other options, with the values that they took.
        distribution, version: The component's origin.
    """

    dataset: str
    root: str | None = None
    options: Mapping[str, Scalar] = field(default_factory=dict)
    defaults: Mapping[str, Scalar] = field(default_factory=dict)
    distribution: str | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunModel:
    """What a run trained.

    Args:
        name: Of the model component, qualified.
        distribution, version: Its origin.
        pretrained: Whether from published weights.
        options: Those of the component that were given.
        defaults: Its other options, with the values that they took.
        shape: What was asked of the pictures' shape beside them: the JSON of a ``PictureShape``.
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    pretrained: bool = False
    options: Mapping[str, Scalar] = field(default_factory=dict)
    defaults: Mapping[str, Scalar] = field(default_factory=dict)
    shape: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunStage:
    """A stage as it was planned: its name and length, and the peak learning rate of each layer group that learns."""

    name: str
    epochs: int
    rates: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run has reached: accuracies of the weights kept as fractions, their loss in nats.

    Args:
        val_loss: None where it was NaN.
        test_accuracy: None without a test split, or before the run has ended.
        stopped: Why training ended early, if it did.
        head_loaded: Whether the head's weights came from a file; None where no file was loaded.
        unreadable: Names of images that were left out, of all epochs or of some, with the reason.
        val_images: How many validation images ``val_accuracy`` and ``val_loss`` are of; None in older runs.
    """

    epochs: int
    best_epoch: int
    val_accuracy: float
    val_loss: float | None
    test_accuracy: float | None
    seconds: float
    stopped: str | None = None
    head_loaded: bool | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)
    val_images: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The content of run.json: enough to repeat the run.

    Args:
        clsbench, torch: Versions.
        split: How the data was asked to be split: the JSON of a ``SplitSpec``.
        training: The fields of ``TrainConfig``.
        stages: What learns when, and how fast.
        precision: Of the arithmetic.
        threads: That decode images, and at most compute.
        transform: The network's preprocessing.
        counts: Number of images in each split.
        splits: The names in each split, as ``datasets.recorded`` writes them.
        check: The JSON of a ``DataCheck``.
        weights: The JSON of a ``LoadReport``; empty where no weights file was loaded.
        environment: Versions, hardware and git state; empty up to schema 3.
        lr_test: Whether the learning rate is to be found by a range test, or was.
        fingerprint: What the images of each split are, so that a change is found: the JSON of ``SplitFingerprint``.
        status: How the run stands.
        result: What is on disk: None until the first epoch has ended.
    """

    clsbench: str = ""
    torch: str = ""
    data: RunData
    split: Mapping[str, Scalar] = field(default_factory=dict)
    model: RunModel
    training: Mapping[str, Scalar]
    stages: tuple[RunStage, ...] = ()
    precision: str = "float32"
    threads: int | None = None
    classes: tuple[str, ...]
    transform: ImageTransform
    counts: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, object] = field(default_factory=dict)
    check: Mapping[str, object] = field(default_factory=dict)
    weights: Mapping[str, object] = field(default_factory=dict)
    environment: Environment = field(default_factory=Environment)
    lr_test: Literal["none", "due", "done"] = "none"
    fingerprint: Mapping[str, object] = field(default_factory=dict)
    status: Status = "running"
    result: RunResult | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON; without ``result`` while there is none."""
        values = {
            "schema": SCHEMA,
            **asdict(self),
            "data": _given(asdict(self.data), "defaults", "distribution", "version"),
            "model": _given(asdict(self.model), "defaults", "shape"),
            "transform": self.transform.to_json(),
            "classes": list(self.classes),
            "stages": [asdict(stage) for stage in self.stages],
            "environment": {**asdict(self.environment), "gpus": list(self.environment.gpus)},
        }
        values["result"] = self.result and _given(asdict(self.result), "val_images")
        return _given(values, "result")

    @property
    def epochs_asked(self) -> int | None:
        """The length of all stages; of an older run what was asked for, if that was recorded."""
        older = self.training.get("epochs")
        return sum(stage.epochs for stage in self.stages) or (older if isinstance(older, int) else None)

    def shortfall(self) -> str | None:
        """How far a run that did not finish came, for people; None for one that did."""
        if self.status == "finished":
            return None
        how = {
            "running": "has not finished: it is still training, or was killed",
            "stopped": "stopped early",
            "interrupted": "was interrupted",
        }[self.status]
        if self.result is None:
            return f"the run {how}, before its first epoch had ended"
        done = f"{self.result.epochs} of {counted(self.epochs_asked or 0, 'epoch')} done"
        return f"the run {how}; {done}, the best is epoch {self.result.best_epoch}"

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, where: object = None) -> RunRecord:
        """The inverse of :meth:`to_json`; also reads the schemas before it.

        Raises:
            ModelError: if the schema is unknown, or a field is missing or of another type.
        """
        schema, data = values.get("schema"), values.get("data")
        if type(schema) is not int or not 0 < schema <= SCHEMA:
            expected = f"1 to {SCHEMA}; a newer clsbench may read more"
            raise ModelError("a run is of an unknown schema", where=where, got=schema, expected=expected)
        if schema < 3 and isinstance(data, dict) and isinstance(data.get("options"), dict):
            options, split = without_split(data["options"])
            values = {**values, "data": {**data, "options": options}, "split": split}
        if "status" not in values:  # before there was one, a result was written at the end only
            values = {**values, "status": "finished" if values.get("result") else "running"}
        return read_fields(cls, values, what="a run", where=where)


def _given(values: Mapping[str, object], *optional: str) -> dict[str, object]:
    """Without those of the optional ones that say nothing, which older runs do not have."""
    return {name: value for name, value in values.items() if name not in optional or value}


def without_split(options: Mapping[str, Scalar]) -> tuple[dict[str, Scalar], dict[str, Scalar]]:
    """The options of a dataset, and apart from them those that say how it is split."""
    own = {name: value for name, value in options.items() if name not in SPLIT_OPTIONS}
    return own, {name: value for name, value in options.items() if name in SPLIT_OPTIONS}
