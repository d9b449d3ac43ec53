import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from clsbench.errors import ModelError
from clsbench.json_fields import Scalar, dumps, parse_object, read_fields, write_json


@dataclass(frozen=True)
class Inner:
    name: str
    size: int | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    kind: Literal["a", "b"] = "a"
    pair: tuple[int, float] = (0, 0.0)
    many: tuple[Inner, ...] = ()
    values: Mapping[str, Scalar] = field(default_factory=dict)
    anything: object = None


def read(**values):
    return read_fields(Outer, {"inner": {"name": "x"}, **values}, what="a thing", where="thing.json")


def test_nested_values_are_built():
    got = read(
        kind="b",
        pair=[1, 2],
        many=[{"name": "y", "size": 3, "unknown": 1}],
        values={"t": True, "n": None},
        anything=[{}],
    )
    assert got == Outer(Inner("x"), "b", (1, 2.0), (Inner("y", 3),), {"t": True, "n": None}, [{}])
    assert isinstance(got.pair[1], float)


@pytest.mark.parametrize(
    ("values", "got", "expected"),
    [
        ({"inner": {}}, "inner.name: missing", "text"),
        ({"inner": 3}, "inner: 3", "a JSON object"),
        ({"inner": {"name": "x", "size": "y"}}, "inner.size: 'y'", "a whole number or null"),
        ({"inner": {"name": "x", "size": True}}, "inner.size: True", "a whole number or null"),
        ({"inner": {"name": "x", "size": 1.5}}, "inner.size: 1.5", "a whole number or null"),
        ({"kind": "c"}, "kind: 'c'", "'a' or 'b'"),
        ({"kind": []}, "kind: []", "'a' or 'b'"),
        ({"pair": [1]}, "pair: [1]", "a list"),
        ({"pair": [1, 10**400]}, "pair[1]: ", "a number"),
        ({"many": {"name": "x"}}, "many: {'name': 'x'}", "a list"),
        ({"many": [{"name": "x"}, None]}, "many[1]: None", "a JSON object"),
        ({"values": {"a": [1]}}, "values.a: [1]", "text or a whole number or a number or true or false or null"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(values, got, expected):
    with pytest.raises(ModelError, match="a thing cannot be read") as caught:
        read(**values)
    assert str(caught.value.facts["got"]).startswith(got)
    assert (caught.value.facts["where"], caught.value.facts["expected"]) == ("thing.json", expected)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "3", b"\xff", "[" * 100_000, "1" * 5000])
def test_a_text_without_an_object_is_refused(text):
    with pytest.raises(ModelError, match="a thing cannot be read") as caught:
        parse_object(text, what="a thing", where="thing.json")
    assert caught.value.facts["where"] == "thing.json"
    assert len(str(caught.value)) < 300


def test_json_steers_no_terminal():
    """JSON allows C1 controls, which some terminals obey as they do ESC, and characters that turn text round."""
    name = "a\x1b[31m\x9b31m\x7f\u202eb\u2028é日"
    text = dumps({name: name})
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "é日" in text
    assert json.loads(text) == {name: name}


def test_json_is_readable_by_people_and_machines(tmp_path):
    write_json(tmp_path / "a.json", {"name": "bée", "path": tmp_path})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "bée" in text
    assert json.loads(text)["path"] == str(tmp_path)
