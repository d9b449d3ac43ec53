import os

import pytest

from clsbench.inference.machine import available_cores


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


def cgroup(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text + "\n")
    return folder


def version1(quota, period="100000"):
    return {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 16),
        ({"cpu.max": "max 100000"}, 16),
        ({"cpu.max": "400000 100000"}, 4),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "9900000 100000"}, 16),
        ({"cpu.max": ""}, 16),
        ({"cpu.max": "what is this"}, 16),
        (version1("-1"), 16),
        (version1("300000"), 3),
        (version1("25000", "50000"), 1),
        ({"cpu/cpu.cfs_quota_us": "300000"}, 16),
    ],
)
def test_a_quota_limits_the_cores(tmp_path, files, cores):
    assert available_cores(cgroup(tmp_path, files)) == cores


def test_affinity_limits_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert available_cores(cgroup(tmp_path, {"cpu.max": "800000 100000"})) == 2


def test_systems_without_affinity_count_their_cores(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert available_cores(tmp_path) == 10
