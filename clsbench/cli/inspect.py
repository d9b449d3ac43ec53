"""``clsbench inspect``: what a model file says about itself, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clsbench.cli.parameters import Json, Quiet

if TYPE_CHECKING:
    from clsbench.api.inspect import Inspection
    from clsbench.card import ModelCard
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
    from clsbench.cli.tables import facts_table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    found = read(file, observer=terminal.observer())
    card = _of_card(found.card) if found.card else [("card", "no card: clsbench did not write this file")]
    missing = [("missing" if k == 0 else "", gap) for k, gap in enumerate(found.missing)]
    terminal.print(facts_table(str(found.file), [*card, *_of_graph(found), *missing]))
    if classes and found.card:
        names = (name.replace("\n", "?") for name in found.card.classes)
        terminal.print("\n".join(f"{k:<7} {name}" for k, name in enumerate(names)))
    terminal.write_json(found.to_json())
    if not found.card:
        terminal.next("adopt", found.file, why="gives it a card, or says what is needed for one")


def _of_card(card: ModelCard) -> Facts:
    from clsbench.text import shortened

    names, values = card.classes, card.to_json()
    shown = ", ".join(shortened(name, 60) for name in names[:8]) + (", …" if len(names) > 8 else "")
    return [
        ("classes", f"{len(names)}: {shown}"),
        ("precision", values["precision"]),
        *_of_confidence(values),
        *(
            (f"{group}.{name}", _plain(value))
            for group in ("transform", "model", "training", "parity")
            for name, value in values[group].items()
            if name != "batches"
        ),
        ("clsbench", values["clsbench_version"]),
    ]


def _plain(value: object) -> str:
    """A value of the card as people write it; ``--json`` has it exactly.

    >>> _plain(None), _plain(True), _plain({}), _plain([224, 224]), _plain(0.954248366013072)
    ('-', 'yes', '-', '224, 224', '0.954248')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_plain(each)}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _of_confidence(values: Mapping[str, Any]) -> Facts:
    """Temperature and threshold, and what is known of them, where there are any."""

    def brief(value: object) -> str:
        if isinstance(value, list):
            return " to ".join(map(brief, value))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    numbers = [(name, f"{values[name]:.6g}") for name in ("temperature", "abstain_below") if values.get(name)]
    records = [
        (f"{group}.{name}", brief(value))
        for group in ("calibration", "abstention")
        for name, value in values.get(group, {}).items()
    ]
    return [*numbers, *records]


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
