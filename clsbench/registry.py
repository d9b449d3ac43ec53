"""Finds, loads and resolves plugins; the only module that reads entry points.

Rules. A bare name means a built-in first, and then no third-party code is loaded; else
the one plugin that offers it. Two plugins offering it is an error that lists the
qualified names, raised only when the name is used. ``acme/tiny`` loads only ``acme``.
A broken plugin is skipped, remembered, and quoted when a name cannot be found; with
``CLSBENCH_STRICT=1`` it is an error at once. What a plugin prints while it is loaded goes to stderr.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from clsbench import hookspecs
from clsbench.component import Component
from clsbench.errors import OptionError, PluginError, Terminated
from clsbench.guard import Opener, quiet, reason
from clsbench.hookspecs import HOOKS, PROJECT
from clsbench.options import OptionValue

#: The entry-point group, and the name under which built-ins can be qualified.
GROUP = BUILTIN = "clsbench"


@dataclass
class Plugin:
    """One plugin as the registry knows it."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint | None = None
    module: Any = None
    error: str | None = None
    hook_errors: dict[str, str] = field(default_factory=dict)
    components: dict[str, list[str]] = field(default_factory=dict)

    @property
    def trouble(self) -> str | None:
        """Everything that is wrong with it, for people."""
        return "; ".join([*([self.error] if self.error else []), *self.hook_errors.values()]) or None

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Resolved:
    """A component together with the plugin that offers it, and the kind it was asked for as."""

    component: Component
    plugin: Plugin
    kind: str = ""

    @property
    def qualified(self) -> str:
        """The name that always means this component: ``plugin/name``."""
        return f"{self.plugin.name}/{self.component.name}"

    @property
    def owner(self) -> str | None:
        """The distribution and its version; None for built-ins."""
        known = self.plugin.entry_point is not None
        return f"distribution {self.plugin.distribution} {self.plugin.version}" if known else None

    def opener(self, **options: OptionValue) -> Opener:
        """What builds the component with these options, now, later or in another process."""
        return Opener(self.component.build, options, self.qualified, self.owner, self.kind)

    def build(self, *arguments: object, **options: OptionValue) -> Any:
        """Call the component's build function; see :class:`clsbench.guard.Opener`.

        Raises:
            ClsbenchError: as the component raised it.
            PluginError: for any other exception out of third-party code, or if it built
                something unusable; names the distribution.
        """
        return self.opener(**options)(*arguments)


class Registry:
    """The plugins of this process.

    Args:
        builtin: The module with the built-in hook implementations.
        version: Its version, for listings.
        found: Entry points to use instead of the installed ones (tests).
    """

    def __init__(self, builtin: Any, *, version: str = "", found: Sequence[EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._builtin = Plugin(BUILTIN, PROJECT, version, module=builtin)
        self._manager.register(builtin, BUILTIN)
        self._found = found
        self._discovered: dict[str, Plugin] | None = None

    def _external(self) -> dict[str, Plugin]:
        """Installed plugins by name; loads none of them."""
        if self._discovered is None:
            found = entry_points(group=GROUP) if self._found is None else self._found
            self._discovered = {}
            for point in sorted(found, key=lambda p: (p.name, _distribution(p))):
                plugin = Plugin(point.name, _distribution(point), _version(point), point)
                self._admit(plugin, self._discovered)
        return self._discovered

    def _admit(self, plugin: Plugin, known: dict[str, Plugin]) -> None:
        claimants = [p for p in [self._builtin, *known.values()] if p.name == plugin.name]
        if not claimants:
            known[plugin.name] = plugin
            return
        # Neither is trusted: which one was meant cannot be known.
        plugin.error = (
            f"the name '{plugin.name}' is claimed by {claimants[0].distribution} "
            f"and by {plugin.distribution}: uninstall one of them"
        )
        if claimants[0] is not self._builtin:
            claimants[0].error = plugin.error
        known[f"{plugin.name} ({plugin.distribution})"] = plugin
        _refuse_if_strict(plugin, None)

    def _load(self, plugin: Plugin) -> bool:
        """Import and register a plugin once; remember what went wrong."""
        if plugin.error is None and plugin.module is None and plugin.entry_point is not None:
            try:
                with quiet():
                    module = plugin.entry_point.load()
                    self._manager.register(module, plugin.name)
                plugin.module = module
                self._check_hooks(plugin)
            except (KeyboardInterrupt, Terminated):
                raise
            except BaseException as error:  # noqa: BLE001  a plugin may even call sys.exit
                plugin.error = reason(error)
                _refuse_if_strict(plugin, error)
        return plugin.error is None

    def _check_hooks(self, plugin: Plugin) -> None:
        callers = self._manager.get_hookcallers(plugin.module) or []
        unknown = [caller.name for caller in callers if not caller.has_spec()]
        if unknown:
            near = difflib.get_close_matches(unknown[0], HOOKS.values(), n=1)
            raise PluginError(f"unknown hook '{unknown[0]}'" + (f", did you mean '{near[0]}'?" if near else ""))
        if not callers:
            raise PluginError("it implements no hook; mark functions with clsbench.hookimpl")

    def names(self) -> list[str]:
        """The names of all plugins; loads none of them."""
        return [BUILTIN, *self._external()]

    def plugins(self, name: str | None = None) -> list[Plugin]:
        """Every plugin, or the one of a name, loaded, with its component names by kind and its error if any."""
        plugins = [p for p in (self._builtin, *self._external().values()) if name in (None, p.name)]
        for plugin in plugins:
            offers = {kind: [found.component.name for found in self.components_of(plugin, kind)] for kind in HOOKS}
            plugin.components |= {kind: names for kind, names in offers.items() if names}
        return plugins

    def components_of(self, plugin: Plugin, kind: str) -> list[Resolved]:
        """What one plugin offers of a kind; nothing of a broken one."""
        return [Resolved(c, plugin, kind) for c in self._offers(plugin, kind)] if self._load(plugin) else []

    def components(self, kind: str) -> list[Resolved]:
        """Every component of a kind, built-ins first."""
        return [c for plugin in (self._builtin, *self._external().values()) for c in self.components_of(plugin, kind)]

    def builtin(self, kind: str) -> list[Resolved]:
        """The built-in components of a kind; loads no plugin."""
        return self.components_of(self._builtin, kind)

    def broken(self) -> list[Plugin]:
        """Plugins found so far that cannot be used, or not in full."""
        return [plugin for plugin in (self._builtin, *self._external().values()) if plugin.trouble]

    def resolve(self, kind: str, name: str) -> Resolved:
        """The component a user means by ``name``.

        Args:
            kind: A key of :data:`clsbench.hookspecs.HOOKS`.
            name: A bare name, or ``plugin/name``.

        Raises:
            OptionError: if nothing offers the name; near matches and broken plugins are quoted.
            PluginError: if several plugins offer it, or the named plugin is broken.
        """
        owner, slash, bare = name.rpartition("/")
        if slash:
            return self._resolve_qualified(kind, owner, bare)
        for component in self._offers(self._builtin, kind):
            if component.name == name:
                return Resolved(component, self._builtin, kind)
        offers = (found for plugin in self._external().values() for found in self.components_of(plugin, kind))
        matches = [found for found in offers if found.component.name == name]
        if len(matches) > 1:
            raise PluginError(
                f"several plugins offer the {kind} '{name}'",
                got=", ".join(f"{m.qualified} from {m.plugin.distribution}" for m in matches),
                hint=f"use a qualified name, for example {matches[0].qualified}",
            )
        if not matches:
            raise self._unknown(kind, name)
        return matches[0]

    def _resolve_qualified(self, kind: str, owner: str, name: str) -> Resolved:
        known = {BUILTIN: self._builtin, **self._external()}
        plugin = known.get(owner)
        if plugin is None:
            raise OptionError(
                f"no plugin '{owner}' is installed",
                where=f"{owner}/{name}",
                expected=f"one of {', '.join(known)}",
                hint=f"pip install clsbench-{owner}, if there is one",
            )
        if not self._load(plugin):
            raise PluginError(f"plugin {plugin} cannot be used", got=plugin.error)
        for component in self._offers(plugin, kind):
            if component.name == name:
                return Resolved(component, plugin, kind)
        if kind in plugin.hook_errors:
            raise PluginError(f"plugin {plugin} cannot be used in full", got=plugin.hook_errors[kind])
        raise self._unknown(kind, name, within=plugin)

    def _offers(self, plugin: Plugin, kind: str) -> Iterator[Component]:
        """The components of one plugin, as lazily as its hook yields them."""
        caller = getattr(self._manager.hook, HOOKS[kind])
        end: Any = object()
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin.module:
                continue
            components: Any = None
            while True:
                try:
                    with quiet():  # a generator runs the plugin's code at every step
                        components = iter(implementation.function()) if components is None else components
                        component = next(components, end)
                    if component is end:
                        break
                    if not isinstance(component, Component):
                        raise PluginError(f"{HOOKS[kind]} yielded {component!r}, not a Component")
                except (KeyboardInterrupt, Terminated):
                    raise
                except BaseException as error:  # noqa: BLE001  the plugin's fault must not be everyone's
                    plugin.hook_errors[kind] = f"{HOOKS[kind]} failed: {reason(error)}"
                    _refuse_if_strict(plugin, error)
                    break
                yield component

    def _unknown(self, kind: str, name: str, within: Plugin | None = None) -> OptionError:
        offers = self.components_of(within, kind) if within else self.components(kind)
        names = [r.component.name for r in offers]
        near = list(dict.fromkeys(difflib.get_close_matches(name.lower(), names, n=5, cutoff=0.5)))
        listed = names if len(names) <= 12 else [*names[:12], f"… ({len(names)} in all)"]
        broken = "; ".join(f"{p} is broken: {p.trouble}" for p in self.broken())
        chosen = "the suffix of --out chooses one, or --format; " if kind == "writer" else ""
        return OptionError(
            f"unknown {kind} '{name}'" + (f" in plugin {within}" if within else ""),
            got=broken or None,
            expected=", ".join(listed) or f"no {kind} is installed",
            hint=f"did you mean {' or '.join(near)}?" if near else f"{chosen}`clsbench plugins list` shows them",
        )

    def imports_torch(self, plugin: Plugin) -> bool | None:
        """Whether importing a plugin imports torch, in a fresh interpreter; None where it cannot be imported."""
        if plugin.entry_point is None:
            return False
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            "from importlib.metadata import EntryPoint\n"
            f"EntryPoint('x', {plugin.entry_point.value!r}, 'x').load()\n"
            "print('\\n' + ('with' if 'torch' in sys.modules else 'without'), 'torch')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        # A plugin that ends the interpreter, with whatever code, leaves no answer.
        answers = [line for line in done.stdout.splitlines() if line in ("with torch", "without torch")]
        return answers[-1] == "with torch" if answers else None


def _refuse_if_strict(plugin: Plugin, error: BaseException | None) -> None:
    """With ``CLSBENCH_STRICT=1``, a broken plugin is an error at once, rather than one that is remembered."""
    if os.environ.get("CLSBENCH_STRICT") == "1":
        hint = "CLSBENCH_DEBUG=1 shows the traceback; without CLSBENCH_STRICT=1 the plugin is skipped"
        raise PluginError(f"plugin {plugin} is broken", got=plugin.trouble, hint=hint) from error


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown distribution"


def _version(point: EntryPoint) -> str:
    return point.dist.version if point.dist else "?"
