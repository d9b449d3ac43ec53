"""``clsbench plugins new``: a plugin to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import OUTPUT, Json, Quiet


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What users will type, such as acme-hats.")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND,…",
            help="What it offers: model, dataset, source, decoder, backend, executor, writer, metric; or all.",
        ),
    ] = "model",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="New or empty folder to write. Default: clsbench-NAME.", rich_help_panel=OUTPUT
        ),
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write a new plugin: a distribution with working components, tests and README."""
    from clsbench.api.new_plugin import new_plugin
    from clsbench.cli.terminal import Terminal
    from clsbench.hookspecs import HOOKS

    terminal = Terminal(json=json, quiet=quiet)
    kinds = tuple(HOOKS) if kind == "all" else tuple(one.strip() for one in kind.split(","))
    made = new_plugin(name, kinds=kinds, out=out)
    terminal.print("\n".join(str(made.folder / file) for file in made.files))
    terminal.write_json(made.to_json())
    terminal.note(f"next: {shlex.join(['pip', 'install', '-e', f'{made.folder}[test]'])}")
    terminal.next("plugins", "check", made.name)
