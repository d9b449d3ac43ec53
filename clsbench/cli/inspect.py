"""``clsbench inspect``: what a model file says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import Json, Quiet


def inspect(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="An .onnx file or an exported run; the latest export if left out."),
    ] = None,
    classes: Annotated[bool, typer.Option("--classes", help="List every class.")] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print a model file's card: classes, preprocessing, provenance, parity."""
    from clsbench.api.inspect import inspect as read
    from clsbench.cli.tables import facts_table
    from clsbench.cli.terminal import Terminal
    from clsbench.text import printable, shortened

    terminal = Terminal(json=json, quiet=quiet)
    found = read(file, observer=terminal.observer())
    names, values = found.card.classes, found.to_json()
    shown = ", ".join(shortened(name, 60) for name in names[:8]) + (", …" if len(names) > 8 else "")
    facts = [
        ("classes", f"{len(names)}: {shown}"),
        ("input", "{name} {dtype} {shape}".format(**values["input"])),
        ("output", "{name} {dtype} {shape}".format(**values["output"])),
        ("precision", values["precision"]),
        *(
            (f"{group}.{name}", str(value))
            for group in ("transform", "model", "training", "parity")
            for name, value in values[group].items()
            if name != "batches"
        ),
        ("clsbench", values["clsbench_version"]),
    ]
    terminal.print(facts_table(printable(str(found.file)), facts))
    if classes:
        terminal.print(printable("\n".join(f"{k:<7} {name}" for k, name in enumerate(names))))
    terminal.write_json(values)
