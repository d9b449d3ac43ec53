"""The composition root: the one place where names become objects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from clsbench.errors import OptionError
from clsbench.options import check_options, option_types
from clsbench.registry import Registry, Resolved


@cache
def registry() -> Registry:
    """The plugins of this process."""
    from clsbench import __version__, builtin

    return Registry(builtin, version=__version__)


def resolve(
    kind: str, name: str, given: dict[str, dict[str, str]], *, prefix: str | None = None
) -> tuple[Resolved, dict[str, Any]]:
    """A component and its checked options out of ``--with``.

    Raises:
        OptionError: for an unknown name or option.
        PluginError: for an ambiguous or broken plugin.
    """
    found = registry().resolve(kind, name)
    prefix = prefix or kind
    options = check_options(found.component.build, given.get(prefix, {}), owner=name, prefix=prefix)
    return found, options


def asked(given: dict[str, dict[str, str]], **options: Any) -> dict[str, dict[str, str]]:
    """``--with`` plus a model's own flags, so that one check refuses what the model does not take."""
    set_ones = {name: str(value) for name, value in options.items() if value}
    return {**given, "model": {**set_ones, **given.get("model", {})}}


def explicit(found: Resolved, **options: Any) -> dict[str, Any]:
    """The flags a user set, all of which the component has to take.

    Raises:
        OptionError: for a flag that would have no effect.
    """
    chosen = {name: value for name, value in options.items() if value not in (None, False)}
    for name in chosen.keys() - option_types(found.component.build).keys():
        raise OptionError(
            f"{found.qualified} does not take this option", where=f"--{name.replace('_', '-')}", got=chosen[name]
        )
    return chosen


def accepted(found: Resolved, **options: Any) -> dict[str, Any]:
    """Those of the general options that the component's build function takes."""
    known = option_types(found.component.build)
    return {name: value for name, value in options.items() if name in known}


def build_decoders(names: Sequence[str], given: dict[str, dict[str, str]]) -> list[Any]:
    """The decoders a user asked for, in order; the built-in ones follow by themselves."""
    built = []
    for name in names:
        found, options = resolve("decoder", name, given)
        built.append(found.build(**options))
    return built


def build_dataset(
    name: str, root: Path | None, given: dict[str, dict[str, str]], *, val_fraction: float, seed: int
) -> tuple[Any, Resolved, dict[str, Any]]:
    """A dataset, the component it came from, and the options that build it again."""
    found, options = resolve("dataset", name, given, prefix="data")
    options = {**accepted(found, val_fraction=val_fraction, seed=seed), **options}
    return found.build(root, **options), found, options
