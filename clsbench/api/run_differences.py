"""``runs diff``: what was done differently in two runs or more, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import OptionError
from clsbench.json_fields import dumps, flattened
from clsbench.tabular import Tabular
from clsbench.text import counted, distinct_names

if TYPE_CHECKING:
    import pyarrow as pa

    from clsbench.run_record import RunRecord

#: Parts of a record that are told otherwise, or follow from the rest.
LEFT_OUT = ("schema", "status", "result", "stages", "splits", "counts", "check", "weights", "fingerprint")

#: The order of the parts of a record in a comparison; the rest comes last.
PARTS = ("data", "split", "images", "model", "training")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A setting or metric, and its value in each run; None where a run has none."""

    name: str
    values: tuple[object, ...]

    @property
    def differs(self) -> bool:
        """Whether it is not the same in all of them."""
        return any(value != self.values[0] for value in self.values)


@dataclass(frozen=True, kw_only=True)
class RunDifferences(Tabular):
    """Runs side by side.

    Args:
        runs: Their names, in the order asked for.
        settings: Options, data and versions: those that differ, or all of them.
        metrics: What came of them: accuracies are fractions, losses in nats.
        same_validation: Whether all were validated on the same images, so that accuracies can be compared.
    """

    runs: tuple[str, ...]
    settings: tuple[Difference, ...]
    metrics: tuple[Difference, ...]
    same_validation: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"schema": 1, **asdict(self)}

    def to_arrow(self) -> pa.Table:
        """One row a setting or metric, and a column a run: texts of JSON, since kinds differ."""
        import pyarrow as pa

        rows = [*(("setting", each) for each in self.settings), *(("metric", each) for each in self.metrics)]
        columns: dict[str, list[str]] = {"kind": [kind for kind, _ in rows], "name": [each.name for _, each in rows]}
        for position, run in enumerate(self.runs):
            columns[run] = [dumps(each.values[position]).strip() for _, each in rows]
        return pa.table(columns)


def diff_runs(*runs: str | Path, everything: bool = False, observer: Observer | None = None) -> RunDifferences:
    """Compare what runs were trained on and how, and what came of it.

    Args:
        runs: Names or directories, two at least.
        everything: Also what is the same in all of them.
        observer: Is warned where accuracies are of different images.

    Raises:
        OptionError: for fewer than two runs, or the same one twice.
        ModelError: if there is no such run, or it cannot be read.
    """
    from clsbench.runs import find

    observer = observer or Observer()
    if len(runs) < 2:
        raise OptionError("a difference needs two runs or more", got=counted(len(runs), "run"))
    found = [find(str(run)) for run in runs]
    if len({run.path.resolve() for run in found}) < len(found):
        raise OptionError("a run is named twice", got=", ".join(str(run) for run in runs), expected="different runs")
    outputs = Outputs(observer)
    for run in found:
        outputs.refuse(*run.files)
    records = [run.read_record() for run in found]
    names = distinct_names([run.path for run in found])
    images = [_images(record, run.record) for record, run in zip(records, found, strict=True)]
    same = all(each.val == images[0].val for each in images)
    if not same:
        observer.warn("these runs were validated on different images: their accuracies differ by that as well")
    told = [
        {split: text + _changed(record, records[0], split) for split, text in own.told(images[0]).items()}
        for record, own in zip(records, images, strict=True)
    ]
    settings = _rows([_settings(record, own) for record, own in zip(records, told, strict=True)])
    return RunDifferences(
        runs=tuple(names),
        settings=tuple(row for row in settings if everything or row.differs),
        metrics=tuple(_rows([_metrics(record) for record in records])),
        same_validation=same,
    )


def _rows(columns: list[dict[str, object]]) -> list[Difference]:
    names = list(dict.fromkeys(name for column in columns for name in column))
    part = {name: PARTS.index(start) if (start := name.partition(".")[0]) in PARTS else len(PARTS) for name in names}
    return [
        Difference(name=name.removeprefix("training."), values=tuple(column.get(name) for column in columns))
        for name in sorted(names, key=lambda name: part[name])
    ]


def _settings(record: RunRecord, images: Mapping[str, str]) -> dict[str, object]:
    """What was decided, flat."""
    values = {name: value for name, value in record.to_json().items() if name not in LEFT_OUT}
    flat = flattened({**values, "images": images, "classes": list(record.classes)})
    return {re.sub(r"^(data|model)\.(options|defaults)\.", r"\1.", name): value for name, value in flat.items()}


@dataclass(frozen=True)
class _Images:
    """The images of a run: how many it trained on with a hash of their names, and the names of the held-out ones."""

    train: tuple[int, str | None]
    val: frozenset[str]
    test: frozenset[str]

    def told(self, first: _Images) -> dict[str, str]:
        """How many images each split has, and whether they are those of the first run."""
        train = counted(self.train[0], "image") + ("" if self.train == first.train else ", not the same")
        return {"train": train, "val": _held_out(self.val, first.val), "test": _held_out(self.test, first.test)}


def _held_out(own: frozenset[str], first: frozenset[str]) -> str:
    return counted(len(own), "image") + (f", {len(own - first):,} of them new" if own - first else "")


def _images(record: RunRecord, where: Path) -> _Images:
    from clsbench.datasets.recorded import SplitRecord

    splits = SplitRecord.from_json(record.splits, where=where)
    train = (splits.train_count or record.counts.get("train", 0), splits.train_sha256)
    return _Images(train, frozenset(splits.val), frozenset(splits.test))


def _changed(record: RunRecord, first: RunRecord, split: str) -> str:
    """What images of the same names have of their own, where both runs know."""
    own, theirs = (_fingerprint(of, split) for of in (record, first))
    if not own or not theirs or own.get("names") != theirs.get("names"):
        return ""
    return "".join(
        f", other {part}" for part in ("labels", "contents")
        if own.get(part) and theirs.get(part) and own[part] != theirs[part]
    )  # fmt: skip


def _fingerprint(record: RunRecord, split: str) -> Mapping[str, object]:
    found = record.fingerprint.get(split)
    return found if isinstance(found, Mapping) else {}


def _metrics(record: RunRecord) -> dict[str, object]:
    result = record.result
    values: dict[str, object] = {"status": record.status}
    if result:
        values |= {
            "val_accuracy": result.val_accuracy, "val_loss": result.val_loss, "test_accuracy": result.test_accuracy,
            "best_epoch": result.best_epoch, "epochs": result.epochs, "seconds": result.seconds,
            "stopped": result.stopped,
        }  # fmt: skip
    return values
