"""int8 within a budget: what is quantized, what stays in float, and what is refused."""

from importlib.util import find_spec

import numpy as np
import onnx
import pytest

from clsbench.carried_gate import METADATA_KEY, agree, read_carried
from clsbench.errors import OptionError
from clsbench.exporting.onnx_export import write_model
from clsbench.exporting.quantizing.onnxruntime_quantizer import OnnxRuntimeQuantizer
from clsbench.exporting.quantizing.ranges import RangeImages
from clsbench.exporting.quantizing.result import Budget
from clsbench.exporting.quantizing.search import FewestInFloat
from clsbench.images.loader import ImageLoader
from clsbench.model_file import model_hash, read_card
from tests.exporting.digits_network import digit_entries, digits_card, open_cpu


def quantized_layers(file):
    """Layers whose weights are integers."""
    model = onnx.load(file)
    integers = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8}
    nodes = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    back = {node.output[0] for node in nodes if integers & {*node.input}}
    return {node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm") and back & {*node.input}}


def test_int8_keeps_the_answers_and_its_card_says_of_what_it_was_made(exported, files):
    result = exported
    card = read_card(result.file)
    assert result.report.drop <= 0.5
    assert result.report.reference_accuracy > 0.85
    assert (card.precision, card.made_for, card.float_layers) == ("int8", "onnxruntime", ())
    assert card.proved_on == ("onnxruntime",)
    assert card.parent == model_hash(files["good"])
    assert card.parity.passed
    assert quantized_layers(result.file) == {"first", "second", "third", "head"}  # the head is most of this network
    low, high = card.parity.drop_interval
    assert low <= result.report.drop <= high


def test_a_planted_layer_stays_in_float(quantized):
    """One huge channel takes the range of its tensor, so that the others have a few steps of 256."""
    result = quantized("planted")
    assert result.report.passed
    assert result.precision.tries > 1
    assert {"first", "second"} <= {*result.card.float_layers}
    assert not {*result.card.float_layers} & quantized_layers(result.file)
    assert quantized_layers(result.file)


def test_without_the_search_the_planted_layer_would_break_the_budget(files, tmp_path):
    ranges, judging = digit_entries()
    images = RangeImages(ranges, ImageLoader(digits_card().transform))
    file = tmp_path / "whole.onnx"
    write_model(OnnxRuntimeQuantizer(onnx.load(files["planted"]), images, tmp_path)(), digits_card(), file)
    pixels = np.stack([entry.pixels for entry in judging.entries])
    right = [(open_cpu(each)(pixels).argmax(axis=1) == judging.labels).mean() for each in (files["planted"], file)]
    assert right[0] - right[1] > 0.05


def test_an_accuracy_that_no_half_of_the_layers_saves_is_refused(quantized, tmp_path):

    class Stubborn(OnnxRuntimeQuantizer):
        def __call__(self, float_nodes=()):
            return super().__call__()

    result = quantized("planted", make=Stubborn)
    assert result.file is None
    assert "points of accuracy are lost, --max-drop allows 0.5" in result.precision.broken[0]
    assert result.precision.speed is None
    assert not list(tmp_path.glob("*.onnx"))
    assert result.card.proved_on == ()


def test_a_file_that_is_not_faster_is_refused(quantized, tmp_path):
    result = quantized("good", Budget(min_speedup=1000.0))
    assert (result.file, result.complete) == (None, False)
    assert "not faster" in result.precision.broken[0]
    assert not list(tmp_path.glob("*.onnx"))


def test_force_writes_it_all_the_same_and_says_so(quantized):
    result = quantized("good", Budget(min_speedup=1000.0, force=True))
    assert result.file.is_file()
    assert not result.complete
    assert result.to_json()["precision"]["broken"]


def test_without_labels_the_drop_is_expected_by_the_parents_own_probabilities(quantized, files):
    report = quantized("good", labelled=False).report
    pixels = np.stack([entry.pixels for entry in digit_entries()[1].entries])
    logits = open_cpu(files["good"])(pixels).astype(np.float64)
    before = np.exp(logits - logits.max(axis=1, keepdims=True))
    before /= before.sum(axis=1, keepdims=True)
    assert (report.accuracy, report.drop_interval) == (None, None)
    assert 0 <= report.expected_drop <= 100 * (1 - before.max(axis=1)).mean() + 1e-6
    assert report.drop == report.expected_drop


def test_the_file_carries_images_that_its_own_engine_answers_alike(exported):
    result = exported
    carried = read_carried(result.file)
    assert carried.pixels.shape == (16, 8, 8, 3)
    assert result.precision.carried == 16
    found = agree(open_cpu(result.file), carried)
    assert (found.passed, found.others) == (True, ())
    assert found.largest < 1e-5
    assert METADATA_KEY in {entry.key for entry in onnx.load(result.file).metadata_props}


@pytest.mark.parametrize("wrong", [{"max_drop": -1.0}, {"max_drop": float("nan")}, {"min_speedup": -0.1}])
def test_a_budget_is_a_number(wrong):
    with pytest.raises(OptionError):
        Budget(**wrong)


@pytest.mark.parametrize("needed", range(1, 9))
def test_the_search_finds_the_fewest_layers(needed):
    tried = []

    def attempt(layers):
        tried.append(len(layers))
        return len(layers)

    search = FewestInFloat(attempt, lambda count: count >= needed)
    found, kept = search(0, [f"layer {k}" for k in range(20)], most=10)
    assert (found, len(kept)) == (needed, needed)
    assert len(tried) == len({*tried}) == search.tries <= 7


def test_the_search_gives_up_where_nothing_holds():
    search = FewestInFloat(len, lambda count: False)
    assert search("first", [f"layer {k}" for k in range(20)], most=10) == ("first", ())
    assert search.tries == 5


def test_nncf_makes_such_files_too(quantized):
    if not find_spec("nncf"):  # importing it here would send telemetry
        pytest.skip("NNCF is not installed")
    from clsbench.exporting.quantizing.nncf_quantizer import NncfQuantizer

    result = quantized("good", make=NncfQuantizer)
    assert result.report.passed
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in onnx.load(result.file).graph.node}
