"""``models``, ``datasets`` and ``plugins list``: what is installed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from clsbench.api.components import registry
from clsbench.api.observer import Observer
from clsbench.errors import OptionError
from clsbench.hookspecs import HOOKS
from clsbench.options import option_types
from clsbench.registry import Plugin, Resolved


@dataclass(frozen=True)
class Listing:
    """Every component of a kind."""

    kind: str
    components: tuple[Resolved, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"schema": 1, f"{self.kind}s": [_component_json(found) for found in self.components]}


@dataclass(frozen=True)
class PluginListing:
    """Every plugin, with whether importing it imports torch (None where that is unknown)."""

    plugins: tuple[tuple[Plugin, bool | None], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"schema": 1, "plugins": [_plugin_json(plugin, torch) for plugin, torch in self.plugins]}


def list_components(kind: str, *, observer: Observer | None = None) -> Listing:
    """Every component of a kind (``model``, ``dataset``, ``metric``, …), built-in ones first.

    Args:
        kind: A key of :data:`clsbench.hookspecs.HOOKS`.
        observer: Is warned of plugins that cannot be used.

    Raises:
        OptionError: for an unknown kind.
    """
    observer = observer or Observer()
    if kind not in HOOKS:
        raise OptionError(f"there is no kind of component called '{kind}'", expected=", ".join(HOOKS))
    listing = Listing(kind, tuple(registry().components(kind)))
    for plugin in registry().broken():
        observer.warn(f"plugin {plugin} cannot be used in full: {plugin.trouble}")
    return listing


def list_plugins() -> PluginListing:
    """Every installed plugin with its version, components and error."""
    return PluginListing(tuple((plugin, registry().imports_torch(plugin)) for plugin in registry().plugins()))


def _component_json(found: Resolved) -> dict[str, Any]:
    types = option_types(found.component.build)
    return {
        "name": found.component.name,
        "qualified": found.qualified,
        "summary": found.component.summary,
        "plugin": found.plugin.name,
        "distribution": found.plugin.distribution,
        "version": found.plugin.version,
        "options": {
            name: None if default is inspect.Parameter.empty else default for name, (_, default) in types.items()
        },
    }


def _plugin_json(plugin: Plugin, imports_torch: bool | None) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "components": plugin.components,
        "imports_torch": imports_torch,
        "error": plugin.trouble,
    }
