"""The program: runs a command line and turns errors into exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 finished, but a gate or budget was broken;
130 interrupted by Ctrl-C, 143 ended by SIGTERM; 141 nobody reads stdout any more.
``CLSBENCH_DEBUG=1`` shows tracebacks, ``CLSBENCH_STRICT=1`` makes a broken plugin an error.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import warnings
from typing import Annotated, Any

import typer
import typer.main

from clsbench import __version__
from clsbench.cli import completion, streams
from clsbench.cli.commands import Commands, add_commands
from clsbench.cli.failures import INTERRUPTED, TERMINATED, delivered, explain
from clsbench.errors import Terminated

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


def _code(asked: str | None) -> None:
    if asked is not None:
        from clsbench.cli.codes import print_codes

        print_codes(asked)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    code: Annotated[
        str | None,
        typer.Option(
            "--code",
            metavar="CODE",
            callback=_code,
            is_eager=True,
            autocompletion=completion.codes,
            help="Print what the code of a finding or an error means, and exit; CB lists all codes.",
        ),
    ] = None,
) -> None:
    """Train, export, run and judge image classifiers, with nothing silently wrong."""


def run() -> None:
    """The console script."""
    streams.prepare()
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)  # so that no unfinished file stays behind
    # Without a home that can be written to it uses a temporary folder, which is no news to its users.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # A damaged image is a row with a reason; Pillow's warnings would only clutter the screen.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    code = delivered(execute(sys.argv[1:]))
    if code in (INTERRUPTED, TERMINATED):
        # Threads of a library may be at work still: they are not waited for, and would abort an interpreter that
        # is taken down around them. Python takes one for ended whose join was interrupted (python/cpython#90882).
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _terminate(number: int, _: object) -> None:
    raise Terminated(128 + number)


@functools.cache
def _command() -> Any:
    """The program with all of its commands; their signatures are read once in a process."""
    return typer.main.get_command(app)


def execute(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    debug, stdout = os.environ.get("CLSBENCH_DEBUG") == "1", sys.stdout
    try:
        _command()(arguments, prog_name="clsbench", standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code in (INTERRUPTED, TERMINATED):  # typer has caught the interrupt, and says nothing
            explain(end)
        return code
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, KeyboardInterrupt):
            raise
        return explain(error)
    finally:
        sys.stdout = stdout  # with --json - it is for the JSON alone
    return 0
