from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal

import pytest

from clsbench.component import Component
from clsbench.errors import OptionError
from clsbench.options import Use, assign, option_types, parse_with

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


def use(function=build, name="tiny", kind="model", plugin="acme"):
    return Use(kind, SimpleNamespace(component=Component(name, function), qualified=f"{plugin}/{name}"))


def check(given, function=build):
    (options,) = assign([f"model.{name}={text}" for name, text in given.items()], [use(function)])
    return options


@pytest.mark.parametrize(
    ("pair", "parts"),
    [
        ("model.width=64", ("model", "width", "64")),
        ("model.batch-norm=on", ("model", "batch_norm", "on")),
        ("model.url=http://a/b?c=d.e", ("model", "url", "http://a/b?c=d.e")),
        ("model.note=", ("model", "note", "")),
        ("acme/tiny.width=1", ("acme/tiny", "width", "1")),
        ("ViT_b.16.width=1", ("ViT_b.16", "width", "1")),
    ],
)
def test_a_with_is_taken_apart_at_the_last_dot_before_the_equals_sign(pair, parts):
    assert parse_with([pair]) == [parts]


@pytest.mark.parametrize("pair", ["", "width", "width=64", "model.width", "model.=64", "=", ".=1", ".width=1"])
def test_a_malformed_with_is_quoted_with_the_form_it_should_have(pair):
    with pytest.raises(OptionError) as caught:
        parse_with([pair])
    assert caught.value.facts["got"] == pair
    assert "KIND.KEY=VALUE" in str(caught.value)


def confusion(*, min_count: int = 1, bins: int = 10): ...


def calibration(*, bins: int = 15): ...


def folder(root, *, val_fraction: float = 0.2): ...


METRICS = [use(confusion, "confusion", "metric"), use(calibration, "calibration", "metric")]


@pytest.mark.parametrize(
    ("pairs", "assigned"),
    [
        ([], [{}, {}]),
        (["confusion.min_count=5"], [{"min_count": 5}, {}]),
        (["metric.min_count=5"], [{"min_count": 5}, {}]),
        (["confusion.bins=3", "acme/calibration.bins=4"], [{"bins": 3}, {"bins": 4}]),
        (["confusion.bins=3", "confusion.bins=4"], [{"bins": 4}, {}]),
    ],
)
def test_each_component_gets_its_own_options(pairs, assigned):
    assert assign(pairs, METRICS) == assigned


def test_an_option_that_several_components_have_is_refused_with_a_prefix_for_each():
    with pytest.raises(OptionError, match="several components have the option 'bins'") as caught:
        assign(["metric.bins=3"], METRICS)
    assert caught.value.facts["to do"] == "name the one you mean: confusion.bins=3 or calibration.bins=3"


def test_components_of_one_name_are_told_apart_by_their_plugin_or_kind():
    twins = [use(calibration, "bins", "metric", "left"), use(calibration, "bins", "metric", "right")]
    with pytest.raises(OptionError) as caught:
        assign(["bins.bins=3"], twins)
    assert caught.value.facts["to do"] == "name the one you mean: left/bins.bins=3 or right/bins.bins=3"
    assert assign(["right/bins.bins=3"], twins) == [{}, {"bins": 3}]
    kinds = [use(calibration, "csv", "dataset"), use(calibration, "csv", "writer")]
    with pytest.raises(OptionError) as caught:
        assign(["csv.bins=3"], kinds)
    assert caught.value.facts["to do"] == "name the one you mean: data.bins=3 or writer.bins=3"


def test_a_component_that_is_used_twice_gets_its_options_twice():
    assert assign(["calibration.bins=3"], [METRICS[1], METRICS[1]]) == [{"bins": 3}, {"bins": 3}]


def test_a_dataset_is_addressed_as_data():
    assert assign(["data.val_fraction=0.1"], [use(), use(folder, "folder", "dataset")]) == [{}, {"val_fraction": 0.1}]


def test_a_prefix_that_nothing_in_use_has_is_refused_with_those_there_are():
    with pytest.raises(OptionError, match="'modle'") as caught:
        assign(["modle.width=64"], [use(), use(folder, "folder", "dataset")])
    assert caught.value.facts["expected"] == "one of model, tiny, data, folder"
    assert caught.value.facts["to do"] == "did you mean model.width?"
    with pytest.raises(OptionError) as caught:
        assign(["model.width=64"], [])
    assert "no component is in use" in caught.value.facts["expected"]


def test_an_option_that_no_component_of_the_kind_has_is_refused_with_all_there_are():
    with pytest.raises(OptionError, match="confusion or calibration has no option 'bin'") as caught:
        assign(["metric.bin=64"], METRICS)
    assert caught.value.facts["expected"] == "bins, min_count"
    assert caught.value.facts["to do"] == "did you mean metric.bins?"


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
