"""JSON files: written whole and readable, and read into typed values whoever wrote them.

Every field of a dataclass is checked against its annotation, so that a damaged file or one
of another program gives an error that names the file and the field.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import reprlib
import types
import typing
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, Union

from clsbench.errors import ModelError
from clsbench.output_files import whole_file

#: Characters that JSON leaves as they are, and that a terminal obeys: C1 controls, and those that turn text round.
_STEERING = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

#: A JSON value without structure.
Scalar = str | int | float | bool | None

T = TypeVar("T")

_WORDS: Mapping[object, str] = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "null"
}  # fmt: skip


def parse_object(text: str | bytes, *, what: str, where: object = None) -> Mapping[str, object]:
    """Parse a text that holds one JSON object.

    Args:
        text: UTF-8 where it is bytes.
        what: A name for the content, for messages: ``a model card``.
        where: The file, for messages.

    Raises:
        ModelError: if it is not valid JSON (or nested too deeply), or not an object.
    """
    try:
        values: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{what} cannot be read: it is not valid JSON", where=where, got=error) from None
    if not isinstance(values, dict):
        raise ModelError(f"{what} cannot be read", where=where, got=reprlib.repr(values), expected="a JSON object")
    return values


def read_fields(kind: type[T], values: Mapping[str, object], *, what: str, where: object = None) -> T:
    """Build a dataclass from a JSON object.

    Args:
        kind: The dataclass. Fields with a default may be absent; names it does not have are ignored.
        values: The object.
        what, where: As in :func:`parse_object`.

    Raises:
        ModelError: if a field is missing or of another type; names it with its path.
    """
    try:
        return typing.cast(T, _read(kind, values, ""))
    except _WrongError as wrong:
        field, got, expected = wrong.args
        raise ModelError(f"{what} cannot be read", where=where, got=f"{field}{got}", expected=expected) from None


class _WrongError(Exception):
    """Field with a colon, what it holds, what it should hold."""


def _read(kind: object, value: object, path: str) -> object:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType) and (fitting := [k for k in arguments if _fits(k, value)]):
        return _read(fitting[0], value, path)
    if kind is object or (origin is Literal and value in arguments):
        return value
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(_read(k, v, f"{path}[{n}]") for n, (k, v) in enumerate(zip(kinds, value, strict=True)))
    elif origin is Mapping and isinstance(value, dict):
        return {name: _read(arguments[1], v, f"{path}.{name}") for name, v in value.items()}
    elif dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return _read_object(kind, value, path)
    elif kind in _WORDS and _fits(kind, value):
        return float(typing.cast(int, value)) if kind is float else value
    raise _WrongError(f"{path}: ", reprlib.repr(value), _expected(kind))


def _read_object(kind: type, values: Mapping[str, object], path: str) -> object:
    hints, given = typing.get_type_hints(kind), {}
    try:
        if path and hasattr(kind, "from_json"):
            return kind.from_json(values)
        for field in dataclasses.fields(kind):
            place = f"{path}.{field.name}" if path else field.name
            if field.name in values:
                given[field.name] = _read(hints[field.name], values[field.name], place)
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise _WrongError(f"{place}: ", "missing", _expected(hints[field.name]))
        return kind(**given)
    except ModelError as error:
        raise _WrongError(path and f"{path}: ", error.one_line(), None) from None


def _fits(kind: object, value: object) -> bool:
    """Whether a value can be meant by an alternative of a union; its parts are not looked at."""
    if kind in _WORDS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if kind is float and whole:
            return abs(typing.cast(int, value)) < 2**1000
        return whole if kind is int else isinstance(value, typing.cast(type, kind))
    origin = typing.get_origin(kind)
    return isinstance(value, list) if origin is tuple else isinstance(value, dict) if origin is not Literal else True


def _expected(kind: object) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if kind in _WORDS:
        return _WORDS[kind]
    return "a list" if origin is tuple else "a JSON object"


def flattened(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A JSON object without objects in it: the names of what is nested are joined by dots; lists stay.

    >>> flattened({"a": 1, "b": {"c": [2], "d": {}}})
    {'a': 1, 'b.c': [2]}
    """
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def write_json(path: Path, values: object, *, what: str = "the JSON") -> None:
    """Write JSON as UTF-8, so that the file is always whole.

    Args:
        path: The file; the folders above it are made.
        values: As for :func:`dumps`.
        what: The file, for messages.

    Raises:
        DataError: if it cannot be written.
    """
    with whole_file(path, what) as unfinished:
        unfinished.write_text(dumps(values), encoding="utf-8")


def dumps(values: object, *, ascii_only: bool = False) -> str:
    """Readable JSON. Bytes of a file name that are not UTF-8, and what would steer a terminal, become escapes.

    Args:
        values: Plain values.
        ascii_only: Write every other character as an escape too.
    """
    form = partial(json.dumps, indent=2, ensure_ascii=ascii_only, default=str)
    try:
        text = form(values, allow_nan=False)
    except ValueError:
        form(values)  # raises again where something else than NaN is wrong
        text = form(_finite(values))
    text = _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _finite(values: object) -> object:
    """The same with null for NaN and infinity, which JSON does not have."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
