"""Component options: texts such as ``model.width=64`` to keyword arguments of build functions.

The keyword-only parameters of a build function are its options. They are read from the
signature, so that a misspelt or ill-typed option is refused before anything heavy loads.

Options belong to a component. The text before the dot is the component's name, or its kind
where only one component of that kind in use has the option.
"""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union

from clsbench.errors import OptionError

if TYPE_CHECKING:
    from clsbench.registry import Resolved

#: What an option of a component may be.
OptionValue = str | int | float | bool | Path | tuple[str, ...] | None

#: Kinds of component whose prefix is another word than the kind.
PREFIXES = {"dataset": "data"}


class WithOption(NamedTuple):
    """One ``KIND.KEY=VALUE`` or ``NAME.KEY=VALUE``."""

    prefix: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.prefix}.{self.key}={self.text}"


@dataclass(frozen=True)
class Use:
    """A component that a task uses.

    Args:
        kind: A key of :data:`clsbench.hookspecs.HOOKS`.
        resolved: The component.
    """

    kind: str
    resolved: Resolved

    @property
    def prefix(self) -> str:
        """What addresses every component of the kind: ``model``, ``data``, ``metric``."""
        return PREFIXES.get(self.kind, self.kind)

    @property
    def names(self) -> tuple[str, str]:
        """What addresses this component alone."""
        return self.resolved.component.name, self.resolved.qualified

    def known(self) -> dict[str, tuple[Any, Any]]:
        """Its options: name -> (annotation, default)."""
        return option_types(self.resolved.component.build)


def parse_with(pairs: Iterable[str]) -> list[WithOption]:
    """Take texts such as ``model.width=64`` apart.

    >>> parse_with(["model.width=64", "acme/tiny.batch-norm=on"])
    [WithOption(prefix='model', key='width', text='64'), WithOption(prefix='acme/tiny', key='batch_norm', text='on')]

    Raises:
        OptionError: if a text is not of that form.
    """
    parsed = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        prefix, _, key = name.rpartition(".")  # names of components may have dots, keys have none
        if not (equals and prefix and key):
            raise OptionError(
                "cannot read an option",
                where="--with",
                got=pair,
                expected="KIND.KEY=VALUE, or NAME.KEY=VALUE with the name of a component",
                hint="for example --with model.width=64",
            )
        parsed.append(WithOption(prefix, key.replace("-", "_"), text))
    return parsed


def assign(pairs: Iterable[str], used: Sequence[Use]) -> list[dict[str, OptionValue]]:
    """Give each component of a task its options.

    A prefix that is the name of a component in use addresses that component. One that is a
    kind (``model``, ``data``, ``metric``, …) addresses the component of that kind that has
    the option, of which there must be exactly one.

    Args:
        pairs: ``KIND.KEY=VALUE`` or ``NAME.KEY=VALUE``, as typed; of two for the same option the later one counts.
        used: The components of the task.

    Returns:
        For each of ``used``, in the same order, the keyword arguments for its build function.

    Raises:
        OptionError: if a text cannot be read, no component takes an option, several do, or
            its value is of the wrong type.
    """
    options: list[dict[str, OptionValue]] = [{} for _ in used]
    for option in parse_with(pairs):
        for position in _takers(option, used):
            options[position][option.key] = _converted(option, used[position])
    return options


def _takers(option: WithOption, used: Sequence[Use]) -> list[int]:
    """Positions of the component that takes an option; several if it is used several times."""
    addressed = [k for k, use in enumerate(used) if option.prefix in (use.prefix, *use.names)]
    takers = [k for k in addressed if option.key in used[k].known()]
    if not addressed:
        raise _unknown_prefix(option, used)
    if not takers:
        raise _unknown_key(option, [used[k] for k in addressed])
    if len(takers) > 1 and any(used[k] != used[takers[0]] for k in takers):
        choices = [_own_prefix(used[k], used) for k in takers]
        raise OptionError(
            f"several components have the option '{option.key}'",
            where=f"--with {option}",
            got=", ".join(used[k].resolved.qualified for k in takers),
            hint=f"name the one you mean: {' or '.join(f'{name}.{option.key}={option.text}' for name in choices)}",
        )
    return takers


def _own_prefix(use: Use, used: Sequence[Use]) -> str:
    """The shortest prefix that addresses this component alone."""
    for name in (*use.names, use.prefix):
        if [other for other in used if name in (other.prefix, *other.names)] == [use]:
            return name
    return use.names[1]


def _unknown_prefix(option: WithOption, used: Sequence[Use]) -> OptionError:
    prefixes = list(dict.fromkeys(prefix for use in used for prefix in (use.prefix, use.names[0])))
    near = difflib.get_close_matches(option.prefix, prefixes, n=1)
    return OptionError(
        f"nothing in use here is called '{option.prefix}'",
        where=f"--with {option}",
        expected=f"one of {', '.join(prefixes)}" if prefixes else "no --with: no component is in use",
        hint=f"did you mean {near[0]}.{option.key}?" if near else None,
    )


def _unknown_key(option: WithOption, addressed: Sequence[Use]) -> OptionError:
    known = list(dict.fromkeys(key for use in addressed for key in sorted(use.known())))
    near = difflib.get_close_matches(option.key, known, n=1)
    owners = " or ".join(use.names[0] for use in addressed[:3]) + (" …" if len(addressed) > 3 else "")
    return OptionError(
        f"{owners} has no option '{option.key}'",
        where=f"--with {option}",
        expected=", ".join(known) or "no options at all",
        hint=f"did you mean {option.prefix}.{near[0]}?" if near else None,
    )


def _converted(option: WithOption, use: Use) -> OptionValue:
    annotation = use.known()[option.key][0]
    try:
        value: OptionValue = convert(option.text, annotation)
    except ValueError as error:
        raise OptionError(
            f"option '{option.key}' of {use.names[0]} has the wrong type",
            where=f"--with {option}",
            got=option.text,
            expected=str(error) or describe(annotation),
        ) from None
    return value


def option_types(build: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The options of a build function: name -> (annotation, default)."""
    function = build
    while hasattr(function, "func"):  # functools.partial has no annotations of its own
        function = function.func
    scope = getattr(function.__init__ if inspect.isclass(function) else function, "__globals__", {})
    return {
        name: (_resolve(parameter.annotation, scope), parameter.default)
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _resolve(annotation: Any, scope: dict[str, object]) -> Any:
    """The type an annotation means; text where it is absent or known to type checkers only."""
    if annotation is inspect.Parameter.empty:
        return str
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={"x": annotation}), scope)["x"]
    except NameError:
        return str


def convert(text: str, annotation: Any) -> Any:
    """Read ``text`` as a value of ``annotation``; ValueError says what was expected."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        if type(None) in arguments and text.lower() in ("", "none"):
            return None
        for candidate in (a for a in arguments if a is not type(None)):
            try:
                return convert(text, candidate)
            except ValueError:
                continue
        raise ValueError(describe(annotation))
    if origin is Literal:
        for choice in arguments:
            if str(choice) == text:
                return choice
        raise ValueError(describe(annotation))
    if annotation is bool:
        if text.lower() in ("true", "yes", "on", "1"):
            return True
        if text.lower() in ("false", "no", "off", "0"):
            return False
        raise ValueError("true or false")
    if annotation in (int, float):
        try:
            return annotation(text)
        except ValueError:
            raise ValueError(describe(annotation)) from None
    if annotation is Path:
        return Path(text)
    if annotation in (str, Any):
        return text
    raise ValueError(f"nothing that can be typed here: it is a {describe(annotation)}")


def describe(annotation: Any) -> str:
    """A type in a user's words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(a) for a in arguments)
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return "none" if annotation is type(None) else words.get(annotation, getattr(annotation, "__name__", "text"))
