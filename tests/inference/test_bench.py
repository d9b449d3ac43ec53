import json
import re
import shutil

import pytest

from clsbench.inference.bench import Benchmark, Figure
from clsbench.inference.cuda_driver import gpu_versions


@pytest.mark.parametrize(
    ("windows", "stable", "value"),
    [
        ([], False, 0.0),
        ([100.0], False, 100.0),
        ([50.0, 100.0, 105.0, 109.0], True, 105.0),
        ([100.0, 105.0, 120.0], False, 105.0),
        ([50.0, 100.0, 105.0, 109.0, 300.0], True, 105.0),
        ([0.0, 0.0, 0.0], False, 0.0),
    ],
)
def test_a_figure_counts_when_three_windows_agree_within_ten_percent(windows, stable, value):
    assert (Figure(windows).stable, Figure(windows).value) == (stable, value)


def test_the_limit_of_shared_cores_is_both_stages_in_series():
    made = Benchmark(model="m.onnx")
    made.model_only.windows, made.decode_only.windows, made.end_to_end.windows = [100.0], [300.0], [60.0]
    assert made.limit == pytest.approx(75.0)
    assert made.fraction == pytest.approx(0.8)
    made.end_to_end.windows = [82.0]
    assert made.fraction == 1.0
    made.shares_cores = False
    assert made.limit == 100.0


def test_bench_prints_one_table_of_several_models(cli, tiny_onnx, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("clsbench.inference.bench_rounds.MAX_ROUNDS", 3)
    models = [tmp_path / run / "model.onnx" for run in ("ours", "theirs")]
    for model in models:
        model.parent.mkdir()
        shutil.copy(tiny_onnx, model)
    done = cli(
        "bench", *models, "--images", photos, "--batch-size", "1,4", "--window", "0.05",
        "--device", "cpu", "--json", tmp_path / "b.json",
    )  # fmt: skip
    assert done.code == 0
    assert [done.stdout.count(f" {run} ") for run in ("ours", "theirs")] == [6, 6]
    assert max(map(len, done.stdout.splitlines())) <= 80
    reached = re.findall(r" (\d+)%(?: ~)? *$", done.stdout, re.MULTILINE)
    assert len(reached) == 4
    assert all(int(share) <= 100 for share in reached)
    facts = json.loads((tmp_path / "b.json").read_text())
    assert [b["batch_size"] for b in facts["benchmarks"]] == [1, 4, 1, 4]
    for made in facts["benchmarks"]:
        assert made["latency_ms"]["p50"] <= made["latency_ms"]["p90"] <= made["latency_ms"]["p99"]
        assert made["end_to_end"]["images_per_second"] > 0
    assert facts["environment"]["packages"]["numpy"]
    assert facts["environment"]["gpu"] == (gpu_versions() or None)


def test_single_stream_takes_one_picture_at_a_time(cli, tiny_onnx, photos, tmp_path):
    done = cli(
        "bench", tiny_onnx, "--images", photos, "--scenario", "single-stream", "--window", "0.05",
        "--device", "cpu", "--json", tmp_path / "b.json",
    )  # fmt: skip
    assert done.code == 0
    assert json.loads((tmp_path / "b.json").read_text())["benchmarks"][0]["batch_size"] == 1


def test_batch_sizes_that_are_none_are_refused(cli, tiny_onnx):
    assert cli("bench", tiny_onnx, "--batch-size", "1,x").code == 2
