"""``clsbench plugins``: what is installed, whether it works, and whether it keeps the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import OUTPUT, Json, Quiet
from clsbench.cli.usage import PlainCommand

if TYPE_CHECKING:
    from clsbench.api.check_plugin import PluginCheck
    from clsbench.cli.terminal import Terminal

app = typer.Typer(name="plugins", help="List, check and write plugins.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def plugins() -> None:
    """List, check and write plugins."""


@app.command(name="list", cls=PlainCommand)
def list_plugins(json: Json = None, quiet: Quiet = False) -> None:
    """List every plugin with its version, components, error, and whether it imports torch."""
    from clsbench.api import listings
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    listing = listings.list_plugins()
    rows = [
        (
            plugin.name,
            f"{plugin.distribution} {plugin.version}",
            _components(plugin.components),
            {True: "yes", False: "no", None: "?"}[imports_torch],
            plugin.trouble or "",
        )
        for plugin, imports_torch in listing.plugins
    ]
    columns = ("plugin", "distribution", "components", "imports torch", "error")
    terminal.print(table("Plugins", columns, rows, left=5))
    terminal.write_json(listing.to_json())


@app.command(name="check", cls=PlainCommand)
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin; clsbench for what is built in.")],
    components: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KIND/COMPONENT",
            help="What to check, such as metric, model/tiny or 'model/*'. Default: all, but of more than five models "
            "the three smallest.",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="KIND/NAME.KEY=VALUE",
            help="What a check needs, or an option of a component: dataset/pets.root=pets/, "
            "source/shop.location=shop://x, decoder/dicom.images=scans/, model/tiny.width=8.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the checks that passed one by one.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Try every rule that a plugin's components have to keep; exit 1 if one is broken."""
    from clsbench.api.check_plugin import check_plugin
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        found = check_plugin(name, *(components or ()), options=options or (), observer=observer)
    _print_checks(terminal, found, verbose)
    terminal.write_json(found.to_json())
    if not found.passed:
        raise typer.Exit(1)


def _print_checks(terminal: Terminal, found: PluginCheck, verbose: bool) -> None:
    """A row a check; without ``verbose`` one for all that passed of a component, and one for all that need another."""
    from clsbench.cli.tables import table

    rows: list[tuple[str, str, str, str, str]] = []
    for subject in dict.fromkeys(str(one.check.subject) for one in found.outcomes):
        own = [one for one in found.outcomes if str(one.check.subject) == subject]
        short = [one for one in own if not verbose and (one.status == "passed" or one.needs)]
        for status in ("passed", "skipped"):
            same = [one for one in short if one.status == status]
            needed = ", ".join(dict.fromkeys(one.needs for one in same if one.needs))
            seconds = f"{sum(one.seconds for one in same):.2f}"
            if same:
                rows.append((status, subject, f"{len(same)} of {len(own)} rules", seconds, needed and f"need {needed}"))
        rows += [
            (one.status, subject, one.check.rule.name, f"{one.seconds:.2f}", one.reason)
            for one in own
            if one not in short
        ]
    columns = ("", "component", "rule", "seconds", "why")
    terminal.print(table(f"Plugin {found.plugin}", columns, rows, left=5), found.verdict)
    if found.models:
        names, total = found.models
        terminal.note(f"checked {', '.join(names)}, the smallest of {total} models; 'model/*' checks them all")


def _components(by_kind: Mapping[str, Sequence[str]]) -> str:
    shown = {k: names if len(names) <= 4 else [*names[:3], f"… ({len(names)})"] for k, names in by_kind.items()}
    return "\n".join(f"{kind}: {', '.join(names)}" for kind, names in shown.items())


def print_components(kind: str, *, json: str | None, quiet: bool) -> None:
    """Print every component of a kind with its options."""
    from clsbench.api.listings import list_components
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal
    from clsbench.options import option_types

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        listing = list_components(kind, observer=observer)
    rows = [
        (f.component.name, f.plugin.name, f.component.summary, " ".join(option_types(f.component.build)))
        for f in listing.components
    ]
    terminal.print(table(f"{kind.capitalize()}s", ("name", "plugin", "summary", "options"), rows, left=4))
    terminal.write_json(listing.to_json())
