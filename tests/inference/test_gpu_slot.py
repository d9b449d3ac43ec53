"""The GPU path with a fake provider: a session that sums on "the device"."""

import numpy as np
import onnxruntime
import pytest

from clsbench.inference.backend import DeviceInfo, Plan
from clsbench.inference.gpu_slot import GpuSlot, pinned
from clsbench.inference.interrupts import Calls
from clsbench.inference.onnxruntime_backend import OnnxRuntimeBackend


class DeviceValue:
    def __init__(self, images):
        self.images = images.copy()

    def update_inplace(self, images):
        assert images.shape == self.images.shape, "a device buffer keeps its shape"
        self.images = images.copy()


class FakeSession:
    """Counts bindings; adds its number, so that one can tell which GPU answered."""

    def __init__(self, number=0):
        self.number, self.bindings, self.shapes = number, 0, []

    def io_binding(self):
        self.bindings += 1
        session = self

        class Binding:
            def bind_ortvalue_input(self, name, value):
                self.value = value

            def __init__(self):
                self.outputs = []

            def bind_output(self, name, device, index):
                assert device == "cuda"
                self.outputs.append(name)

            def copy_outputs_to_cpu(self):
                images = self.value.images
                session.shapes.append(images.shape)
                sums = images.reshape(len(images), -1).sum(axis=1, dtype=np.float32)[:, None] + session.number
                return [{"logits": sums, "features": np.hstack([sums, -sums])}[name] for name in self.outputs]

        return Binding()

    def run_with_iobinding(self, binding, options): ...


@pytest.fixture(autouse=True)
def device_memory(monkeypatch):
    monkeypatch.setattr(
        onnxruntime.OrtValue, "ortvalue_from_numpy", staticmethod(lambda images, device, index: DeviceValue(images))
    )


def test_the_last_batch_is_padded_and_its_padding_dropped():
    session = FakeSession()
    slot, calls = GpuSlot(session, 0, 4), Calls()
    images = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    for count in (4, 1, 3):
        want = images[:count].reshape(count, -1).sum(axis=1, dtype=np.float32)
        np.testing.assert_array_equal(slot.run(images[:count], calls, ("logits",))[0][:, 0], want)
    assert session.shapes == [(4, 2, 2, 3)] * 3
    assert session.bindings == 1


def test_every_gpu_gets_its_own_session_and_two_batches_in_flight():
    sessions = [FakeSession(0), FakeSession(1000)]
    device = DeviceInfo(device="cuda", indices=(0, 1), provider="CUDAExecutionProvider")
    backend = OnnxRuntimeBackend(sessions, device=device, plan=Plan(2, 1, 4))
    assert backend.streams == 4
    assert not backend.shares_cores
    images = np.zeros((4, 2, 2, 3), np.uint8)
    assert {float(backend(images)[0, 0]) for _ in range(4)} == {0.0, 1000.0}


def test_features_are_bound_and_copied_where_they_are_asked_for_only():
    session = FakeSession()
    device = DeviceInfo(device="cuda", indices=(0,), provider="CUDAExecutionProvider")
    backend = OnnxRuntimeBackend([session], device=device, plan=Plan(1, 1, 4))
    images = np.ones((3, 2, 2, 3), np.uint8)
    for _ in range(2):
        logits, features = backend.with_features(images)
        np.testing.assert_array_equal(logits, np.full((3, 1), 12))
        np.testing.assert_array_equal(features, [[12, -12]] * 3)
        np.testing.assert_array_equal(backend(2 * images), np.full((3, 1), 24))
    assert session.bindings == 2


def test_pinned_memory_without_a_driver_is_ordinary_memory(monkeypatch):
    memory = pinned((2, 3))
    assert (memory.shape, memory.dtype, memory.sum()) == ((2, 3), np.uint8, 0)
    memory[:] = 7
    assert (memory == 7).all()
