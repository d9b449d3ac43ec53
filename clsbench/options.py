"""Component options: text from ``--with kind.key=value`` to keyword arguments.

The keyword-only parameters of a build function are its options. They are read from the
signature, so that a misspelt or ill-typed option is refused before anything heavy loads.
"""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from clsbench.errors import OptionError

#: Prefixes of ``--with``, one for each kind of component that takes options.
PREFIXES = ("model", "data", "decoder", "backend", "writer", "metric")


def parse_with(pairs: Sequence[str], kinds: Sequence[str] = PREFIXES) -> dict[str, dict[str, str]]:
    """Sort ``kind.key=value`` texts by kind.

    Args:
        pairs: As typed.
        kinds: The kinds of component that the command uses.

    >>> parse_with(["model.width=64", "data.val_fraction=0.1"])
    {'model': {'width': '64'}, 'data': {'val_fraction': '0.1'}}

    Raises:
        OptionError: if a text is not of that form, or its kind is not used.
    """
    options: dict[str, dict[str, str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        prefix, dot, name = key.partition(".")
        if not (equals and dot and name) or prefix not in kinds:
            raise OptionError(
                "cannot read an option",
                where="--with",
                got=pair,
                expected=f"KIND.KEY=VALUE with KIND one of {', '.join(kinds)}",
                hint=f"for example --with {kinds[0]}.key=value",
            )
        options.setdefault(prefix, {})[name.replace("-", "_")] = value
    return options


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


def _resolve(annotation: Any, scope: dict[str, Any]) -> Any:
    """The type an annotation means; text where it is absent or known to type checkers only."""
    if annotation is inspect.Parameter.empty:
        return str
    try:
        return typing.get_type_hints(types.SimpleNamespace(__annotations__={"x": annotation}), scope)["x"]
    except NameError:
        return str


def check_options(build: Callable[..., Any], given: Mapping[str, str], *, owner: str, prefix: str) -> dict[str, Any]:
    """Convert option texts to the types that ``build`` declares.

    Args:
        build: The build function whose keyword-only parameters are the options.
        given: Option name -> text, as typed.
        owner: The component's name, for messages.
        prefix: The kind that stands before the dot in ``--with``.

    Raises:
        OptionError: for an option that ``build`` does not have, or a value of the wrong type.
    """
    known = option_types(build)
    converted = {}
    for name, text in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise OptionError(
                f"{owner} has no option '{name}'",
                where=f"--with {prefix}.{name}={text}",
                expected=", ".join(sorted(known)) or "no options at all",
                hint=f"did you mean {prefix}.{near[0]}?" if near else None,
            )
        annotation = known[name][0]
        try:
            converted[name] = convert(text, annotation)
        except ValueError as error:
            raise OptionError(
                f"option '{name}' of {owner} has the wrong type",
                where=f"--with {prefix}.{name}={text}",
                got=text,
                expected=str(error) or describe(annotation),
            ) from None
    return converted


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
