"""What a user asks for is used or refused, and one failure costs nobody else anything."""

import json
from pathlib import Path

import pytest

PLUGIN = """
    from clsbench import Component, hookimpl

    def bare(num_classes):
        raise AssertionError("built although its options are wrong")

    def failing():
        def metric(outcomes):
            raise ValueError("no luck")
        return metric

    @hookimpl
    def register_models():
        yield Component("bare", bare)

    @hookimpl
    def register_metrics():
        yield Component("unlucky", failing)
"""


@pytest.mark.parametrize("command", [("train",), ("export", "--out", "m.onnx")])
@pytest.mark.parametrize("flag", [("--pretrained",), ("--weights", "w.safetensors")])
def test_a_model_that_takes_no_weights_refuses_them(cli, fake_distribution, tmp_path, monkeypatch, command, flag):
    fake_distribution("clsbench-acme", PLUGIN)
    monkeypatch.chdir(tmp_path)
    Path("w.safetensors").touch()
    done = cli(*command, "--model", "acme/bare", *flag)
    assert done.code == 2
    assert f"has no option '{flag[0][2:]}'" in done.stderr


@pytest.mark.parametrize("flag", [("--streams", 2), ("--threads", 2), ("--allow-fallback",)])
def test_a_backend_refuses_flags_it_has_no_use_for(cli, photos, tiny_onnx, flag):
    done = cli("infer", photos / "val", "--model", tiny_onnx, "--backend", "onnx-reference", *flag)
    assert done.code == 2
    assert flag[0] in done.stderr


def test_a_failing_metric_costs_its_own_values_only(cli, fake_distribution, photos, tiny_onnx):
    fake_distribution("clsbench-acme", PLUGIN)
    done = cli(
        "infer", photos / "val", "--model", tiny_onnx, "--metric", "acme/unlucky", "--out", "p.csv", "--json", "f.json"
    )
    assert done.code == 0, done.stderr
    assert "acme/unlucky failed: ValueError: no luck" in done.stderr
    with open("f.json", encoding="utf-8") as file:
        facts = json.load(file)
    assert facts["metrics"]["top1"]["value"] == 1.0
    assert facts["metric_errors"] == {"acme/unlucky": "ValueError: no luck"}
