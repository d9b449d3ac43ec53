"""``clsbench models``: the networks that train and export know; or one of them, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import Json, Quiet, With

if TYPE_CHECKING:
    from clsbench.api.listings import Listing
    from clsbench.api.models import ModelDescription
    from clsbench.cli.terminal import Terminal


def models(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The model to print layer by layer.", autocompletion=completion.models),
    ] = None,
    match: Annotated[
        str | None, typer.Option(metavar="TEXT", help="List only names with this text in them, or that match a glob.")
    ] = None,
    num_classes: Annotated[int, typer.Option(metavar="K", min=2, help="Number of classes of NAME.")] = 1000,
    depth: Annotated[int, typer.Option(min=1, metavar="N", help="How deep to print nested layers of NAME.")] = 3,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """List the models of every plugin, or print the layers of one and what each recipe trains of it."""
    from clsbench.api.listings import list_components
    from clsbench.api.models import describe_model
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError

    terminal = Terminal(json=json, quiet=quiet)
    if name is None and options:
        raise OptionError("which model are the options for?", where="--with", got=options[0], expected="NAME")
    if name and match:
        raise OptionError("either NAME or --match, not both", got=f"{name} and --match {match}")
    if name is None:
        with terminal.observer() as observer:
            listing = list_components("model", match=match, observer=observer)
        _print_list(terminal, listing)
        terminal.write_json(listing.to_json())
    else:
        found = describe_model(name, num_classes=num_classes, options=options or ())
        _print_layers(terminal, found, depth)
        terminal.write_json(found.to_json())


def _print_list(terminal: Terminal, listing: Listing) -> None:
    from clsbench.cli.tables import millions, percent, table

    wide = terminal.out.width >= 100  # at 80 columns each has one line; --json has everything
    rows = [
        (
            f.component.name,
            millions(f.component.facts.parameters),
            str(f.component.facts.size or "-"),
            percent(f.component.facts.top1),
            *([f.plugin.name] if wide else []),
            f.component.summary,
        )
        for f in listing.components
    ]
    columns = ("name", "parameters", "input", "top-1", *(["plugin"] if wide else []), "summary")
    made = table("Models", columns, rows)
    for column in made.columns:
        column.no_wrap = True
    for column in made.columns[4:]:
        column.justify = "left"
    if terminal.out.is_terminal:
        made.columns[-1].overflow = "ellipsis"
    else:
        made.columns[-1].no_wrap = False
    terminal.print(made)
    terminal.note("parameters with 1,000 classes; top-1 of the published weights on ImageNet")
    terminal.note("next: clsbench models NAME prints the layers of one")


def _print_layers(terminal: Terminal, found: ModelDescription, depth: int) -> None:
    from rich.text import Text

    from clsbench.cli.tables import table
    from clsbench.text import printable

    rows = [
        (
            "  " * (layer.depth - 1) + layer.name.removeprefix("backbone."),
            layer.kind,
            "×".join(map(str, layer.output)) if layer.output else "-",
            f"{layer.parameters:,}" if layer.parameters else "-",
        )
        for layer in found.layers
        if layer.depth <= depth
    ]
    rows.append(("all", "", "", f"{found.parameters:,}"))
    h, w = found.transform.size
    title = f"{found.name}: {h}×{w}×3 to {found.feature_dim:,} features to {found.num_classes:,} logits"
    terminal.print(table(title, ("layer", "type", "output", "parameters"), rows, left=2))
    learning = [
        (r.recipe, r.stage, str(r.epochs), f"{r.parameters:,}", f"{r.parameters / found.parameters:.1%}")
        for r in found.recipes
    ]
    columns = ("recipe", "stage", "epochs", "parameters that learn", "of all")
    terminal.print(table("Trained by recipe, with its defaults", columns, learning, left=2))
    groups = ", ".join(name for name, _ in found.groups)
    terminal.print(Text(printable(f"layer groups, for --unfreeze-from: {groups}")))
