"""``clsbench inspect``: what a model file says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import Json, Quiet


def inspect(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An .onnx file; the latest export if left out.")
    ] = None,
    classes: Annotated[bool, typer.Option("--classes", help="List every class.")] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print a model file's card: classes, preprocessing, provenance, parity."""
    from clsbench import runs
    from clsbench.cli.terminal import Terminal, facts_table
    from clsbench.model_file import read_card

    terminal = Terminal(json=json, quiet=quiet)
    file = file or runs.latest_onnx()
    card = read_card(file)
    values = card.to_json()
    shown = ", ".join(card.classes[:8]) + (", …" if len(card.classes) > 8 else "")
    facts = [
        ("classes", f"{len(card.classes)}: {shown}"),
        ("input", "{name} {dtype} {shape}".format(**values["input"])),
        ("output", "{name} {dtype} {shape}".format(**values["output"])),
        ("precision", card.precision),
        *((f"transform.{name}", str(value)) for name, value in values["transform"].items()),
        *((f"model.{name}", str(value)) for name, value in values["model"].items()),
        *((f"training.{name}", str(value)) for name, value in values["training"].items()),
        *((f"parity.{name}", str(value)) for name, value in values["parity"].items() if name != "batches"),
        ("clsbench", card.clsbench_version),
    ]
    terminal.print(facts_table(str(file), facts))
    if classes:
        terminal.print("\n".join(f"{k}\t{name}" for k, name in enumerate(card.classes)))
    terminal.facts({"file": str(file), **values})
