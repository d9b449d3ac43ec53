import gc
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from clsbench.inference import cuda_driver
from clsbench.inference.cuda_driver import Driver, Gpu, find_driver, free_memory, gpu_versions, pinned, wait_asleep


def test_a_machine_without_a_driver(cuda):
    cuda(None)
    assert find_driver() is None
    assert pinned((2, 3), 0) is None
    assert free_memory(0) is None
    wait_asleep(0)


def test_a_driver_says_its_version_and_its_gpus(cuda):
    cuda(version=13020, names=("NVIDIA H100", "NVIDIA T4"))
    assert find_driver() == Driver((13, 2), (Gpu("NVIDIA H100", 9), Gpu("NVIDIA T4", 9)))
    assert find_driver().trouble is None


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (100, "shows no device", "CUDA_VISIBLE_DEVICES"),
        (34, "stub", "loader's path"),
        (802, "not ready", "nvidia-fabricmanager"),
        (803, "different versions", "reboot"),
        (804, "forward compatibility", "cuda-compat"),
        (999, "does not start: CUDA_ERROR_999 (999)", "nvidia-smi"),
    ],
)
def test_errors_of_cuinit_are_told_apart(cuda, error, what, remedy):
    cuda(init=error)
    found = find_driver().trouble
    assert what in found[0]
    assert remedy in found[1]


def test_a_driver_without_devices(cuda):
    cuda(names=())
    assert "shows no device" in find_driver().trouble[0]


def test_threads_sleep_while_they_wait_and_other_flags_stay(cuda):
    driver = cuda(names=("NVIDIA H100", "NVIDIA H100"))
    wait_asleep(1)
    assert driver.flags == {0: 0x10, 1: 0x14}


def test_memory_is_pinned_on_any_thread_and_lives_until_its_last_view_is_gone(cuda):
    driver, made = cuda(), []
    thread = threading.Thread(target=lambda: made.append(pinned((2, 4, 3), 0)))
    thread.start()
    thread.join()
    memory = made.pop()
    assert (memory.shape, memory.dtype, memory.sum()) == ((2, 4, 3), np.uint8, 0)
    assert memory.ctypes.data in driver.blocks
    assert driver.holders == {0: 1}  # or the context would take the memory with it
    view = memory[1]
    del memory
    gc.collect()
    assert driver.blocks
    view[:] = 7
    del view
    gc.collect()
    assert (driver.blocks, driver.holders) == ({}, {0: 0})


def test_more_than_can_be_pinned_is_not_pinned(cuda):
    driver = cuda(memory=10)
    assert pinned((11,), 0) is None
    assert driver.holders == {0: 0}
    assert pinned((3,), 1) is None, "there is one GPU"


def test_the_free_memory_of_a_gpu(cuda):
    cuda()
    assert free_memory(0) == (3 * 10**9, 80 * 10**9)


def test_what_a_measurement_on_gpus_depends_on(cuda, monkeypatch):
    cuda(names=("NVIDIA H100", "NVIDIA T4"))
    packages = {"nvidia-cudnn-cu13": "9.24.0.43", "onnxruntime-gpu": "1.31.1", "numpy": "2.4", "tensorrt-cu13": "10.1"}
    made = [SimpleNamespace(metadata={"Name": name}, version=version) for name, version in packages.items()]
    monkeypatch.setattr(cuda_driver, "distributions", lambda: made)
    monkeypatch.setattr(cuda_driver, "_kernel_driver", lambda: "580.82.07")
    assert gpu_versions() == {
        "gpus": "NVIDIA H100, NVIDIA T4",
        "driver": "580.82.07",
        "cuda": "13.0",
        "nvidia-cudnn-cu13": "9.24.0.43",
        "onnxruntime-gpu": "1.31.1",
        "tensorrt-cu13": "10.1",
    }
    cuda(None)
    assert gpu_versions() == {}
