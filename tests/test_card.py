import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.card import METADATA_KEY, SCHEMA, ModelCard, ModelSource
from clsbench.errors import ModelError
from clsbench.gate_report import BatchParity, GateReport
from clsbench.model_file import read_card
from clsbench.transform import ImageTransform

SIZE = ImageTransform(size=(24, 32), resize="letterbox", mean=(0.1, 0.2, 0.3))
CARD = ModelCard(
    classes=("ant", "bée"),
    transform=SIZE,
    temperature=1.5,
    model=ModelSource("clsbench/simple-cnn", "clsbench", "0.1.0", {"width": 64}, "linear"),
    training={"lr": 0.005},
    parity=GateReport(images=2, batches=(BatchParity(1, 1.0, 2e-8),), tolerance=1e-3, passed=True),
    clsbench_version="0.1.0",
)


def changed(**values):
    return {**CARD.to_json(), **values}


def without(name):
    return {key: value for key, value in CARD.to_json().items() if key != name}


def test_a_card_survives_the_metadata_of_a_file():
    assert ModelCard.from_metadata({METADATA_KEY: CARD.dumps(), "other": "x"}) == CARD


def test_bytes_of_a_path_that_are_not_utf8_survive_in_the_options():
    card = dataclasses.replace(CARD, model=ModelSource("x", options={"weights": "caf\udce9.pth"}))
    assert card.dumps().encode()
    assert ModelCard.from_metadata({METADATA_KEY: card.dumps()}) == card


@given(
    classes=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2, max_size=8, unique=True),
    temperature=st.none() | st.floats(min_value=1e-3, max_value=1e3),
)
def test_any_class_names_survive(classes, temperature):
    card = ModelCard(classes=tuple(classes), transform=SIZE, temperature=temperature)
    assert ModelCard.from_json(json.loads(card.dumps())) == card


def test_the_json_describes_input_and_output():
    values = CARD.to_json()
    assert values["schema"] == SCHEMA
    assert values["input"] == {"name": "images", "dtype": "uint8", "shape": ["N", 24, 32, 3]}
    assert values["output"] == {"name": "logits", "dtype": "float32", "shape": ["N", 2]}
    assert "features" not in values
    card = dataclasses.replace(CARD, feature_dim=512)
    assert card.to_json()["features"] == {"name": "features", "dtype": "float32", "shape": ["N", 512]}
    assert ModelCard.from_metadata({METADATA_KEY: card.dumps()}) == card
    assert ModelCard.from_json(without("feature_dim")) == CARD


def test_a_card_is_read_out_of_an_onnx_file(tiny_onnx):
    card = read_card(tiny_onnx)
    assert card.classes == ("red", "green", "blue")
    assert card.transform.size == (8, 8)


def test_fields_of_the_same_schema_that_are_not_known_are_passed_over():
    assert ModelCard.from_json(changed(colour="green")) == CARD


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("ant", "bee", "ant"), "'ant' more than once"),
        (("ant", ""), "an empty name"),
        (("ant",), "at least two classes"),
        ((), "at least two classes"),
    ],
)
def test_classes_that_cannot_be_told_apart_are_refused(classes, message):
    with pytest.raises(ModelError, match=message):
        ModelCard(classes=classes, transform=SIZE)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_must_be_above_zero(temperature):
    with pytest.raises(ModelError, match="temperature"):
        ModelCard(classes=("a", "b"), transform=SIZE, temperature=temperature)


@pytest.mark.parametrize("schema", [SCHEMA + 1, None, "1", 1.5])
def test_a_schema_of_the_future_asks_for_an_upgrade(schema):
    with pytest.raises(ModelError, match="schema") as caught:
        ModelCard.from_json(changed(schema=schema), where="m.onnx")
    assert caught.value.facts["where"] == "m.onnx"
    assert "upgrade" in caught.value.facts["to do"]


@pytest.mark.parametrize(
    "values",
    [
        without("classes"),
        without("transform"),
        changed(classes=None),
        changed(classes=7),
        changed(classes="ant"),
        changed(classes=["ant", "ant"]),
        changed(transform=None),
        changed(transform={}),
        changed(transform={"size": [8]}),
        changed(temperature="hot"),
        changed(temperature=True),
        changed(temperature=float("inf")),
        changed(temperature=10**400),
        changed(classes=["ant", 7]),
        changed(precision=None),
        changed(clsbench_version=1),
        changed(model=7),
        changed(model={"name": None}),
        changed(model={"name": "x", "options": []}),
        changed(model={"name": "x", "options": {"width": [1]}}),
        changed(training=[]),
        changed(training={"lr": {}}),
        changed(parity="good"),
        changed(parity={"images": 9}),
        changed(parity={**CARD.parity.to_json(), "batches": [1]}),
        changed(parity={**CARD.parity.to_json(), "batches": [{"batch_size": "1"}]}),
        changed(parity={**CARD.parity.to_json(), "passed": "yes"}),
        changed(parity={**CARD.parity.to_json(), "tolerance": "small"}),
    ],
)
def test_a_damaged_card_is_a_model_error(values):
    with pytest.raises(ModelError) as caught:
        ModelCard.from_json(values, where="m.onnx")
    assert caught.value.facts["where"] == "m.onnx"


def test_what_is_wrong_is_named_with_its_place():
    with pytest.raises(ModelError, match="a model card cannot be read") as caught:
        ModelCard.from_json(changed(model={"name": "x", "options": {"width": [1]}}), where="m.onnx")
    assert caught.value.facts["got"] == "model.options.width: [1]"
    with pytest.raises(ModelError) as caught:
        ModelCard.from_json(changed(temperature="hot"), where="m.onnx")
    assert (caught.value.facts["got"], caught.value.facts["expected"]) == ("temperature: 'hot'", "a number or null")


def test_the_json_of_a_card():
    values = CARD.to_json()
    assert values["model"] == {
        "name": "clsbench/simple-cnn", "distribution": "clsbench", "version": "0.1.0", "options": {"width": 64},
        "head": "linear",
    }  # fmt: skip
    assert values["training"] == {"lr": 0.005}
    assert values["parity"] == {
        "images": 2,
        "batches": [{"batch_size": 1, "top1_agreement": 1.0, "max_probability_difference": 2e-8}],
        "tolerance": 1e-3, "top1_agreement": 1.0, "max_probability_difference": 2e-8, "passed": True,
    }  # fmt: skip
    bare = ModelCard(classes=("a", "b"), transform=SIZE).to_json()
    assert (bare["model"], bare["training"], bare["parity"]) == ({}, {}, {})
    assert ModelCard.from_json(bare) == ModelCard(classes=("a", "b"), transform=SIZE)
    assert "head" not in ModelSource("x").to_json()


def test_a_gate_report_tells_the_worst_of_its_batch_sizes():
    report = GateReport(
        images=8, batches=(BatchParity(1, 1.0, 0.25), BatchParity(8, 0.5, 0.0)), tolerance=None, passed=False
    )
    assert (report.top1_agreement, report.max_probability_difference) == (0.5, 0.25)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"card"', "[" * 100_000, '{"schema":' * 100_000])
def test_metadata_that_holds_no_card_is_a_model_error(text):
    with pytest.raises(ModelError, match="card") as caught:
        ModelCard.from_metadata({METADATA_KEY: text}, where="m.onnx")
    assert caught.value.facts["where"] == "m.onnx"


def test_a_file_without_a_card_is_refused_by_name():
    with pytest.raises(ModelError, match="no clsbench card") as caught:
        ModelCard.from_metadata({}, where="m.onnx")
    assert caught.value.facts["where"] == "m.onnx"


def test_a_card_and_its_gate_are_short_in_a_notebook():
    card = ModelCard(classes=[f"class {k}" for k in range(1000)], transform=ImageTransform(size=(224, 192)))
    assert repr(card) == "<ModelCard 1,000 classes, 224×192>"
    report = GateReport(images=1, batches=(BatchParity(1, 1.0, 0.25),), tolerance=0.001, passed=False)
    assert repr(report) == "<GateReport: failed, 1 image, probabilities differ by at most 0.25>"
