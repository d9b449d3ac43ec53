"""``plugins check``: does a plugin keep what clsbench demands of its components?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clsbench.api.components import registry
from clsbench.api.observer import Observer
from clsbench.options import parse_with
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.registry import Plugin
    from clsbench.testing.rules import Outcome


@dataclass(frozen=True)
class PluginCheck:
    """What became of the checks of a plugin.

    Args:
        plugin: It.
        outcomes: One a check, in their order.
        models: Where none was named, the models that were checked, and how many there are; None if those are all.
    """

    plugin: Plugin
    outcomes: tuple[Outcome, ...]
    models: tuple[Sequence[str], int] | None = None

    def count(self, status: str) -> int:
        """How many checks ended so: ``passed``, ``failed`` or ``skipped``."""
        return sum(one.status == status for one in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether none failed; what was skipped is not known."""
        return not self.count("failed")

    @property
    def verdict(self) -> str:
        """The counts in one line."""
        parts = [f"{self.count(status)} {status}" for status in ("passed", "failed", "skipped")]
        return f"{counted(len(self.outcomes), 'check')}: {', '.join(part for part in parts if part[:2] != '0 ')}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "plugin": self.plugin.name,
            "distribution": self.plugin.distribution,
            "version": self.plugin.version,
            "passed": self.passed,
            "counts": {status: self.count(status) for status in ("passed", "failed", "skipped")},
            "models": {"checked": list(self.models[0]), "of": self.models[1]} if self.models else None,
            "checks": [one.to_json() for one in self.outcomes],
        }


def check_plugin(
    name: str,
    *components: str,
    options: Sequence[str] | Mapping[str, Mapping[str, object]] = (),
    observer: Observer | None = None,
) -> PluginCheck:
    """Try every check of a plugin: those of :func:`clsbench.testing.plugin_checks`.

    Args:
        name: Of the plugin; ``clsbench`` for the built-in components.
        components: Those to check, such as ``model/tiny`` or ``metric``; by default all, but a few of many models.
        options: What the checks need and options of build functions: ``["dataset/pets.root=pets/"]``, or
            ``{"dataset/pets": {"root": "pets/"}}``.
        observer: Hears how far it is.

    Raises:
        OptionError: if there is no such plugin or component, or an option is wrong.
    """
    from clsbench.testing.listing import models_left_out, plugin_checks
    from clsbench.testing.rules import run_checks

    observer = observer or Observer()
    observer.stage("loading")
    checks = plugin_checks(name, *components, options=_by_component(options), registry=registry())
    observer.stage("checking", len(checks))
    outcomes = []
    for outcome in run_checks(checks):
        observer.advance(1, int(outcome.status == "failed"))
        outcomes.append(outcome)
    plugin = checks[0].subject.plugin
    assert plugin  # the first checks are those of the plugin itself
    return PluginCheck(plugin, tuple(outcomes), models_left_out(name, *components, registry=registry()))


def _by_component(options: Sequence[str] | Mapping[str, Mapping[str, object]]) -> Mapping[str, Mapping[str, object]]:
    if isinstance(options, Mapping):
        return options
    found: dict[str, dict[str, object]] = {}
    for option in parse_with([options] if isinstance(options, str) else options):
        found.setdefault(option.prefix, {})[option.key] = option.text
    return found
