import os
import platform

import pytest

from clsbench.machine import available_cores, available_memory, cache_folder, cpu_name, wait_passively


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


MB = 1024**2


def meminfo(
    folder, text="MemTotal:       4096000 kB\nMemFree: 1024 kB\nMemAvailable:    2048000 kB\nHugePages_Total: 0\n"
):
    (folder / "meminfo").write_text(text)
    return folder / "meminfo"


@pytest.mark.parametrize(
    ("files", "megabytes"),
    [
        ({}, 2000),
        ({"memory.max": "max", "memory.current": str(900 * MB)}, 2000),
        ({"memory.max": str(1500 * MB), "memory.current": str(500 * MB)}, 1000),
        ({"memory.max": str(9000 * MB), "memory.current": str(500 * MB)}, 2000),
        ({"memory.max": str(500 * MB), "memory.current": str(500 * MB)}, 0),
        ({"memory.max": str(400 * MB), "memory.current": str(500 * MB)}, 0),
        ({"memory.max": str(400 * MB)}, 2000),
        ({"memory.max": "", "memory.current": "what is this"}, 2000),
    ],
)
def test_memory_is_what_the_system_has_and_the_cgroup_leaves(tmp_path, files, megabytes):
    assert available_memory(cgroup(tmp_path, files), meminfo(tmp_path)) == megabytes * MB


def test_files_that_the_kernel_keeps_in_a_cgroups_memory_can_make_room(tmp_path):
    stat = f"anon {300 * MB}\nfile {900 * MB}\ninactive_file {800 * MB}\nactive_file {100 * MB}"
    files = {"memory.max": str(1500 * MB), "memory.current": str(1400 * MB), "memory.stat": stat}
    assert 900 * MB <= available_memory(cgroup(tmp_path, files), meminfo(tmp_path)) <= 1000 * MB


@pytest.mark.parametrize("text", [None, "", "MemAvailable: much\n", "MemTotal: 4096000 kB\n"])
def test_systems_that_do_not_say_are_taken_to_have_half_of_their_memory(tmp_path, text, monkeypatch):
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    file = tmp_path / "nowhere" if text is None else meminfo(tmp_path, text)
    assert available_memory(tmp_path, file) == 500 * 4096


def test_this_machine_has_some_memory_left():
    assert 2**20 < available_memory() < 2**50


def test_the_processors_name_is_the_systems(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Good: CPU @ 2 GHz\nmodel name\t: another\n")
    assert cpu_name(tmp_path / "cpuinfo") == "Good: CPU @ 2 GHz"
    assert cpu_name(tmp_path / "nowhere") == (platform.processor() or platform.machine())


def test_the_cache_folder_follows_the_users_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / ".cache" / "clsbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere" / "clsbench"


@pytest.mark.parametrize("own", [None, "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_threads_wait_passively_unless_the_user_has_decided(monkeypatch, own):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "active") if name == own else monkeypatch.delenv(name, raising=False)
    wait_passively()
    set_now = os.environ.pop("OMP_WAIT_POLICY", None)
    assert set_now == {None: "PASSIVE", "OMP_WAIT_POLICY": "active"}.get(own)


def test_a_user_without_a_home_has_a_cache_among_the_temporary_files(monkeypatch, tmp_path):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("clsbench.machine.Path.home", home)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_folder() == tmp_path / "clsbench"
