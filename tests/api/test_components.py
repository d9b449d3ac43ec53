import pytest

from clsbench.api.components import Chosen
from clsbench.component import Component
from clsbench.registry import Plugin, Resolved


def optional(model_path, device, *, batch_size: int | None = 4):
    return batch_size


def plain(model_path, device, *, batch_size: int = 8):
    return batch_size


def untyped(model_path, device, *, batch_size=None):
    return batch_size


@pytest.mark.parametrize(("build", "built"), [(optional, None), (plain, 8), (untyped, None)])
def test_a_value_that_nobody_gave_leaves_an_option_without_none_at_its_default(build, built):
    chosen = Chosen(Resolved(Component("engine", build), Plugin("acme", "clsbench-acme", "1"), "backend"), {})
    assert chosen.offered(batch_size=None, tune="off").build("model.onnx", "cpu") == built
    assert chosen.offered(batch_size=2).build("model.onnx", "cpu") == 2
