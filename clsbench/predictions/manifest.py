"""The manifest that ``infer`` writes beside a predictions file, ``preds.csv.json``: what was run, where and how fast.

Anyone may have edited a manifest: a value of another type than expected counts as missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from clsbench.predictions.parts import COMMON

#: A value that JSON can hold, and an object of such values.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

T = TypeVar("T")

#: The version of the manifest and of ``infer --json``.
SCHEMA = 1

#: Key of the manifest in a Parquet file.
METADATA_KEY = "clsbench"

_STAGE = "_ms_per_image"

#: Annotation of a field -> its type in JSON.
_TYPES = {
    "str | None": str,
    "int | None": int,
    "float | None": float,
    "JsonObject | None": dict,
    "Sequence[Json] | None": list,
}


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """Which model file it was: its path, its SHA-256 in hex, and its card as JSON."""

    file: str | None = None
    sha256: str | None = None
    card: JsonObject = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """K names in the order of the model; empty where they are not known, or repeat."""
        names = self.card.get("classes")
        classes = tuple(str(name) for name in names) if isinstance(names, list) else ()
        return classes if len(set(classes)) == len(classes) else ()


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of images: all, classified, not classified, and with a label."""

    total: int | None = None
    ok: int | None = None
    errors: int | None = None
    labelled: int | None = None


@dataclass(frozen=True, kw_only=True)
class WrittenFeatures:
    """Where the features of the rows are: D, and their column or the file beside, of which this is the name."""

    dim: int | None = None
    column: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class LabelOrigin:
    """Where the labels came from, and what was noted about them."""

    source: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """How fast the predictions were made; None where it is not known.

    Args:
        images_per_second: Overall.
        steady_images_per_second: After the first batch.
        limit: What the measured stages allow, images per second.
        fraction_of_limit: Of the steady rate, 0 to 1.
        seconds: Of the whole run.
        stages: Wall-clock milliseconds per image by stage.
        verdict: What limits the run, in one sentence.
        written: Everything, as it was written.
    """

    images_per_second: float | None
    steady_images_per_second: float | None
    limit: float | None
    fraction_of_limit: float | None
    seconds: float | None
    stages: Mapping[str, float]
    verdict: str | None
    written: JsonObject

    @classmethod
    def from_json(cls, values: JsonObject) -> Throughput:
        """From the facts of a run's timing."""
        times = {key.removesuffix(_STAGE): _number(values, key) for key in values if key.endswith(_STAGE)}
        stages = {stage: ms for stage, ms in times.items() if ms is not None}
        return _read(cls, values, stages=stages, written=values)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known about the run behind a predictions file; None where it is not known.

    Args:
        clsbench: Version that wrote it.
        started: ISO 8601 with time zone.
        images: Folder or image that was read.
        model: The model file.
        device: Device and provider, as JSON.
        options: Batch size and whatever else was chosen, as JSON.
        labels: Where the labels came from.
        counts: Numbers of images.
        failures: Reason -> images that were not classified, as JSON.
        abstained: How many predictions are below the model's threshold, and that, as JSON; None where it has none.
        predicted: Class -> how many images were given it, as JSON.
        metrics: Name -> value, as JSON.
        metric_errors: Metric -> why it failed.
        throughput: Images per second, and where the time went.
        machine: Cores, platform and Python version, as JSON.
        skipped: What was left out of the source, by reason, as JSON.
        pixels: How images that are no plain RGB became it: :data:`clsbench.images.pixels.PIXEL_RULES`.
        shard: Which rows of a whole job these are: :class:`clsbench.predictions.shard_record.ShardRecord` as JSON.
        job: What decided the predictions: :class:`clsbench.predictions.job.JobIdentity` as JSON.
        features: Where the features are; None where they were not asked for.
        fast_decode: What ``--fast-decode auto`` decided and measured; None where there was nothing to decide.
        resumed: How many rows an earlier run of the job had done, which was interrupted.
        decoded: Which decoder took several images at once, and how many were left to those of the CPU, as JSON; None
            where there was none.
    """

    clsbench: str | None = None
    started: str | None = None
    images: str | None = None
    model: ModelIdentity | None = None
    device: JsonObject | None = None
    options: JsonObject | None = None
    labels: LabelOrigin | None = None
    counts: Counts | None = None
    failures: JsonObject | None = None
    abstained: JsonObject | None = None
    predicted: JsonObject | None = None
    metrics: JsonObject | None = None
    metric_errors: JsonObject | None = None
    throughput: Throughput | None = None
    machine: JsonObject | None = None
    skipped: Sequence[Json] | None = None
    pixels: JsonObject | None = None
    shard: JsonObject | None = None
    job: JsonObject | None = None
    features: WrittenFeatures | None = None
    fast_decode: JsonObject | None = None
    resumed: int | None = None
    decoded: JsonObject | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """K names in the order of the model; empty where they are not known."""
        return self.model.classes if self.model else ()

    @property
    def root(self) -> Path | str | None:
        """What the names are relative to: a folder, an archive or a URL; of one image or a list, where that file is."""
        from clsbench.images.sources.opening import as_location, kind_of

        if self.images is None:
            return None
        root = as_location(self.images)
        single = isinstance(root, Path) and root.is_file() and kind_of(root) != "archive"
        return root.parent if isinstance(root, Path) and single else root

    @property
    def images_are_there(self) -> bool:
        """Whether the images are in a folder or an archive that is there, or at a URL, which may be."""
        root = self.root
        return isinstance(root, str) or (root is not None and (root.is_dir() or root.is_file()))

    @property
    def rows(self) -> int | None:
        """How many rows were written."""
        return self.counts.total if self.counts else None

    @property
    def images_per_second(self) -> float | None:
        """Overall; above 0 where it is known."""
        return (self.throughput.images_per_second if self.throughput else None) or None

    def lasting(self) -> Manifest:
        """What is the same each time that the job is run: no times, no speeds, no machine."""
        ran = ("batch_size", "streams", "threads", "graph_level", "plan", "executor", "backend_choice")
        options = {name: value for name, value in (self.options or {}).items() if name not in ran}
        return Manifest(images=self.images, model=self.model, options=options, labels=self.labels, counts=self.counts)

    @classmethod
    def from_json(cls, values: JsonObject) -> Manifest:
        """The inverse of :meth:`to_json`."""
        model, labels = _get(values, "model", dict), _get(values, "labels", dict)
        counts, speed = _get(values, "counts", dict), _get(values, "throughput", dict)
        features = _get(values, "features", dict)
        notes = tuple(str(note) for note in _get(labels or {}, "notes", list) or ())
        card = _get(model or {}, "card", dict) or {}
        return _read(
            cls,
            values,
            model=None if model is None else _read(ModelIdentity, model, card=card),
            labels=None if labels is None else _read(LabelOrigin, labels, notes=notes),
            counts=None if counts is None else _read(Counts, counts),
            throughput=None if speed is None else Throughput.from_json(speed),
            features=None if features is None else _read(WrittenFeatures, features),
        )

    def to_json(self) -> dict[str, Json]:
        """The facts of the manifest and of ``infer --json``; stable keys, see README."""
        values = {"schema": SCHEMA} | vars(self)
        values["model"], values["counts"] = _told(self.model), _told(self.counts)
        values["labels"] = vars(self.labels) | {"notes": list(self.labels.notes)} if self.labels else None
        values["features"] = _told(self.features)
        values["throughput"] = self.throughput.written if self.throughput else None
        return {key: value for key, value in values.items() if value is not None}


def manifest_path(predictions: Path) -> Path:
    """Where the manifest of a predictions file is: ``preds.csv.json``."""
    named = predictions if predictions.name.strip(".") else Path(os.path.realpath(predictions))  # such as "."
    return named.parent / f"{named.name}.json"


def read_manifest(predictions: Path) -> tuple[Manifest, list[str]]:
    """The manifest beside a predictions file, which knows more, or the one in it, and notes for the user."""
    path = manifest_path(predictions)
    if not path.is_file():
        return embedded_manifest(predictions), []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return Manifest(), [f"{path} cannot be read and is ignored: {error}"]
    manifest = Manifest.from_json(values) if isinstance(values, dict) else Manifest()
    if not manifest.classes:
        return Manifest(), [f"{path} is not a manifest of clsbench and is ignored"]
    return manifest, []


def embedded_manifest(predictions: Path) -> Manifest:
    """What a Parquet file or a folder of parts says of itself; nothing if it cannot be read, as its reader tells."""
    if predictions.is_dir():
        predictions /= COMMON
    elif predictions.suffix.lower() != ".parquet":
        return Manifest()
    if not predictions.is_file():
        return Manifest()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        values = json.loads((pq.read_metadata(predictions).metadata or {}).get(METADATA_KEY.encode(), b"null"))
    except (OSError, ValueError, RecursionError, pa.ArrowException):
        return Manifest()
    manifest = Manifest.from_json(values) if isinstance(values, dict) else Manifest()
    return manifest if manifest.classes else Manifest()


def _told(part: ModelIdentity | Counts | WrittenFeatures | None) -> JsonObject | None:
    return None if part is None else {key: value for key, value in vars(part).items() if value is not None}


def _read(kind: type[T], values: JsonObject, **given: object) -> T:
    """A dataclass of JSON: a field that is not given is None where the value is missing or of another type."""
    build: Callable[..., T] = kind
    types = {name: _TYPES[of] for name, of in kind.__annotations__.items() if name not in given}
    found = {name: _number(values, name) if of is float else _get(values, name, of) for name, of in types.items()}
    return build(**found, **given)


def _get(values: JsonObject, key: str, kind: type[T]) -> T | None:
    value = values.get(key)
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _number(values: JsonObject, key: str) -> float | None:
    """A finite number of at least 0."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e300 else None
