"""The program: runs a command line and turns errors into exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 finished, but a gate or budget was broken;
130 interrupted by Ctrl-C, 143 ended by SIGTERM. ``CLSBENCH_DEBUG=1`` shows tracebacks.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from clsbench import __version__
from clsbench.cli.commands import Commands, add_commands
from clsbench.errors import ClsbenchError
from clsbench.text import printable

INTERRUPTED, TERMINATED = 130, 143

app = typer.Typer(
    name="clsbench",
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_commands(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"clsbench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, export, run and judge image classifiers, with nothing silently wrong."""


def run() -> None:
    """The console script."""
    # A damaged image is a row with a reason; Pillow's warnings would only clutter the screen.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    debug, stdout = os.environ.get("CLSBENCH_DEBUG") == "1", sys.stdout
    try:
        app(arguments, prog_name="clsbench", standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code in (INTERRUPTED, TERMINATED):  # typer has caught the interrupt, and says nothing
            typer.echo("interrupted", err=True)
        return code
    except ClsbenchError as error:
        if debug:
            raise
        typer.secho(printable(f"error: {error}"), err=True, fg=typer.colors.RED if _colors() else None)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:
        if _interrupted(error):
            typer.echo("interrupted", err=True)
            return INTERRUPTED
        if debug:
            raise
        typer.echo(
            f"error: {type(error).__name__}: {error}\n"
            "  this is a fault of clsbench, not of yours; CLSBENCH_DEBUG=1 shows where",
            err=True,
        )
        return 1
    finally:
        sys.stdout = stdout  # with --json - it is for the JSON alone
    return 0


def _interrupted(error: BaseException | None) -> bool:
    """Whether an interrupt lies behind an error: libraries that are being imported or closed wrap it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _colors() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ
