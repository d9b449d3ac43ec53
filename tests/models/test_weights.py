import os
import pickle

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from clsbench.errors import ModelError
from clsbench.models.heads import parse_head, with_head
from clsbench.models.simple_cnn import build
from clsbench.models.weights import load_state, read_state

#: torch warns of pickles that it did not write; that clsbench refuses them is said anyway.
foreign_pickles = pytest.mark.filterwarnings("ignore:Detected pickle protocol")


class RunsCode:
    """A pickle that leaves a mark where it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def state():
    return {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.zeros(2)}


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_torch_files_are_read_with_and_without_a_wrapper(tmp_path, state, wrapper):
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pth")
    torch.testing.assert_close(read_state(tmp_path / "w.pth"), state)


def test_safetensors_files_are_read(tmp_path, state):
    save_file(state, tmp_path / "w.safetensors")
    torch.testing.assert_close(read_state(tmp_path / "w.safetensors"), state)


@foreign_pickles
@pytest.mark.parametrize("write", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path, state, write):
    mark, file = tmp_path / "mark", tmp_path / "w.pth"
    write({**state, "surprise": RunsCode(mark)}, file)
    with pytest.raises(ModelError, match="refused"):
        read_state(file)
    assert not mark.exists()
    torch.load(file, weights_only=False) if write is torch.save else pickle.loads(file.read_bytes())
    assert mark.exists(), "the file of this test would not have run code in any case"


@pytest.mark.parametrize("value", [[torch.zeros(2)], {"a": 3}, torch.zeros(2), {"model": {"a": "text"}}])
def test_files_without_a_state_dict_are_refused(tmp_path, value):
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="does not hold a state dict"):
        read_state(tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.pth"):
        read_state(tmp_path / "nowhere.pth")


def test_truncated_files_are_refused(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    for file in (tmp_path / "w.pth", tmp_path / "w.safetensors"):
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])
        with pytest.raises(ModelError, match="cannot be read safely"):
            read_state(file)


@foreign_pickles
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"PK\x03\x04"]))
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_arbitrary_bytes_raise_nothing_but_model_errors(tmp_path, suffix, data, beginning):
    file = tmp_path / f"w{suffix}"
    file.write_bytes(beginning + data)
    with pytest.raises(ModelError):
        read_state(file)


def test_the_original_networks_names_are_renamed():
    source, target = build(3, size=8), build(3, size=8)
    renamed = {k.removeprefix("backbone.").replace("head.", "fc."): v for k, v in source.state_dict().items()}
    assert load_state(target, renamed, head="fc", where="w.pth")
    torch.testing.assert_close(target.state_dict(), source.state_dict())


def test_a_head_of_another_size_stays_fresh():
    source, target = build(5, size=8), build(3, size=8)
    fresh = target.head.weight.clone()
    assert not load_state(target, source.state_dict(), head="head", where="w.pth")
    torch.testing.assert_close(target.head.weight, fresh, rtol=0, atol=0)
    torch.testing.assert_close(target.backbone.state_dict(), source.backbone.state_dict())


@pytest.mark.parametrize("change", ["missing", "unexpected", "of another shape"])
def test_weights_of_another_network_are_refused_and_load_nothing(change):
    target, state = build(3, size=8), build(3, size=8).state_dict()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    if change == "missing":
        del state["backbone.0.weight"]
    elif change == "unexpected":
        state["backbone.9.weight"] = torch.zeros(1)
    else:
        state["backbone.0.weight"] = torch.zeros(1)
    with pytest.raises(ModelError, match=f"1 {change}, such as backbone"):
        load_state(target, state, head="head", where="w.pth")
    torch.testing.assert_close(target.state_dict(), before, rtol=0, atol=0)


def test_whether_the_head_came_from_the_file_is_known_later():
    fresh, same, other = (build(3, size=8) for _ in range(3))
    load_state(same, build(3, size=8).state_dict(), head="head", where="w.pth")
    load_state(other, build(5, size=8).state_dict(), head="head", where="w.pth")
    assert (fresh.head_loaded, same.head_loaded, other.head_loaded) == (None, True, False)


@pytest.mark.parametrize(("source", "target"), [("linear", "mlp:4"), ("mlp:4", "linear"), ("mlp:4", "mlp:5")])
def test_a_head_of_another_form_stays_fresh_and_the_backbone_is_loaded(source, target):
    first, second = (with_head(build(3, size=8), parse_head(text), 3) for text in (source, target))
    fresh = {name: tensor.clone() for name, tensor in second.head.state_dict().items()}
    assert not load_state(second, first.state_dict(), head="head", where="w.pth")
    assert second.head_loaded is False
    torch.testing.assert_close(second.head.state_dict(), fresh, rtol=0, atol=0)
    torch.testing.assert_close(second.backbone.state_dict(), first.backbone.state_dict(), rtol=0, atol=0)


def test_an_mlp_head_is_loaded_into_one_of_the_same_form():
    first, second = (with_head(build(3, size=8), parse_head("mlp:4,dropout=0.1"), 3) for _ in range(2))
    assert load_state(second, first.state_dict(), head="head", where="w.pth")
    torch.testing.assert_close(second.state_dict(), first.state_dict(), rtol=0, atol=0)


def test_weights_that_are_refused_do_not_say_that_the_head_was_loaded():
    target = build(3, size=8)
    with pytest.raises(ModelError):
        load_state(target, {"backbone.0.weight": torch.zeros(1)}, head="head", where="w.pth")
    assert target.head_loaded is None
