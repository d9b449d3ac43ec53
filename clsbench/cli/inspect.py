"""``clsbench inspect``: what a model file says about itself, and what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import Json, Quiet

if TYPE_CHECKING:
    from clsbench.api.inspect import Inspection
    from clsbench.onnx_file import TensorFacts

#: How many operators, tensors and files are shown of each; the JSON has all.
SHOWN = 8

Facts = list[tuple[str, str]]


def inspect(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Any .onnx file or an exported run; the latest export if left out."),
    ] = None,
    classes: Annotated[bool, typer.Option("--classes", help="List every class.")] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print what is in a model file: its card, or what it lacks of one; graph, parameters, hash."""
    from clsbench.api.inspect import inspect as read
    from clsbench.cli.card_facts import card_facts
    from clsbench.cli.tables import facts_table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    found = read(file, observer=terminal.observer())
    card = card_facts(found.card) if found.card else [("card", "no card: clsbench did not write this file")]
    missing = [("missing" if k == 0 else "", gap) for k, gap in enumerate(found.missing)]
    terminal.print(facts_table(str(found.file), [*card, *_of_graph(found), *missing]))
    if classes and found.card:
        names = (name.replace("\n", "?") for name in found.card.classes)
        terminal.print("\n".join(f"{k:<7} {name}" for k, name in enumerate(names)))
    terminal.write_json(found.to_json())
    if not found.card:
        terminal.next("adopt", found.file, why="gives it a card, or says what is needed for one")


def _of_graph(found: Inspection) -> Facts:
    from clsbench.text import counted, file_size, some

    graph = found.graph
    parameters = [
        f"{count:,} {dtype} ({file_size(graph.parameter_bytes[dtype])})" for dtype, count in graph.parameters.items()
    ]
    operators = some([f"{name} {count:,}" for name, count in graph.operators.items()], SHOWN)
    external = [f"{name} ({file_size(size)})" for name, size in found.external.items()]
    return [
        *(("input", _tensor(one)) for one in graph.inputs[:SHOWN]),
        *(("output", _tensor(one)) for one in graph.outputs[:SHOWN]),
        ("opset", some([f"{name} {version}" for name, version in graph.opsets.items()], SHOWN)),
        ("IR version", str(graph.ir_version)),
        ("producer", graph.producer or "-"),
        ("operators", f"{counted(graph.nodes, 'node')}: {operators}"),
        ("parameters", some(parameters, SHOWN) or "none"),
        ("metadata", some(sorted(graph.metadata), SHOWN) or "none"),
        ("external data", some(external, SHOWN) or "none"),
        ("size", f"{file_size(found.size)} ({found.size:,} bytes)"),
        ("sha256", found.sha256),
    ]


def _tensor(one: TensorFacts) -> str:
    shape = ", ".join("?" if dim is None else str(dim) for dim in one.shape)
    return f"{one.name} {one.dtype} ({shape})"
