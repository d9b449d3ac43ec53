"""``clsbench models``: the networks that train and export know; or one of them, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import Json, Quiet, With

if TYPE_CHECKING:
    from clsbench.api.listings import Listing
    from clsbench.cli.terminal import Terminal

#: Characters that everything but a name takes, with ten for a summary; and parameters, input and top-1 alone.
BESIDE_NAMES, NUMBERS = 45, 33


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
    size: Annotated[
        str | None, typer.Option(metavar="N|H,W", help="Size of the images. Default: the model's own, such as 224.")
    ] = None,
    recipe: Annotated[
        Literal["fine-tune", "frozen", "scratch"] | None,
        typer.Option(help="Say of each layer in which stage of this recipe it learns."),
    ] = None,
    unfreeze_from: Annotated[
        str | None, typer.Option(metavar="GROUP", help="The same, where the layer groups before this one stay frozen.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the layers of NAME, as its name alone does.")] = False,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """List the models of every plugin, or print the layers of one and what each recipe trains of it."""
    from clsbench.api.listings import list_components
    from clsbench.api.models import describe_model
    from clsbench.cli.model_layers import print_layers
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError

    terminal = Terminal(json=json, quiet=quiet)
    asked = {"--with": options, "--size": size, "--recipe": recipe, "--unfreeze-from": unfreeze_from, "--show": show}
    if name is None and (lonely := next((option for option, value in asked.items() if value), None)):
        got = None if lonely == "--show" else str(asked[lonely])
        raise OptionError(f"which model is {lonely} for?", where=lonely, got=got, expected="NAME")
    if name and match:
        raise OptionError("either NAME or --match, not both", got=f"{name} and --match {match}")
    if name is None:
        with terminal.observer() as observer:
            listing = list_components("model", match=match, observer=observer)
        _print_list(terminal, listing)
        terminal.write_json(listing.to_json())
    else:
        found = describe_model(
            name, num_classes=num_classes, size=size, recipe=recipe, unfreeze_from=unfreeze_from, options=options or ()
        )
        print_layers(terminal, found, depth, learning=bool(recipe or unfreeze_from))
        terminal.write_json(found.to_json())


def _print_list(terminal: Terminal, listing: Listing) -> None:
    from clsbench.cli.tables import millions, percent, table

    wide = terminal.out.width >= 100  # at 80 columns each has one line; --json has everything
    longest = max(map(len, listing.names), default=0)
    plugins = 3 + max((len(f.plugin.name) for f in listing.components), default=0) if wide else 0
    room = terminal.out.width - longest
    shown = 6 if room >= BESIDE_NAMES else 4 if room >= NUMBERS else 3  # a number is never cut
    if wide and shown == 6 and room < BESIDE_NAMES + plugins + 10:
        shown = 5  # a summary of less than 20 characters says nothing
    rows = [
        (
            name,
            millions(f.component.facts.parameters),
            str(f.component.facts.size or "-"),
            percent(f.component.facts.top1),
            *([f.plugin.name] if wide else []),
            f.component.summary,
        )[:shown]
        for name, f in zip(listing.names, listing.components, strict=True)
    ]
    columns = ("name", "parameters", "input", "top-1", *(["plugin"] if wide else []), "summary")[:shown]
    made = table("Models", columns, rows)
    for column in made.columns:
        column.no_wrap = True
    for column in made.columns[4:]:
        column.justify = "left"
    if shown < 6:
        missing = {3: "top-1 and summary", 4: "a summary", 5: "a summary"}[shown]
        terminal.note(f"these names leave no room for {missing}: --match TEXT shortens the list, --json has all")
    elif terminal.out.is_terminal:
        made.columns[-1].overflow = "ellipsis"
    else:
        made.columns[-1].no_wrap = False
    terminal.print(made)
    terminal.note("parameters with 1,000 classes; top-1 of the published weights on ImageNet")
    terminal.note("next: clsbench models NAME prints the layers of one")
