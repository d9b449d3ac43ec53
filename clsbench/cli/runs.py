"""``clsbench runs``: what has been trained, with the best metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clsbench.cli.parameters import Json, Quiet

#: Keys of ``clsbench.api.runs.SORTS``, which is not imported before it is needed.
Sort = Literal[
    "time", "name", "accuracy", "loss", "test", "seconds", "epochs", "model", "data", "recipe", "status"
]  # fmt: skip

#: What is said of runs that did not finish, by their status.
UNFINISHED = {
    "running": "not finished (still training, or killed)",
    "stopped": "stopped early",
    "interrupted": "interrupted",
}


def runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The directory of all runs.")] = Path("runs"),
    sort: Annotated[
        Sort,
        typer.Option(
            metavar="ORDER",
            help="Order of the list: time (oldest first), accuracy or test (best first), loss, epochs, seconds, name, "
            "model, data, recipe or status.",
        ),
    ] = "time",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """List runs with their best metrics."""
    from clsbench.api.runs import list_runs
    from clsbench.cli.tables import percent, table
    from clsbench.cli.terminal import Terminal
    from clsbench.text import shortened, some

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        found = list_runs(folder, sort=sort, reverse=reverse, observer=observer)
    best = max((r.val_accuracy for r in found.runs if r.val_accuracy is not None), default=None)
    narrow = terminal.out.width < 100  # the full facts are wider than 80 columns; --json has them all
    rows = [
        (
            r.run,
            shortened(model, 10 if narrow else 30) if terminal.limited else model,
            *([] if narrow else [r.recipe]),
            str(r.epochs) if r.status == "finished" else f"{r.epochs}/{r.epochs_asked or '?'}",
            percent(r.val_accuracy) + (" *" if r.val_accuracy == best and best is not None else "  "),
            percent(r.test_accuracy),
            *([] if narrow else ["unfinished" if r.seconds is None else f"{r.seconds:.0f}"]),
        )
        for r, model in ((r, r.model.rpartition("/")[2]) for r in found.runs)
    ]
    if rows:
        more, last = ([], []) if narrow else (["recipe"], ["seconds"])
        columns = ["run", "model", *more, "epochs", "validation", "test", *last]
        terminal.print(table("Runs (* best)", columns, rows, left=2 if narrow else 3))
        for status, words in UNFINISHED.items():
            if names := [r.run for r in found.runs if r.status == status]:
                terminal.print(f"{words}: {some(names)}")
    else:
        terminal.print(f"no runs in {folder}: `clsbench train` makes one")
    terminal.write_json(found.to_json())
