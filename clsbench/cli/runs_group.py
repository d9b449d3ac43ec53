"""``clsbench runs``: lists runs by itself, and has commands for more."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from clsbench.cli import runs, runs_diff, runs_rm
from clsbench.cli.usage import PlainCommand

#: The command that stands where none is named.
DEFAULT = "list"


class RunsGroup(TyperGroup):
    """A group whose first word may be left out: ``runs [DIR]`` is ``runs list [DIR]``.

    A directory with the name of a command is written ``./diff``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words of a command line, with the name of the command that was left out."""
        asks = bool(args) and args[0] in ctx.help_option_names
        completes = ctx.resilient_parsing and not args
        if not (asks or completes) and (not args or args[0] not in self.commands):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line: those of the list."""
        command: Any = self.commands[DEFAULT]
        pieces: list[str] = command.collect_usage_pieces(ctx)
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options of the list, and the other commands."""
        command: Any = self.commands[DEFAULT]
        command.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


app = typer.Typer(
    name="runs", cls=RunsGroup, help="List runs with their best metrics; see what differs; delete.",
    rich_markup_mode=None,
)  # fmt: skip
app.command(DEFAULT, cls=PlainCommand, hidden=True)(runs.runs)
app.command("diff", cls=PlainCommand)(runs_diff.diff)
app.command("rm", cls=PlainCommand)(runs_rm.remove)


@app.callback()
def callback() -> None:
    """List runs with their best metrics; see what differs; delete."""
