"""Ctrl-C ends a network that never ends by itself, wherever the main thread is."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save

import clsbench
from clsbench.card import ModelCard
from clsbench.inference import onnxruntime_backend
from clsbench.model_file import read_card
from clsbench.transform import ImageTransform

IMAGE = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def endless(tmp_path, monkeypatch):
    """A classifier that counts to 2^62 unless a pixel is white."""
    monkeypatch.chdir(tmp_path)
    value = helper.make_tensor_value_info
    flag, scores = (("keep", TensorProto.BOOL, []), ("next", TensorProto.FLOAT, ["N", 2]))
    body = helper.make_graph(
        [helper.make_node("Identity", ["in"], ["keep"]), helper.make_node("Add", ["x", "one"], ["next"])],
        "body",
        [value("i", TensorProto.INT64, []), value("in", *flag[1:]), value("x", *scores[1:])],
        [value(*flag), value(*scores)],
    )
    nodes = [
        helper.make_node("Cast", ["images"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Slice", ["mean", "zero", "two", "axis"], ["start"]),
        helper.make_node("ReduceMax", ["f"], ["brightest"], keepdims=0),
        helper.make_node("Less", ["brightest", "white"], ["dark"]),
        helper.make_node("Loop", ["count", "dark", "start"], ["logits"], body=body),
    ]
    numbers = {"zero": [0], "two": [2], "axis": [1], "count": 2**62}
    constants = [
        helper.make_tensor(
            name, TensorProto.INT64, [1] if isinstance(n, list) else [], n if isinstance(n, list) else [n]
        )
        for name, n in numbers.items()
    ]
    constants += [helper.make_tensor(name, TensorProto.FLOAT, [], [n]) for name, n in (("one", 1.0), ("white", 255.0))]
    images = value("images", TensorProto.UINT8, ["N", 8, 8, 3])
    graph = helper.make_graph(nodes, "g", [images], [value("logits", TensorProto.FLOAT, ["N", 2])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    card = ModelCard(classes=("a", "b"), transform=ImageTransform(size=(8, 8)))
    model.metadata_props.add(key="clsbench.card", value=card.dumps())
    save(model, "endless.onnx")
    return Path("endless.onnx")


@pytest.mark.parametrize("images", [IMAGE, [IMAGE] * 3], ids=["one", "many"])
def test_predict_ends_and_the_model_can_be_used_again(endless, images):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with clsbench.load(endless, device="cpu") as model:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            started = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                list(model.predict(images)) if isinstance(images, list) else model.predict(images)
            assert time.monotonic() - started < 5
            assert model.predict(IMAGE + 255).error is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_somebody_elses_wakeup_descriptor_is_left_alone(tiny_onnx):
    heard, told = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(told)
    try:
        backend = onnxruntime_backend.build(tiny_onnx, "cpu")
        backend(np.zeros((1, *read_card(tiny_onnx).transform.size, 3), np.uint8))
    finally:
        assert signal.set_wakeup_fd(-1) == told
        for end in (heard, told):
            os.close(end)


SIGNALLED = """
import os, signal, sys, threading
from clsbench.cli import main
from clsbench.inference.interrupts import Calls

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
number, begun, run = int(sys.argv.pop()), [], Calls.run

def signalled(self, call):
    if not begun:
        begun.append(True)
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
    return run(self, call)

Calls.run = signalled
main.run()
"""


@pytest.mark.parametrize("executor", ["threads", "serial"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_infer_ends_at_the_first_signal(endless, photos, executor, number, code):
    words = ["infer", photos, "--model", endless, "--device", "cpu", "--executor", executor, str(int(number))]
    command = [sys.executable, "-c", SIGNALLED, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "interrupted" in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
