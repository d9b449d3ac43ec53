import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clsbench.errors import DeviceError, OptionError
from clsbench.training import hardware
from clsbench.training.hardware import choose_device, fitting_threads, keep_freed_memory, operations


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(hardware, "available_cores", lambda: 3)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
EXAMPLE = torch.zeros(2, 3, 6, 6)

#: A multiplication and an addition for each weight and each place it is used at.
WANTED = 2 * 2 * (4 * 3 * 3 * 3 * 36 + 144 * 5)


def test_operations_are_those_of_convolutions_and_matrix_products():
    assert operations(NETWORK, EXAMPLE) == WANTED


def test_counting_leaves_modes_and_statistics_as_they_were():
    NETWORK.train()
    NETWORK[1].eval()
    before = [module.training for module in NETWORK.modules()]
    operations(NETWORK, EXAMPLE + 1)
    assert [module.training for module in NETWORK.modules()] == before
    assert NETWORK[1].num_batches_tracked == 0


@pytest.mark.parametrize(("batch_size", "inside"), [(1, 1), (9, 1), (10, 3), (1000, 3)])
def test_a_batch_of_little_work_gets_one_thread_and_any_other_all_cores(batch_size, inside, monkeypatch):
    monkeypatch.setattr(hardware, "SMALL", WANTED / 2 * 9.5)
    with fitting_threads(NETWORK, EXAMPLE, batch_size):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


def test_the_number_of_threads_is_put_back_after_an_error():
    def fails():
        with fitting_threads(NETWORK, EXAMPLE, 1):
            raise RuntimeError(f"with {torch.get_num_threads()} thread")

    with pytest.raises(RuntimeError, match="with 1 thread"):
        fails()
    assert torch.get_num_threads() == 2


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


FAULTS = """
import resource, sys
import numpy as np
from clsbench.training.hardware import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
np.ones(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_large_blocks_that_were_freed_are_taken_again_without_asking_the_system():
    kept, mapped = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "mapped")
    )
    assert kept < mapped / 4


@pytest.mark.parametrize(("system", "library"), [("darwin", None), ("linux", SimpleNamespace())])
def test_other_allocators_are_left_as_they_are(system, library, monkeypatch):
    asked = []
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or library)
    keep_freed_memory()
    assert len(asked) == (system == "linux")
