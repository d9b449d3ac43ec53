"""From names to components: the registry of this process, and which options go to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from inspect import Parameter
from types import MappingProxyType
from typing import Any, get_args

from clsbench.errors import OptionError
from clsbench.guard import Opener
from clsbench.options import OptionValue, Use, assign, option_types
from clsbench.picture_shape import PictureShape
from clsbench.registry import Registry, Resolved

#: Options of components: texts as ``--with`` takes them, or the same as a mapping:
#: ``["model.width=64"]`` or ``{"model.width": 64}``.
Options = Sequence[str] | Mapping[str, object]


@cache
def registry() -> Registry:
    """The plugins of this process."""
    from clsbench import __version__, builtin

    return Registry(builtin, version=__version__)


@dataclass(frozen=True)
class Chosen:
    """A component that a name stood for, and the options that were given to it."""

    resolved: Resolved
    options: Mapping[str, OptionValue]

    @property
    def name(self) -> str:
        """Qualified: ``plugin/name``."""
        return self.resolved.qualified

    @property
    def defaults(self) -> dict[str, OptionValue]:
        """The component's options that were not given, with the values that they take."""
        known = option_types(self.resolved.component.build)
        return {
            name: default
            for name, (_, default) in known.items()
            if name not in self.options and default is not Parameter.empty
        }

    def asked(self, **flags: OptionValue) -> Chosen:
        """With the flags a user set, all of which the component has to take.

        Raises:
            OptionError: for a flag that would have no effect.
        """
        given = {name: value for name, value in flags.items() if value is not None and value is not False}
        for name in given.keys() - option_types(self.resolved.component.build).keys():
            raise OptionError(
                f"{self.name} has no option '{name}'", where=f"--{name.replace('_', '-')}", got=given[name],
                hint="leave it out: it would have no effect",
            )  # fmt: skip
        return replace(self, options={**given, **self.options})

    def offered(self, **values: OptionValue) -> Chosen:
        """With those of some general values that the component takes; None only where its option may be None."""
        known = option_types(self.resolved.component.build)
        taken = {k: v for k, v in values.items() if k in known and (v is not None or _may_be_none(*known[k]))}
        return replace(self, options={**taken, **self.options})

    def build(self, *arguments: object) -> Any:
        """Call the component's build function; see :meth:`clsbench.registry.Resolved.build`."""
        return self.resolved.build(*arguments, **self.options)

    def opener(self) -> Opener:
        """What builds the component later, or in another process."""
        return self.resolved.opener(**self.options)


def choose(
    wanted: Mapping[str, Iterable[str]], options: Options = (), *, uses: Mapping[str, type[Use]] = MappingProxyType({})
) -> dict[str, list[Chosen]]:
    """Resolve names, and give each component its options.

    Args:
        wanted: Kind -> names of the components that the task uses.
        options: Of all of them together.
        uses: Kind -> what says which options its components take, where these are more than their own.

    Raises:
        OptionError: for an unknown name, or an option that no component takes.
        PluginError: for an ambiguous or broken plugin.
    """
    found = [(kind, registry().resolve(kind, name)) for kind, names in wanted.items() for name in names]
    given = assign(option_texts(options), [uses.get(kind, Use)(kind, resolved) for kind, resolved in found])
    chosen: dict[str, list[Chosen]] = {kind: [] for kind in wanted}
    for (kind, resolved), own in zip(found, given, strict=True):
        chosen[kind].append(Chosen(resolved, own))
    return chosen


def colon_options(resolved: Resolved, texts: Sequence[str], *, where: str, example: str) -> dict[str, OptionValue]:
    """Options of a component from what stands between colons after its name: texts such as ``precision=bf16``.

    Args:
        resolved: The component.
        texts: One an option.
        where: The option of the command line that has them, and how one is written, for messages.
        example: See ``where``.

    Raises:
        OptionError: for a text that is none, or an option that the component does not have.
    """
    for text in texts:
        if not (text.partition("=")[0].strip() and "=" in text):
            raise OptionError(
                f"cannot read an option of {resolved.component.name}", where=where, got=text or "nothing",
                expected=f"KEY=VALUE after each colon: {example}",
            )  # fmt: skip
    return assign([f"{resolved.qualified}.{text}" for text in texts], [Use(resolved.kind, resolved)])[0]


def _may_be_none(annotation: object, default: object) -> bool:
    return default is None or type(None) in get_args(annotation)


def with_size(network: Chosen, shape: PictureShape) -> Chosen:
    """A model with the size that was asked for, if one was.

    Raises:
        OptionError: if it has another one by ``--with``, or takes none, or square ones only.
    """
    if shape.size is None:
        return network
    if network.options.get("size") is not None:
        raise OptionError(
            "the image size is given twice", where="--size",
            got=f"{shape.option} and {network.options['size']} by --with", hint="leave one of them out",
        )  # fmt: skip
    kind = option_types(network.resolved.component.build).get("size", (str,))[0]
    if isinstance(shape.option, str) and kind is not str and str not in get_args(kind):
        raise OptionError(
            f"{network.name} takes square images only", where="--size", got=shape.option,
            expected="one side, such as 224", hint="its option `size` is a whole number",
        )  # fmt: skip
    return network.asked(size=shape.option)


def metric_names(task: str) -> list[str]:
    """The built-in metrics of ``infer`` or ``evaluate``, in the order of a report."""
    return [found.qualified for found in registry().builtin("metric") if task in found.component.default_in]


def option_texts(options: Options) -> list[str]:
    """Options as ``--with`` takes them."""
    if isinstance(options, Mapping):
        return [f"{key}={value}" for key, value in options.items()]
    return [options] if isinstance(options, str) else list(options)
