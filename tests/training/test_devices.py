import pytest
import torch

from clsbench.errors import DeviceError, OptionError
from clsbench.training.devices import choose_device


@pytest.mark.parametrize(("usable", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_where_torch_can_use_it(usable, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    assert choose_device("auto") == device
    assert choose_device("cpu") == "cpu"


def test_cuda_is_cuda_or_an_error_that_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("cuda") == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cannot use CUDA") as caught:
        choose_device("cuda")
    assert torch.__version__ in caught.value.facts["got"]


def test_an_unknown_device_is_refused():
    with pytest.raises(OptionError, match="unknown device") as caught:
        choose_device("tpu")
    assert caught.value.facts["expected"] == "auto, cpu, cuda"
