import os
import pickle
from argparse import Namespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from clsbench.errors import ModelError
from clsbench.models.weights import WRAPPERS, read_state

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


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt"])
def test_torch_files_are_read_whatever_their_suffix(tmp_path, state, suffix):
    torch.save(state, tmp_path / f"w{suffix}")
    torch.testing.assert_close(read_state(tmp_path / f"w{suffix}"), state)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_state_dict_is_found_among_what_training_programs_save(tmp_path, state, wrapper):
    """As timm, torchvision's reference scripts and Lightning write it."""
    optimizer = {"state": {0: {"exp_avg": torch.zeros(9)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    others = {"optimizer": optimizer, "epoch": 3, "args": Namespace(lr=0.1, model="resnet18")}
    torch.save({**others, wrapper: state}, tmp_path / "w.pth")
    torch.testing.assert_close(read_state(tmp_path / "w.pth"), state)


def test_numbers_among_the_tensors_are_passed_over(tmp_path, state):
    torch.save({**state, "version": 3, "_extra_state": {"a": 1}}, tmp_path / "w.pth")
    torch.testing.assert_close(read_state(tmp_path / "w.pth"), state)


def test_a_whole_pickled_network_is_refused_with_the_name_of_its_class(tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "w.pth")
    with pytest.raises(
        ModelError, match=r"got: an object of torch\.nn\.modules\.linear\.Linear(.*\n)+.*state_dict\(\)"
    ):
        read_state(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_torchscript_program_is_refused_as_such(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 3)).save(tmp_path / "w.pt")
    with pytest.raises(ModelError, match="got: a TorchScript program"):
        read_state(tmp_path / "w.pt")


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


def test_a_folder_and_an_onnx_file_are_told_from_weights(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08")
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "model.onnx", "an ONNX file has no weights")):
        with pytest.raises(ModelError, match=words):
            read_state(path)


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
