"""``clsbench plugins``: what is installed and whether it works."""

from __future__ import annotations

from typing import Any

import typer

from clsbench.cli.parameters import Json, Quiet

app = typer.Typer(name="plugins", help="Look at the installed plugins.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def plugins() -> None:
    """Look at the installed plugins."""


@app.command(name="list")
def list_plugins(json: Json = None, quiet: Quiet = False) -> None:
    """List every plugin with its version, components, error, and whether it imports torch."""
    from clsbench.cli.composition import registry
    from clsbench.cli.terminal import Terminal, table

    terminal = Terminal(json=json, quiet=quiet)
    facts: list[dict[str, Any]] = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "components": plugin.components,
            "imports_torch": registry().imports_torch(plugin),
            "error": plugin.trouble,
        }
        for plugin in registry().plugins()
    ]
    rows = [
        (
            f["name"],
            f"{f['distribution']} {f['version']}",
            _components(f["components"]),
            {True: "yes", False: "no", None: "?"}[f["imports_torch"]],
            f["error"] or "",
        )
        for f in facts
    ]
    columns = ("plugin", "distribution", "components", "imports torch", "error")
    terminal.print(table("Plugins", columns, rows, left=5))
    terminal.facts({"schema": 1, "plugins": facts})


def _components(by_kind: dict[str, list[str]]) -> str:
    shown = {k: names if len(names) <= 4 else [*names[:3], f"… ({len(names)})"] for k, names in by_kind.items()}
    return "\n".join(f"{kind}: {', '.join(names)}" for kind, names in shown.items())
