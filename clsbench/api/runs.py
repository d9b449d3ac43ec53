"""``runs``: what has been trained, with the best metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_choice
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import ClsbenchError, DataError
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa

    from clsbench.run_record import Status
    from clsbench.runs import Run


#: How runs can be ordered -> the column of :class:`RunSummary`, and whether large values come first.
SORTS = {
    "time": ("time", False),
    "name": ("run", False),
    "accuracy": ("val_accuracy", True),
    "loss": ("val_loss", False),
    "test": ("test_accuracy", True),
    "seconds": ("seconds", False),
    "epochs": ("epochs", True),
    "model": ("model", False),
    "data": ("data", False),
    "recipe": ("recipe", False),
    "status": ("status", False),
}


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One line about a run; accuracies are fractions, the loss is in nats, None where there is none.

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
    val_loss: float | None
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
    folder: str | Path = "runs", *, sort: str = "time", reverse: bool = False, observer: Observer | None = None
) -> RunList:
    """Every run below a folder.

    Args:
        folder: The directory of all runs.
        sort: A key of :data:`SORTS`: ``time`` (oldest first), ``name``, ``accuracy`` or ``test`` (best first),
            ``loss``, ``seconds``, …; runs without that value come last.
        reverse: The other way round; runs without the value still come last.
        observer: Is warned of runs that cannot be read.

    Raises:
        OptionError: for an unknown order.
        DataError: if the folder is a file, or not there and not the usual one.
    """
    from clsbench.runs import ROOT, everything

    check_choice("sort", sort, SORTS)
    if Path(folder).is_file():
        raise DataError("this is a file, not a folder of runs", where=folder)
    if not Path(folder).exists() and Path(folder) != ROOT:
        near = get_close_matches(str(folder), ("diff", "rm"), n=1)
        raise DataError(
            "there is no such folder of runs", where=folder,
            hint=f"did you mean `clsbench runs {near[0]}`?" if near else None,
        )  # fmt: skip
    observer, found = observer or Observer(), []
    outputs = Outputs(observer)
    for run in everything(root=Path(folder)):
        outputs.refuse(*run.files)
        try:
            found.append(_summary(run))
        except ClsbenchError as error:
            observer.warn(error.one_line())
    column, large_first = SORTS[sort]
    known = [run for run in found if getattr(run, column) is not None]
    if sort != "time":  # they are in that order, and more exactly than by the second
        known.sort(key=lambda run: getattr(run, column), reverse=large_first)
    unknown = [run for run in found if getattr(run, column) is None]
    return RunList((*(reversed(known) if reverse else known), *unknown))


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
        val_loss=result.val_loss if result else None,
        test_accuracy=result.test_accuracy if result else None,
        seconds=result.seconds if result else None,
        exported=run.onnx.is_file(),
    )
