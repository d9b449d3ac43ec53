"""benchmarks/gpu.py, which is to run once on a machine that is hard to come by, on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = ["--device", "cpu", "--small"]


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu

    return gpu


def test_every_part_runs_and_is_right_on_the_cpu(gpu, tmp_path, capsys):
    status = gpu.main([*SMALL, "--json", str(tmp_path / "gpu.json")])
    assert status == 0, capsys.readouterr().out
    assert "12 of 12 parts ran; wrong: none" in capsys.readouterr().out
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert list(parts) == list(gpu.PARTS)
    assert all(found["rows"] for found in parts.values())


def test_the_next_part_runs_after_one_that_failed(gpu, monkeypatch, capsys):
    def broken(settings):
        raise RuntimeError("no driver\nand more")

    monkeypatch.setattr(gpu.gpu_parts, "decode", broken)
    monkeypatch.setattr(gpu.gpu_parts, "copies", lambda settings: ([{"memory": "pinned"}], []))
    assert gpu.main([*SMALL, "--parts", "decode,copies"]) == 0
    said = capsys.readouterr().out
    assert "FAILED: RuntimeError: no driver\n" in said
    assert "pinned" in said
    assert "1 of 2 parts ran; wrong: none; failed: decode" in said


def test_nodes_on_the_cpu_and_copies_between_are_told(gpu, monkeypatch, capsys):
    """As a GPU's session answers: the assignment is recorded before the Memcpy nodes are put in, the file is not."""
    import onnx
    import onnxruntime

    def part(provider, *operators):
        nodes = [SimpleNamespace(name=operator, op_type=operator) for operator in operators]
        return SimpleNamespace(ep_name=provider, get_nodes=lambda: nodes)

    def opened(file, options, **_):
        nodes = [
            onnx.helper.make_node(kind, ["x"], ["y"]) for kind in ("Conv", "MemcpyToHost", "Resize", "MemcpyToHost")
        ]
        graph = onnx.helper.make_graph(nodes, "optimised", [], [])
        onnx.save(onnx.helper.make_model(graph), options.optimized_model_filepath)
        parts = [part("CUDAExecutionProvider", "Conv", "Relu"), part("CPUExecutionProvider", "Gather", "MatMul")]
        return SimpleNamespace(get_provider_graph_assignment_info=lambda: parts)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    assert gpu.main(["--device", "cuda", "--small", "--parts", "nodes"]) == 1
    said = capsys.readouterr().out
    assert "WRONG: simple-cnn float32 computes on cuda: ['MatMul (MatMul)']" in said
    assert "WRONG: simple-cnn float32 is copied nowhere in between: {'MemcpyToHost': 2}" in said


def test_a_wrong_result_is_told_and_is_the_exit_status(gpu, monkeypatch, capsys):
    monkeypatch.setattr(gpu.gpu_parts, "decode", lambda settings: ([], [("2 and 2", False, 5)]))
    assert gpu.main([*SMALL, "--parts", "decode"]) == 1
    assert "WRONG: 2 and 2: 5" in capsys.readouterr().out


def test_no_part_begins_after_the_limit(gpu, capsys):
    assert gpu.main([*SMALL, "--parts", "decode", "--limit", "0"]) == 0
    assert "left out: the limit of 0 s was reached" in capsys.readouterr().out


def test_a_part_has_a_process_and_a_time_of_its_own(gpu, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "photos/black.jpg")
    given = gpu.parsed(SMALL)
    assert gpu.run_apart("decode", given, tmp_path, 60)["rows"]
    assert gpu.run_apart("decode", given, tmp_path, 0.01) == {"error": "not done after 0 s"}
