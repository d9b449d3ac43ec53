"""The executor on a real Ray of several processes, with real jobs through ``clsbench.infer``."""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import clsbench
from clsbench import BytesEntry, JobSpec, OptionError, PluginError, read_card
from clsbench.guard import Opener
from clsbench.inference.executors import SerialExecutor
from clsbench.testing import job_parts, plugin_checks
from clsbench.testing.samples import write_model

REASON = "clsbench-ray is not installed: make plugins-test installs and tests it"
ray = pytest.importorskip("ray", reason=REASON)
psutil = pytest.importorskip("psutil", reason=REASON)
build = pytest.importorskip("clsbench_ray.executor", reason=REASON).build
Task = pytest.importorskip("clsbench_ray.worker", reason=REASON).Task

#: Ray uses deprecated parts of its own.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WORKERS = 2


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A Ray that the jobs find running, and leave running; it takes seconds to start."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init("local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    assert ray.is_initialized()
    ray.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for k in range(150):
        Image.fromarray(random.integers(0, 255, (12 + k % 5, 10, 3), np.uint8)).save(folder / f"{k:03}.png")
    (folder / "040.png").write_bytes(b"not an image")
    (folder / "041.png").write_bytes(b"")
    return folder


def infer(images, model, out, **options):
    return clsbench.infer(images, model=model, out=out, labels="none", tune="off", device="cpu", **options)


def on_ray(images, model, out, **options):
    return infer(
        images, model, out, executor="ray", options=[f"executor.workers={WORKERS}", "executor.chunk=8"], **options
    )


@pytest.mark.parametrize("check", plugin_checks("ray"), ids=str)
def test_plugin(check):
    check()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_the_file_is_the_local_executors(images, model, tmp_path, suffix):
    local, far = tmp_path / f"local.{suffix}", tmp_path / f"far.{suffix}"
    here, there = infer(images, model, local, probabilities=True), on_ray(images, model, far, probabilities=True)
    if suffix == "parquet":  # where its row groups end depends on when blocks come, in any executor
        assert pq.read_table(far).equals(pq.read_table(local))
    else:
        assert far.read_bytes() == local.read_bytes()
    assert there.counts == here.counts
    assert there.counts.errors == 2
    assert there.failures == here.failures
    assert there.execution.plan.batch_size == here.execution.plan.batch_size


def test_features_come_too(images, model, tmp_path):
    here = infer(images, model, tmp_path / "local.csv", features=True)
    there = on_ray(images, model, tmp_path / "far.csv", features=True)
    assert there.feature_file.read_bytes() == here.feature_file.read_bytes()


def test_the_times_are_those_of_all_workers(images, model, tmp_path):
    timing = on_ray(images, model, tmp_path / "far.csv").execution.timing
    assert (timing.images, timing.cores) == (150, WORKERS)
    assert 0 < timing.clock.busy["decode"] < timing.process_seconds
    assert timing.first_batch_images == 8


class Stop(clsbench.Observer):
    """Ends the job as Ctrl-C does."""

    def advance(self, images, *more):
        raise KeyboardInterrupt


def test_a_job_goes_on_where_it_ended(images, model, tmp_path, monkeypatch):
    monkeypatch.setattr("clsbench.api.infer_rerun.WORTH_A_LEDGER", 0)
    whole, out = tmp_path / "whole.csv", tmp_path / "parts.csv"
    infer(images, model, whole)
    with pytest.raises(KeyboardInterrupt):
        on_ray(images, model, out, observer=Stop())
    assert not out.exists()
    result = on_ray(images, model, out, resume=True)
    assert 0 < result.resumed < 150
    assert out.read_bytes() == whole.read_bytes()


@dataclass(frozen=True)
class Deadly:
    """An image of which the process dies that reads it, the first times.

    Args:
        name, data: As of an entry in memory.
        log: Has a byte for each time that it was read.
        times: How often the reader dies.
    """

    name: str
    data: bytes
    log: str
    times: int

    def read(self):
        with open(self.log, "ab") as file:
            file.write(b".")
        if os.path.getsize(self.log) <= self.times:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.data


@pytest.fixture
def entries(images):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield [BytesEntry(file.name, file.read_bytes()) for file in sorted(images.iterdir())]
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def deadly(entries, log, times):
    return [*entries[:70], Deadly("deadly.png", entries[0].data, str(log), times), *entries[70:]]


def spec_of(model):
    opener = Opener(job_parts.open_backend, {}, "kit/onnxruntime")
    return JobSpec(model=model, card=read_card(model), backend=opener, device="cpu", batch_size=4)


def test_a_worker_that_is_killed_loses_nothing(entries, model, tmp_path):
    entries = deadly(entries, tmp_path / "log", 1)
    found = list(build(workers=WORKERS, chunk=8).run(spec_of(model), entries))
    (tmp_path / "log").write_bytes(b"..")
    right = list(SerialExecutor().run(spec_of(model), entries))
    assert [name for block in found for name in block.names] == [entry.name for entry in entries]
    logits = [np.concatenate([block.logits for block in blocks]) for blocks in (found, right)]
    np.testing.assert_allclose(*logits, rtol=1e-5, atol=1e-6)
    assert [error for block in found for error in block.errors] == [error for block in right for error in block.errors]


def test_an_image_that_kills_every_worker_ends_the_job(entries, model, tmp_path):
    entries = deadly(entries, tmp_path / "log", 100)
    with pytest.raises(PluginError, match=r"3 workers died(.|\n)*064\.png to 070.png"):
        list(build(workers=WORKERS, chunk=8).run(spec_of(model), entries))
    assert (tmp_path / "log").stat().st_size == 3


def test_a_model_that_is_not_there_is_sent(model, tmp_path):
    task = Task(
        pickle.dumps(replace(spec_of(model), model=tmp_path / "elsewhere.onnx")), model.read_bytes(), "/nowhere", 1
    )
    with task.opened() as job:
        blocks = list(job.run([BytesEntry("a.png", b"")]))
    assert blocks[0].reasons == ["empty"]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"address": "ray://head:10001"}, OptionError, "Ray Client"),
        ({"workers": 1000}, OptionError, "no room for the workers"),
        ({"chunk": 0}, OptionError, "chunk must be at least 1"),
    ],
)
def test_options_that_do_not_fit(model, options, error, text):
    with pytest.raises(error, match=text):
        list(build(**options).run(spec_of(model), [BytesEntry("a.png", b"")]))


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install 'ray\[data\]'"):
        build()


def command(images, model, out, *more, **variables):
    """The command line, of a process that finds no Ray."""
    words = ["infer", images, "--model", model, "--out", out, "--labels", "none", "--tune", "off", "--device", "cpu"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | variables
    return subprocess.Popen(
        [sys.executable, "-m", "clsbench", *map(str, words), "--executor", "ray", *map(str, more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_a_local_ray_is_started_quietly_and_stopped(images, model, tmp_path):
    process = command(images, model, tmp_path / "far.csv")
    seen = set()
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            seen |= {*family(process)}
        time.sleep(0.2)
    _, said = process.communicate()
    assert process.returncode == 0, said
    infer(images, model, tmp_path / "local.csv")
    assert (tmp_path / "far.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert not [word for word in ("WARNING", "INFO", " I ", "Ray", "ray::") if word in said], said
    assert seen
    assert not psutil.wait_procs(list(seen), timeout=60)[1]


def test_ctrl_c_stops_it_all(images, model, tmp_path):
    process = command(images, model, tmp_path / "far.csv")
    deadline = time.monotonic() + 120
    seen = []
    while not any("MapWorker" in one.name() for one in seen) and time.monotonic() < deadline:
        seen = family(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not psutil.wait_procs(seen, timeout=60)[1]


@pytest.fixture
def users_cluster(tmp_path):
    """The process of ``ray start``, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = ["ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address", "127.0.0.1", "--num-cpus", "2"]
    words += ["--port", address.partition(":")[2], "--include-dashboard=false", "--disable-usage-stats"]
    variables = {**os.environ, "RAY_AUTH_MODE": "token"}
    with (tmp_path / "head.log").open("w+") as log:
        process = subprocess.Popen([sys.executable, "-m", *words], stdout=log, stderr=log, env=variables)
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in (tmp_path / "head.log").read_text() and time.monotonic() < deadline:
            time.sleep(0.2)
        yield process, address
        seen = [psutil.Process(process.pid), *family(process)]
        process.terminate()
        process.wait(60)
        psutil.wait_procs(seen, timeout=60)


def test_a_cluster_of_the_users_is_left_running(images, model, tmp_path, users_cluster):
    head, address = users_cluster
    before = [one.pid for one in family(head) if "raylet" in one.name()]
    given = ["--with", f"executor.address={address}", "--with", "executor.workers=2"]
    process = command(images, model, tmp_path / "far.csv", *given, RAY_AUTH_MODE="token")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    infer(images, model, tmp_path / "local.csv")
    assert (tmp_path / "far.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert before
    assert [one.pid for one in family(head) if "raylet" in one.name()] == before


def test_a_cluster_that_does_not_answer(images, model, tmp_path):
    process = command(images, model, tmp_path / "far.csv", "--with", "executor.address=127.0.0.1:1")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "no Ray cluster answers" in said
