"""A listing of components with their options, shared by ``models`` and ``datasets``."""

from __future__ import annotations

import inspect
from typing import Any


def print_components(kind: str, *, json: str | None, quiet: bool) -> None:
    """Print every component of a kind, and the plugins that could not be asked."""
    from clsbench.cli.composition import registry
    from clsbench.cli.terminal import Terminal, table
    from clsbench.options import option_types

    terminal = Terminal(json=json, quiet=quiet)
    components = registry().components(kind)
    facts: list[dict[str, Any]] = [
        {
            "name": found.component.name,
            "qualified": found.qualified,
            "summary": found.component.summary,
            "plugin": found.plugin.name,
            "distribution": found.plugin.distribution,
            "version": found.plugin.version,
            "options": {name: _default(default) for name, (_, default) in option_types(found.component.build).items()},
        }
        for found in components
    ]
    rows = [(f["name"], f["plugin"], f["summary"], " ".join(f["options"])) for f in facts]
    terminal.print(table(f"{kind.capitalize()}s", ("name", "plugin", "summary", "options"), rows, left=4))
    for plugin in registry().broken():
        terminal.warn(f"plugin {plugin} cannot be used in full: {plugin.trouble}")
    terminal.facts({"schema": 1, f"{kind}s": facts})


def _default(value: Any) -> Any:
    return None if value is inspect.Parameter.empty else value
