"""``clsbench plugins``: what is installed, whether it works, and whether it keeps the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from clsbench.cli import check_plugin, new_plugin
from clsbench.cli.parameters import Json, Quiet
from clsbench.cli.usage import PlainCommand

if TYPE_CHECKING:
    from clsbench.registry import Plugin

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
            _version(plugin),
            _components(plugin.components) or "broken",
            {True: "yes", False: "no", None: "?"}[imports_torch],
        )
        for plugin, imports_torch in listing.plugins
    ]
    terminal.print(table("Plugins", ("plugin", "version", "components", "imports torch"), rows, left=4))
    terminal.print(*(f"{plugin.name} is broken: {plugin.trouble}" for plugin, _ in listing.plugins if plugin.trouble))
    terminal.write_json(listing.to_json())


app.command(name="check", cls=PlainCommand)(check_plugin.check)
app.command(name="new", cls=PlainCommand)(new_plugin.new)


def _version(plugin: Plugin) -> str:
    """With the distribution, where that is not called as distributions of plugins are."""
    usual = plugin.distribution in ("clsbench", f"clsbench-{plugin.name}")
    return plugin.version if usual else f"{plugin.distribution} {plugin.version}"


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
