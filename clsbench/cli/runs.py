"""``clsbench runs``: what has been trained, with the best metrics."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clsbench.cli.parameters import Json, Quiet

if TYPE_CHECKING:
    from clsbench.runs import Run


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The directory of all runs.")] = Path("runs"),
    sort: Annotated[Literal["time", "accuracy"], typer.Option(help="Oldest first, or best first.")] = "time",
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """List runs with their best metrics."""
    from clsbench.cli.terminal import Terminal, table
    from clsbench.errors import ClsbenchError
    from clsbench.runs import everything
    from clsbench.text import shortened

    terminal = Terminal(json=json, quiet=quiet)
    facts = []
    for run in everything(root=folder):
        try:
            facts.append(_facts(run))
        except ClsbenchError as error:
            terminal.warn(error.one_line())
    if sort == "accuracy":
        facts.sort(key=lambda f: -(f["val_accuracy"] or 0.0))
    best = max((f["val_accuracy"] for f in facts if f["val_accuracy"] is not None), default=None)
    narrow = terminal.out.width < 100
    rows = [
        (
            f["run"],
            shortened(f["model"].rpartition("/")[2], 10 if narrow else 30),
            *([] if narrow else [f["recipe"]]),
            str(f["epochs"] or "-"),
            _percent(f["val_accuracy"]) + (" *" if f["val_accuracy"] == best and best is not None else "  "),
            _percent(f["test_accuracy"]),
            *([] if narrow else [f"{f['seconds']:.0f}" if f["seconds"] is not None else "unfinished"]),
        )
        for f in facts
    ]
    if rows:
        columns = ["run", "model", "recipe", "epochs", "validation", "test", "seconds"]
        if narrow:  # the full facts are wider than 80 columns; --json has them all
            columns = [name for name in columns if name not in ("recipe", "seconds")]
        terminal.print(table("Runs (* best)", columns, rows, left=2 if narrow else 3))
    else:
        terminal.print(f"no runs in {folder}: `clsbench train` makes one")
    terminal.facts({"schema": 1, "runs": facts})


def _facts(run: Run) -> dict[str, Any]:
    record = run.read_record()
    result = record.result
    return {
        "run": run.name,
        "path": str(run.path),
        "time": datetime.fromtimestamp(run.record.stat().st_mtime).isoformat(timespec="seconds"),
        "data": record.data.root or record.data.dataset,
        "model": record.model.name.removeprefix("clsbench/"),
        "recipe": record.training.get("recipe", "?"),
        "epochs": result.epochs if result else record.training.get("epochs"),
        "classes": len(record.classes),
        "val_accuracy": result.val_accuracy if result else None,
        "test_accuracy": result.test_accuracy if result else None,
        "seconds": result.seconds if result else None,
        "exported": run.onnx.is_file(),
    }


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
