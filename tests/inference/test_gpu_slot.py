"""The GPU path with a fake provider: a session that sums on "the device"."""

import threading
import time

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from clsbench.errors import DeviceMemoryError
from clsbench.inference.backend import DeviceInfo, Plan
from clsbench.inference.gpu_slot import GpuSlot
from clsbench.inference.interrupts import Calls
from clsbench.inference.onnxruntime_backend import OnnxRuntimeBackend

USED_UP = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Name:'conv' "
    "Status Message: bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, "
    "onnxruntime::Stream*, bool, onnxruntime::WaitNotificationFn) Failed to allocate memory for requested buffer of "
    "size 939524096"
)
OTHERS = [
    "CUDA failure 2: out of memory ; GPU=0 ; hostname=node ; expr=cudaMalloc((void**)&p, size);",
    "CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
    "Available memory of 1048576 is smaller than requested bytes of 2097152",
]


class FakeSession:
    """``InferenceSession.run`` on a CUDA provider: takes the array as it lies, adds its number, and runs out of memory.

    The messages are those of microsoft/onnxruntime#22702, cuda_call.cc and bfc_arena.cc.
    """

    def __init__(self, number=0, *, room=1000, message=USED_UP):
        self.number, self.room, self.message, self.batches = number, room, message, []

    def run(self, outputs, feeds, options):
        images = feeds["images"]
        self.batches.append(images)
        if len(images) > self.room:
            raise onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException(self.message)
        sums = images.reshape(len(images), -1).sum(axis=1, dtype=np.float32)[:, None] + self.number
        return [{"logits": sums, "features": np.hstack([sums, -sums])}[name] for name in outputs]


def slot_of(session, *, batch_size=4, streams=2, kind="cuda"):
    return GpuSlot(session, kind, 0, batch_size, streams)


def test_the_last_batch_is_padded_and_its_padding_dropped(cuda):
    driver, session = cuda(), FakeSession()
    slot, calls = slot_of(session), Calls()
    images = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    for count in (4, 1, 3):
        want = images[:count].reshape(count, -1).sum(axis=1, dtype=np.float32)
        np.testing.assert_array_equal(slot.run(images[:count], calls, ("logits",))[0][:, 0], want)
    assert [batch.shape for batch in session.batches] == [(4, 2, 2, 3)] * 3
    assert np.shares_memory(session.batches[0], images), "no copy is made of a whole batch"
    assert session.batches[1].ctypes.data in driver.blocks, "padded batches are copied at full speed too"


def test_every_gpu_gets_its_own_session_and_two_batches_in_flight():
    sessions = [FakeSession(0), FakeSession(1000)]
    device = DeviceInfo(device="cuda", indices=(0, 1), provider="CUDAExecutionProvider")
    backend = OnnxRuntimeBackend(sessions, device=device, plan=Plan(2, 1, 4))
    assert backend.streams == 4
    assert not backend.shares_cores
    images = np.zeros((4, 2, 2, 3), np.uint8)
    assert {float(backend(images)[0, 0]) for _ in range(4)} == {0.0, 1000.0}


def test_features_are_asked_for_where_they_are_wanted_only():
    device = DeviceInfo(device="cuda", indices=(0,), provider="CUDAExecutionProvider")
    backend = OnnxRuntimeBackend([FakeSession()], device=device, plan=Plan(1, 1, 4))
    images = np.ones((3, 2, 2, 3), np.uint8)
    for _ in range(2):
        logits, features = backend.with_features(images)
        np.testing.assert_array_equal(logits, np.full((3, 1), 12))
        np.testing.assert_array_equal(features, [[12, -12]] * 3)
        np.testing.assert_array_equal(backend(2 * images), np.full((3, 1), 24))


@pytest.mark.parametrize("message", [USED_UP, *OTHERS])
def test_used_up_memory_is_an_error_that_says_what_fits(cuda, message):
    cuda()
    session = FakeSession(room=20, message=message)
    with pytest.raises(DeviceMemoryError, match="not enough memory") as caught:
        slot_of(session, batch_size=64).run(np.zeros((64, 2, 2, 3), np.uint8), Calls(), ("logits",))
    assert [len(batch) for batch in session.batches] == [64, 32, 16]
    assert caught.value.facts == {
        "where": "--device cuda:0",
        "got": "64 images a batch, 2 batches at once; 3.0 GB of its 80.0 GB are free",
        "expected": None,
        "to do": "--batch-size 16, which fits",
    }


@pytest.mark.parametrize(
    ("kind", "room", "tried", "hint"),
    [("cuda", 0, [8, 4, 2, 1], "--batch-size, such as 2"), ("tensorrt", 4, [8], "--batch-size, such as 2")],
)
def test_tensorrt_is_not_asked_what_fits_as_it_would_build_an_engine(cuda, kind, room, tried, hint):
    cuda(None)
    session = FakeSession(room=room)
    with pytest.raises(DeviceMemoryError) as caught:
        slot_of(session, batch_size=8, kind=kind).run(np.zeros((8, 2, 2, 3), np.uint8), Calls(), ("logits",))
    assert [len(batch) for batch in session.batches] == tried
    assert hint in caught.value.facts["to do"]


def test_not_even_one_image_fits(cuda):
    cuda(None)
    with pytest.raises(DeviceMemoryError) as caught:
        slot_of(FakeSession(room=0), batch_size=1).run(np.zeros((1, 2, 2, 3), np.uint8), Calls(), ("logits",))
    assert "nvidia-smi" in caught.value.facts["to do"]


def test_other_failures_stay_what_they_are():
    session = FakeSession(room=0, message="CUDNN_STATUS_EXECUTION_FAILED")
    with pytest.raises(Exception, match="EXECUTION_FAILED") as caught:
        slot_of(session).run(np.zeros((4, 2, 2, 3), np.uint8), Calls(), ("logits",))
    assert not isinstance(caught.value, DeviceMemoryError)
    assert len(session.batches) == 1


def test_batches_lie_in_pinned_memory_or_the_device_says_that_they_do_not(cuda):
    driver = cuda(memory=100)
    device = DeviceInfo(device="cuda", indices=(0,), provider="CUDAExecutionProvider", pinned=True)
    backend = OnnxRuntimeBackend([FakeSession()], device=device, plan=Plan(1, 1, 4))
    small = backend.allocate((2, 2, 2, 3))
    assert small.ctypes.data in driver.blocks
    assert backend.device.pinned is True
    assert backend.allocate((20, 2, 2, 3)).sum() == 0
    assert backend.device.pinned is False
    assert backend.allocate((2, 2, 2, 3)).ctypes.data in driver.blocks
    assert backend.device.pinned is False


def test_run_takes_an_array_as_it_lies_and_releases_pythons_lock():
    """ONNX Runtime itself, on the CPU: what the GPU path relies on."""
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("ReduceSum", ["f"], ["y"], keepdims=0)]
    graph = helper.make_graph(
        nodes, "sum", [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.zeros(1 << 26, np.uint8)
    done, counted = threading.Event(), []

    def count():
        while not done.is_set():
            time.sleep(0.001)
            counted.append(time.perf_counter())

    thread = threading.Thread(target=count)
    thread.start()
    began = time.perf_counter()
    session.run(["y"], {"x": images})
    ended = time.perf_counter()
    done.set()
    thread.join()
    assert sum(began < moment < ended for moment in counted) >= 5
