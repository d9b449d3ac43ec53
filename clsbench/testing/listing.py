"""``plugin_checks``: the list of checks of a plugin, for pytest and for ``clsbench plugins check``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType

from clsbench.errors import OptionError
from clsbench.hookspecs import HOOKS
from clsbench.registry import Plugin, Registry, Resolved
from clsbench.testing import (
    backend_rules,
    dataset_rules,
    decoder_rules,
    executor_rules,
    metric_rules,
    model_rules,
    plugin_rules,
    source_rules,
    writer_rules,
)
from clsbench.testing.inputs import Options, addresses, for_component
from clsbench.testing.rules import Check, Rule, Subject
from clsbench.text import some

#: Kind -> its rules, in the order in which they are tried.
RULES: dict[str, tuple[Rule, ...]] = {
    "model": model_rules.RULES,
    "dataset": dataset_rules.RULES,
    "source": source_rules.RULES,
    "decoder": decoder_rules.RULES,
    "backend": backend_rules.RULES,
    "executor": executor_rules.RULES,
    "writer": writer_rules.RULES,
    "metric": metric_rules.RULES,
}

#: Of more models than this, those with the fewest parameters are checked where none is named.
MOST_MODELS, FEW_MODELS = 5, 3


def plugin_checks(
    name: str, *components: str, options: Options = MappingProxyType({}), registry: Registry | None = None
) -> list[Check]:
    """Every check of a plugin: of itself, and of its components.

        @pytest.mark.parametrize("check", plugin_checks("acme"), ids=str)
        def test_plugin(check):
            check()

    Args:
        name: Of the plugin, as ``clsbench plugins list`` shows it; ``clsbench`` for the built-in components.
        components: Those to check: ``metric``, ``model/tiny``, ``model/res*`` or ``tiny``. By default all of them, but
            of more than five models the three with the fewest parameters; ``model/*`` is all of them.
        options: What the checks need and options of build functions, by ``kind/name``, ``kind`` or name:
            ``{"dataset/pets": {"root": "pets/"}}``. See ``plugins/README.md`` for what each kind takes.
        registry: Where the plugin is looked for; by default what is installed.

    Returns:
        The checks, those of a component one after another. A check that needs an input that was not given is skipped
        when it is called.

    Raises:
        OptionError: if there is no such plugin or component, or an option is wrong.
    """
    plugin, found = _plugin(name, registry or installed_registry())
    chosen = _chosen(plugin, found, components)
    if plugin.trouble is None:  # else the check that it loads says what is wrong
        _refuse_unknown(options, found)
    subjects: list[tuple[Subject, tuple[Rule, ...]]] = [(Subject(plugin), plugin_rules.RULES)]
    for one in chosen:
        inputs, own = for_component(options, one)
        subjects.append((Subject(plugin, one.kind, one.component, inputs, own), RULES[one.kind]))
    return [Check(rule, subject, rule is rules[-1]) for subject, rules in subjects for rule in rules]


def models_left_out(name: str, *components: str, registry: Registry) -> tuple[list[str], int] | None:
    """The models that are checked where none is named, and how many there are, if those are more; else None."""
    plugin, found = _plugin(name, registry)
    models = [one.component.name for one in found if one.kind == "model"]
    chosen = [one.component.name for one in _chosen(plugin, found, components) if one.kind == "model"]
    by_default = not any(_matches(one, p) for one in found if one.kind == "model" for p in components if p != "model")
    return (chosen, len(models)) if by_default and 0 < len(chosen) < len(models) else None


def installed_registry() -> Registry:
    """The plugins that are installed."""
    from clsbench import __version__, builtin

    return Registry(builtin, version=__version__)


def _plugin(name: str, registry: Registry) -> tuple[Plugin, list[Resolved]]:
    """A plugin, loaded, and its components."""
    plugins = {plugin.name: plugin for plugin in registry.plugins(name)}
    if name not in plugins:
        known = registry.names()
        near = difflib.get_close_matches(name, known, n=1)
        raise OptionError(
            f"no plugin '{name}' is installed",
            expected=f"one of {', '.join(known)}",
            hint=f"did you mean {near[0]}?" if near else "pip install -e the folder of its pyproject.toml",
        )
    return plugins[name], [one for kind in HOOKS for one in registry.components_of(plugins[name], kind)]


def _chosen(plugin: Plugin, found: Sequence[Resolved], wanted: Sequence[str]) -> list[Resolved]:
    """The components that are named; without names all, but of many models a few."""
    if wanted:
        names = [f"{one.kind}/{one.component.name}" for one in found]
        for pattern in wanted:
            if plugin.trouble is None and not any(_matches(one, pattern) for one in found):
                near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.5)
                raise OptionError(
                    f"plugin {plugin} has no component that matches",
                    got=pattern,
                    expected=f"KIND, KIND/NAME or NAME, where * stands for any letters: {some(names) or 'it has none'}",
                    hint=f"did you mean {' or '.join(near)}?" if near else None,
                )
        found = [one for one in found if any(_matches(one, pattern) for pattern in wanted)]
    models = [one for one in found if one.kind == "model"]
    if len(models) > MOST_MODELS and not any(_matches(one, p) for one in models for p in wanted if p != "model"):
        ordered = sorted(models, key=lambda one: one.component.facts.parameters or float("inf"))
        models = ordered[:FEW_MODELS]
    return [one for one in found if one.kind != "model" or one in models]


def _matches(one: Resolved, pattern: str) -> bool:
    return any(fnmatchcase(address.lower(), pattern.lower()) for address in addresses(one))


def _refuse_unknown(options: Options, found: Sequence[Resolved]) -> None:
    known = {address for one in found for address in addresses(one)}
    for address in options:
        if address not in known:
            near = difflib.get_close_matches(address, sorted(known), n=1)
            raise OptionError(
                "options are given for a component that is not there",
                got=address,
                expected="KIND/NAME, for example dataset/pets",
                hint=f"did you mean {near[0]}?" if near else None,
            )
