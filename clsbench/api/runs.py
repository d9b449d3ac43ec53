"""``runs``: what has been trained, with the best metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clsbench.api.arguments import check_choice
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import ClsbenchError, DataError
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa

    from clsbench.run_record import Status
    from clsbench.runs import Run


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One line about a run; accuracies are fractions, None where there is none.

    ``epochs`` are those done, of ``epochs_asked``; ``status`` is that of a
    :class:`~clsbench.run_record.RunRecord`.
    """

    run: str
    path: str
    time: str
    data: str
    model: str
    recipe: str
    status: Status
    epochs: int
    epochs_asked: int | None
    classes: int
    val_accuracy: float | None
    test_accuracy: float | None
    seconds: float | None
    exported: bool


@dataclass(frozen=True)
class RunList(Tabular):
    """Runs, in the order asked for."""

    runs: tuple[RunSummary, ...]

    def to_arrow(self) -> pa.Table:
        """One row a run."""
        import pyarrow as pa

        return pa.Table.from_pylist([asdict(run) for run in self.runs])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"schema": 1, "runs": [asdict(run) for run in self.runs]}


def list_runs(
    folder: str | Path = "runs", *, sort: Literal["time", "accuracy"] = "time", observer: Observer | None = None
) -> RunList:
    """Every run below a folder.

    Args:
        folder: The directory of all runs.
        sort: Oldest first, or best validation accuracy first.
        observer: Is warned of runs that cannot be read.

    Raises:
        DataError: if the folder is a file.
    """
    from clsbench.runs import everything

    check_choice("sort", sort, ("time", "accuracy"))
    if Path(folder).is_file():
        raise DataError("this is a file, not a folder of runs", where=folder)
    observer, found = observer or Observer(), []
    outputs = Outputs(observer)
    for run in everything(root=Path(folder)):
        outputs.refuse(*run.files)
        try:
            found.append(_summary(run))
        except ClsbenchError as error:
            observer.warn(error.one_line())
    if sort == "accuracy":
        found.sort(key=lambda summary: -(summary.val_accuracy or 0.0))
    return RunList(tuple(found))


def _summary(run: Run) -> RunSummary:
    record = run.read_record()
    result = record.result
    return RunSummary(
        run=run.name,
        path=str(run.path),
        time=datetime.fromtimestamp(run.record.stat().st_mtime).isoformat(timespec="seconds"),
        data=record.data.root or record.data.dataset,
        model=record.model.name.removeprefix("clsbench/"),
        recipe=str(record.training.get("recipe", "?")),
        status=record.status,
        epochs=result.epochs if result else 0,
        epochs_asked=record.epochs_asked,
        classes=len(record.classes),
        val_accuracy=result.val_accuracy if result else None,
        test_accuracy=result.test_accuracy if result else None,
        seconds=result.seconds if result else None,
        exported=run.onnx.is_file(),
    )
