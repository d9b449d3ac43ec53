from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from clsbench.errors import OptionError
from clsbench.options import PREFIXES, check_options, option_types, parse_with

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


def build(
    num_classes,
    *,
    width: int = 64,
    dropout: float = 0.1,
    pretrained: bool = False,
    weights: Path | None = None,
    act: Literal["relu", "gelu"] = "relu",
    groups: Literal[1, 2] = 1,
    size: int | None = None,
    crop: "int | Literal['auto']" = "auto",
    note: str = "",
    bare="",
    foreign: "Unknown" = None,
): ...


class Decoder:
    def __init__(self, *, threads: int = 1): ...


def check(given, function=build):
    return check_options(function, given, owner="tiny", prefix="model")


@pytest.mark.parametrize(
    ("pairs", "sorted_by_kind"),
    [
        ([], {}),
        (["model.width=64", "data.x=1", "model.y=2"], {"model": {"width": "64", "y": "2"}, "data": {"x": "1"}}),
        (["model.batch-norm=on"], {"model": {"batch_norm": "on"}}),
        (["model.url=http://a/b?c=d.e"], {"model": {"url": "http://a/b?c=d.e"}}),
        (["model.note="], {"model": {"note": ""}}),
    ],
)
def test_with_is_sorted_by_kind(pairs, sorted_by_kind):
    assert parse_with(pairs) == sorted_by_kind


@pytest.mark.parametrize("pair", ["", "width", "width=64", "model.width", "model.=64", "modle.width=64", "=", ".=1"])
def test_a_malformed_with_is_quoted_with_the_form_it_should_have(pair):
    with pytest.raises(OptionError) as caught:
        parse_with([pair])
    assert caught.value.facts["got"] == pair
    assert all(prefix in str(caught.value) for prefix in ("KIND.KEY=VALUE", *PREFIXES))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("width", "32", 32),
        ("width", "-1", -1),
        ("dropout", "1e-3", 0.001),
        ("dropout", "1", 1.0),
        ("pretrained", "Yes", True),
        ("pretrained", "0", False),
        ("weights", "a/b.pt", Path("a/b.pt")),
        ("weights", "none", None),
        ("act", "gelu", "gelu"),
        ("groups", "2", 2),
        ("size", "none", None),
        ("size", "", None),
        ("size", "7", 7),
        ("crop", "auto", "auto"),
        ("crop", "9", 9),
        ("note", "none", "none"),
        ("bare", "5", "5"),
        ("foreign", "x", "x"),
    ],
)
def test_text_becomes_the_annotated_type(name, text, value):
    (converted,) = check({name: text}).values()
    assert converted == value
    assert type(converted) is type(value) or isinstance(value, Path)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("width", "1.5", "a whole number"),
        ("width", "", "a whole number"),
        ("dropout", "half", "a number"),
        ("pretrained", "maybe", "true or false"),
        ("act", "swish", "relu or gelu"),
        ("groups", "3", "1 or 2"),
        ("size", "big", "a whole number or none"),
        ("crop", "car", "a whole number or auto"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_in_words(name, text, expected):
    with pytest.raises(OptionError, match=name) as caught:
        check({name: text})
    assert caught.value.facts["expected"] == expected
    assert caught.value.facts["where"] == f"--with model.{name}={text}"


def test_a_misspelt_option_is_refused_with_the_near_match_and_all_options():
    with pytest.raises(OptionError, match="tiny has no option 'widht'") as caught:
        check({"widht": "3"})
    assert caught.value.facts["to do"] == "did you mean model.width?"
    assert caught.value.facts["expected"] == ", ".join(sorted(option_types(build)))


def test_a_positional_parameter_is_no_option():
    with pytest.raises(OptionError, match="no option 'num_classes'"):
        check({"num_classes": "3"})


def test_a_component_without_options_says_so():
    with pytest.raises(OptionError, match="no options at all"):
        check({"x": "1"}, lambda: None)


@pytest.mark.parametrize("wrapped", [partial(build, 10), partial(partial(build), 10), partial(build, dropout=0.5)])
def test_a_partial_keeps_its_options_and_their_types(wrapped):
    assert check({"width": "8"}, wrapped) == {"width": 8}


def test_a_bound_default_is_the_one_shown():
    assert option_types(partial(build, dropout=0.5))["dropout"] == (float, 0.5)


def test_a_class_has_the_options_of_its_constructor():
    assert check({"threads": "4"}, Decoder) == {"threads": 4}
