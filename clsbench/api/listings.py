"""``models``, ``datasets`` and ``plugins list``: what is installed."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from clsbench.api.completion import remember
from clsbench.api.components import registry
from clsbench.api.observer import Observer
from clsbench.errors import OptionError
from clsbench.hookspecs import HOOKS
from clsbench.options import option_types
from clsbench.registry import Plugin, Resolved


@dataclass(frozen=True)
class Listing:
    """Every component of a kind.

    Args:
        kind: A key of :data:`clsbench.hookspecs.HOOKS`.
        components: Them.
        names: The shortest name that means each: ``plugin/name`` where others have the name too.
    """

    kind: str
    components: tuple[Resolved, ...]
    names: tuple[str, ...]

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


def list_components(kind: str, *, match: str | None = None, observer: Observer | None = None) -> Listing:
    """Every component of a kind (``model``, ``dataset``, ``metric``, …), built-in ones first.

    Args:
        kind: A key of :data:`clsbench.hookspecs.HOOKS`.
        match: Only names that hold this text, or match it as a glob; in any case of letters. With a slash in it names
            such as ``timm/resnet18`` are compared.
        observer: Is warned of plugins that cannot be used.

    Raises:
        OptionError: for an unknown kind, or if no name matches.
    """
    observer = observer or Observer()
    if kind not in HOOKS:
        raise OptionError(f"there is no kind of component called '{kind}'", expected=", ".join(HOOKS))
    found = registry().components(kind)
    remember(kind, found)
    matching = found if match is None else _matching(kind, found, match)
    times = Counter(one.component.name for one in found)
    names = [_shortest(one, alone=times[one.component.name] == 1) for one in matching]
    listing = Listing(kind, tuple(matching), tuple(names))
    for plugin in registry().broken():
        observer.warn(f"plugin {plugin} cannot be used in full: {plugin.trouble}")
    return listing


def _shortest(found: Resolved, *, alone: bool) -> str:
    """The name that means this component: a bare one means the built-in component first."""
    return found.component.name if alone or found.owner is None else found.qualified


def _matching(kind: str, found: Sequence[Resolved], match: str) -> list[Resolved]:
    pattern = match.lower() if set("*?[") & set(match) else f"*{match.lower()}*"
    matching = [f for f in found if fnmatchcase((f.qualified if "/" in match else f.component.name).lower(), pattern)]
    if not matching:
        near = get_close_matches(match.lower(), [f.component.name for f in found], n=3, cutoff=0.5)
        raise OptionError(
            f"no {kind} matches",
            where="--match",
            got=match,
            expected=f"a part of one of the {len(found)} names, or a glob such as 'resnet*'",
            hint=f"did you mean {' or '.join(near)}?" if near else None,
        )
    return matching


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
        **({"facts": asdict(found.component.facts)} if found.kind == "model" else {}),
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
