"""The script that a GPU is measured with, in small on the CPU provider: what it prints there, it can print anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clsbench.inference.devices import missing_for

ROOT = Path(__file__).parent.parent
PARTS = ("doctor", "copies", "agreement", "job", "model", "waiting", "decoding")


def test_the_script_for_gpus_runs_on_a_cpu(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", "--device", "cpu", "--small", "--data", "none"]
    options = ["--parts", ",".join(PARTS), "--json", tmp_path / "gpu.json"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything was right" in done.stdout
    facts = json.loads((tmp_path / "gpu.json").read_text())
    assert set(facts["parts"]) == set(PARTS)
    assert {row["provider"] for row in facts["parts"]["job"]} == {"CPUExecutionProvider"}
    assert min(row["images/s"] for row in facts["parts"]["model"]) > 0


@pytest.mark.skipif(missing_for("cuda") is None, reason="a GPU is here, on which nothing fails")
def test_a_part_that_fails_is_reported_and_the_next_one_runs(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", "--device", "cuda", "--small", "--data", "none"]
    done = subprocess.run(
        [*command, "--parts", "copies,decoding"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "copies failed" in done.stdout
    assert "a thread" in done.stdout
