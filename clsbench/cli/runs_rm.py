"""``clsbench runs rm``: delete runs, after saying what goes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import Json, Quiet

if TYPE_CHECKING:
    from clsbench.api.run_removal import RunRemoval


def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Runs, by name or directory.", autocompletion=completion.runs)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Delete files that clsbench has not written, too, and a run that was killed."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Delete runs: their weights, logs and exported models."""
    from clsbench.api.run_removal import remove_runs
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError
    from clsbench.text import counted, file_size, some

    terminal = Terminal(json=json, quiet=quiet)

    def confirm(found: RunRemoval) -> bool:
        rows = [
            (run.run, f"{run.files:,}", file_size(run.bytes), *([some(run.others)] if force else []))
            for run in found.runs
        ]
        terminal.err.print(
            table("To be deleted", ("run", "files", "size", *(["not written by clsbench"] if force else [])), rows)
        )
        if yes or dry_run:
            return not dry_run
        if not sys.stdin.isatty():
            raise OptionError("nobody is here to be asked", where="--yes", hint="add --yes to delete without asking")
        return typer.confirm(f"Delete {counted(len(found.runs), 'run')}, {file_size(found.bytes)}?", err=True)

    with terminal.observer() as observer:
        done = remove_runs(*names, force=force, confirmed=confirm, observer=observer)
    if done.removed:
        terminal.print(f"deleted {counted(len(done.runs), 'run')}, {file_size(done.bytes)}")
        terminal.note(f"the latest run is now {done.latest}" if done.latest else "no run is left")
    else:
        terminal.print("nothing was deleted")
    terminal.write_json(done.to_json())
