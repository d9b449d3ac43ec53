"""Model files of strangers: what may not be trusted is refused, quickly, before any runtime opens it."""

import hashlib
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save
from onnx.external_data_helper import convert_model_to_external_data

from clsbench.errors import ModelError
from clsbench.model_file import model_hash, read_card
from clsbench.onnx_file import read_onnx


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model(tiny_onnx):
    return load(tiny_onnx)


def external(location, **more):
    """A file with one tensor of two numbers in external data."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [], [tensor])
    save(helper.make_model(graph), "m.onnx")
    return Path("m.onnx")


@pytest.mark.parametrize(
    "location", ["/etc/hostname", "../w.bin", "a/../../w.bin", "link", "linked/w.bin", "C:\\w", "..\\w", "", "x" * 5000]
)
def test_external_data_outside_the_folder_is_refused(tmp_path_factory, cli, location):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "w.bin").write_bytes(bytes(8))
    Path("link").symlink_to(outside / "w.bin")
    Path("linked").symlink_to(outside)
    with pytest.raises(ModelError, match="outside its folder"):
        read_onnx(external(location))
    done = cli("inspect", "m.onnx")
    assert (done.code, "m.onnx" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "more", [{"offset": 1}, {"length": 4}, {"offset": -1}, {"length": "9" * 5000}, {"offset": "x"}]
)
def test_external_data_that_does_not_hold_its_tensor(more):
    Path("w.bin").write_bytes(bytes(8))
    with pytest.raises(ModelError, match="as a whole"):
        read_onnx(external("w.bin", **more))


def test_external_data_that_is_missing_or_never_ends():
    with pytest.raises(ModelError, match="not there"):
        read_onnx(external("w.bin"))
    os.mkfifo("w.bin")
    with pytest.raises(ModelError, match="not there"):
        read_onnx(external("w.bin"))


def test_the_hash_covers_external_data_and_is_the_plain_one_without(model, tiny_onnx):
    assert model_hash(tiny_onnx) == hashlib.sha256(tiny_onnx.read_bytes()).hexdigest()
    convert_model_to_external_data(model, location="w.bin", size_threshold=0, convert_attribute=True)
    save(model, "m.onnx")
    before = model_hash(Path("m.onnx"))
    assert before == model_hash(Path("m.onnx"))
    data = bytearray(Path("w.bin").read_bytes())
    data[0] ^= 1
    Path("w.bin").write_bytes(data)
    assert model_hash(Path("m.onnx")) != before


@pytest.mark.parametrize("dims", [[2**40, 2**40], [3], [-1], [2**62, 0, -1], [2] * 5000])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("constant", [True, False])
def test_tensors_larger_than_their_numbers_are_refused(model, dims, raw, constant):
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "huge")
    if not raw:
        tensor = helper.make_tensor("huge", TensorProto.FLOAT, [2], [0.0, 0.0])
    tensor.dims[:] = dims
    if constant:
        model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    else:
        model.graph.initializer.append(tensor)
    save(model, "m.onnx")
    with pytest.raises(ModelError, match="larger than its numbers") as caught:
        read_onnx(Path("m.onnx"))
    assert "m.onnx" in str(caught.value)


def test_cycles_are_refused(model):
    inner = helper.make_graph(
        [helper.make_node("Neg", ["b"], ["x"])], "g", [], [helper.make_empty_tensor_value_info("x")]
    )
    cycles = [
        [helper.make_node("Neg", ["a"], ["a"])],
        [helper.make_node("Neg", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["a"])],
        [helper.make_node("If", ["q"], ["b"], then_branch=inner, else_branch=inner)],
    ]
    for nodes in cycles:
        other = helper.make_model(helper.make_graph(nodes, "g", [], []))
        save(other, "m.onnx")
        with pytest.raises(ModelError, match="its own result"):
            read_onnx(Path("m.onnx"))
    itself = helper.make_function("own", "f", [], ["y"], [helper.make_node("f", [], ["y"], domain="own")], [])
    model.functions.append(itself)
    save(model, "m.onnx")
    with pytest.raises(ModelError, match="calls itself"):
        read_onnx(Path("m.onnx"))


def test_damaged_bytes_never_end_in_another_error(tiny_onnx):
    data, seeded = tiny_onnx.read_bytes(), random.Random(0)
    for number in range(300):
        damaged = bytearray(data[: seeded.randrange(len(data))] if number % 3 == 0 else data)
        for _ in range(seeded.randrange(1, 9)):
            damaged[seeded.randrange(len(damaged) or 1) :][:1] = bytes([seeded.randrange(256)])
            if damaged:
                damaged[seeded.randrange(len(damaged))] = seeded.randrange(256)
        file = Path(f"{number}.onnx")
        file.write_bytes(damaged)
        try:
            read_card(file)
        except ModelError as error:
            assert file.name in str(error)  # noqa: PT017


def test_what_is_no_file_is_never_waited_for(cli):
    os.mkfifo("fifo.onnx")
    Path("zero.onnx").symlink_to("/dev/zero")
    Path("loop.onnx").symlink_to("loop.onnx")
    Path("folder.onnx").mkdir()
    started = time.monotonic()
    for name in ("fifo", "zero", "loop", "folder"):
        done = cli("inspect", f"{name}.onnx")
        assert (done.code, f"{name}.onnx" in done.stderr) == (1, True)
    assert time.monotonic() - started < 5
