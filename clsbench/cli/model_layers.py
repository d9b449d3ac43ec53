"""The layers of a network, and what each recipe trains, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clsbench.api.models import ModelDescription
    from clsbench.cli.terminal import Terminal


def print_layers(terminal: Terminal, found: ModelDescription, depth: int, *, learning: bool) -> None:
    """Print a network layer by layer.

    Args:
        terminal: Gets the tables.
        found: The network.
        depth: Of nested layers.
        learning: Whether to say of each layer in which stage it learns.
    """
    from rich.text import Text

    from clsbench.cli.tables import table
    from clsbench.text import file_size, on_one_line, printable

    rows = [
        (
            "  " * (layer.depth - 1) + on_one_line(layer.name.removeprefix("backbone.")),
            layer.kind,
            "×".join(map(str, layer.output)) if layer.output else "-",
            f"{layer.parameters:,}" if layer.parameters else "-",
            *([_learns(found, position)] if learning else []),
        )
        for position, layer in enumerate(found.layers)
        if layer.depth <= depth
    ]
    rows.append(("all", "", "", f"{found.parameters:,}", *([""] if learning else [])))
    h, w = found.transform.size
    title = f"{found.name}: {h}×{w}×3 to {found.feature_dim:,} features to {found.num_classes:,} logits"
    columns = ("layer", "type", "output", "parameters", *(["learns in"] if learning else []))
    made = table(title, columns, rows, left=2)
    if learning:
        made.columns[-1].justify = "left"
    terminal.print(made)
    stages = [
        (r.recipe, r.stage, str(r.epochs), f"{r.parameters:,}", f"{r.parameters / found.parameters:.1%}")
        for r in found.recipes
    ]
    columns = ("recipe", "stage", "epochs", "parameters that learn", "of all")
    terminal.print(table("Trained by recipe, with its defaults", columns, stages, left=2))
    work = f"{file_size(found.bytes)} in float32, {_millions(found.multiply_adds)} multiply-adds an image"
    terminal.print(f"size: {work}")
    groups = ", ".join(on_one_line(name) for name, _ in found.groups)
    terminal.print(Text(printable(f"layer groups, for --unfreeze-from: {groups}")))


def _millions(number: int) -> str:
    """A number in millions or thousands of millions.

    >>> _millions(876_000), _millions(1_814_073_344)
    ('0.88 M', '1.8 G')
    """
    return f"{number / 1e9:,.2g} G" if number >= 1e9 else f"{number / 1e6:,.{0 if number >= 1e7 else 2}f} M"


def _learns(found: ModelDescription, position: int) -> str:
    """The stages in which a layer learns, or part of it; nothing for one without parameters."""
    total = found.layers[position].parameters
    told = [
        stage.stage if count == total else f"{stage.stage} (part)"
        for stage in found.recipes
        if (count := stage.layers[position])
    ]
    return ", ".join(told) or ("frozen" if total else "")
