import itertools
import json
import time

import numpy as np
import pytest

from clsbench.errors import DeviceMemoryError
from clsbench.inference import onnxruntime_backend, tuning
from clsbench.inference.backend import Plan
from clsbench.inference.devices import DeviceRequest
from clsbench.inference.tuning import better_level, candidates, measure, plan_for, rule, throughput
from clsbench.machine import cache_folder

CPU, CUDA = DeviceRequest("cpu"), DeviceRequest("cuda", (0,))
NOTHING = {"batch_size": None, "streams": None, "threads": None}


@pytest.fixture(autouse=True)
def two_cores(monkeypatch, tmp_path):
    monkeypatch.setattr(tuning, "available_cores", lambda: 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def measured(monkeypatch):
    """Counts measurements, which all choose the same plan."""
    calls = []

    def fake(plans, open_runner, size, *, mode, allocate):
        calls.append(mode)
        return plans[-1]

    monkeypatch.setattr(tuning, "measure", fake)
    monkeypatch.setattr(tuning, "better_level", lambda plan, openers, size, *, mode: "all")
    return calls


def test_by_rule_one_thread_a_call_and_a_call_a_core():
    assert rule(CPU, {}) == Plan(2, 1, 4)
    assert rule(CPU, {"threads": 2, "batch_size": 9}) == Plan(1, 2, 9)
    assert rule(CUDA, {}).streams == 2


def test_candidates_keep_what_the_user_fixed():
    plans = candidates(CPU, "full", {"batch_size": 3})
    assert {p.batch_size for p in plans} == {3}
    assert {(p.streams, p.threads) for p in plans} == {(2, 1), (1, 2)}


def test_the_fastest_wins_and_among_close_ones_the_smallest_batch(monkeypatch):
    rates = {1: 70.0, 2: 99.8, 4: 100.0, 8: 90.0}
    monkeypatch.setattr(tuning, "throughput", lambda run, images, streams, seconds: rates[len(images)])
    plans = [Plan(2, 1, size, "measured") for size in rates]
    assert measure(plans, lambda threads: threads, (2, 2), mode="quick").batch_size == 2


def test_a_split_call_has_to_be_clearly_faster(monkeypatch):
    rates = {1: 100.0, 2: 110.0}
    monkeypatch.setattr(tuning, "throughput", lambda run, images, streams, seconds: rates[run])
    plans = [Plan(2, 1, 4, "measured"), Plan(1, 2, 4, "measured")]
    assert measure(plans, lambda threads: threads, (2, 2), mode="quick").threads == 1
    rates[2] = 130.0
    assert measure(plans, lambda threads: threads, (2, 2), mode="quick").threads == 2


@pytest.mark.parametrize(("extended", "chosen"), [(90.0, "all"), (104.0, "all"), (106.0, "extended")])
def test_the_graph_is_rewritten_less_only_where_that_is_clearly_faster(monkeypatch, extended, chosen):
    rates = {"all": 100.0, "extended": extended}
    monkeypatch.setattr(tuning, "throughput", lambda run, images, streams, seconds: rates[run])
    openers = {level: lambda threads, level=level: level for level in rates}
    assert better_level(Plan(2, 1, 4), openers, (2, 2), mode="full") == chosen


def test_full_tuning_tries_the_graph_level_and_keeps_it(measured, monkeypatch, tiny_onnx):
    monkeypatch.setattr(tuning, "better_level", lambda plan, openers, size, *, mode: "extended")
    plans = [plan_for(tiny_onnx, CPU, (8, 8), mode=mode, given=NOTHING) for mode in ("quick", "full", "full", "cached")]
    assert [plan.graph_level for plan in plans] == [None, "extended", "extended", "extended"]
    assert plans[1].to_json()["graph_level"] == "extended"
    given = plan_for(tiny_onnx, CPU, (8, 8), mode="full", given=NOTHING, graph_level="all")
    assert (given.source, given.graph_level, len(measured)) == ("measured", None, 3)


@pytest.mark.parametrize("level", ["all", "extended"])
def test_the_graph_level_is_used_and_told(monkeypatch, tiny_onnx, level):
    import onnxruntime as ort

    used = []
    opened = ort.InferenceSession

    def session(content, options, **more):
        used.append(options.graph_optimization_level)
        return opened(content, options, **more)

    monkeypatch.setattr(ort, "InferenceSession", session)
    backend = onnxruntime_backend.build(tiny_onnx, "cpu", graph_level=level)
    assert used == [getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level.upper()}")]
    assert backend.graph_level == level
    backend.close()


def test_throughput_counts_the_images_of_all_streams():
    rate = throughput(lambda images: time.sleep(0.01), np.zeros((5, 1, 1, 3), np.uint8), 2, 0.1)
    assert 0 < rate <= 2 * 5 / 0.01  # two streams of five images, at least 10 ms a call


def test_a_choice_is_kept_and_used_again(measured, tiny_onnx):
    first = plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING)
    again = plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING)
    assert (first.source, again.source) == ("measured", "cache")
    assert (first.streams, first.threads, first.batch_size) == (again.streams, again.threads, again.batch_size)
    assert measured == ["quick"]


def test_a_quick_choice_does_not_stand_for_a_full_one(measured, tiny_onnx):
    for mode in ("quick", "full", "full", "quick"):
        plan_for(tiny_onnx, CPU, (8, 8), mode=mode, given=NOTHING)
    assert measured == ["quick", "full"]


def test_another_model_machine_or_fixed_number_is_another_choice(measured, tiny_onnx, tmp_path, monkeypatch):
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_onnx.read_bytes() + b"\x12\x00")  # an empty producer
    plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING)
    plan_for(other, CPU, (8, 8), mode="quick", given=NOTHING)
    plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given={**NOTHING, "batch_size": 2})
    monkeypatch.setattr("clsbench.inference.tuning_cache.cpu_name", lambda: "another processor")
    plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING)
    assert len(measured) == 4


@pytest.mark.parametrize("mode", ["off", "cached"])
def test_without_measuring_the_rule_holds(measured, tiny_onnx, mode):
    assert plan_for(tiny_onnx, CPU, (8, 8), mode=mode, given=NOTHING).source == "rule"
    assert measured == []


def test_a_damaged_cache_is_measured_over(measured, tiny_onnx):
    store = cache_folder() / "tuning.json"
    store.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"a": 1}'):
        store.write_text(text)
        plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING)
    assert len(measured) == 3
    assert json.loads(store.read_text())


@pytest.mark.parametrize(
    "damage",
    [
        {"streams": 0},
        {"threads": -1},
        {"batch_size": 2.5},
        {"streams": "2"},
        {"threads": True},
        {"batch_size": None},
        [1, 2, 3],
        "fast",
        None,
    ],
    ids=str,
)
def test_a_kept_plan_that_cannot_be_used_is_measured_anew(measured, tiny_onnx, damage):
    first = plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING)
    store = cache_folder() / "tuning.json"
    ((key, kept),) = json.loads(store.read_text()).items()
    store.write_text(json.dumps({key: {**kept, **damage} if isinstance(damage, dict) else damage}))
    assert plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING) == first
    assert measured == ["quick", "quick"]
    assert json.loads(store.read_text()) == {key: kept}


def test_a_real_measurement_on_a_real_model(tiny_onnx):
    plan = plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given={**NOTHING, "batch_size": 4})
    assert (plan.batch_size, plan.source) == (4, "measured")


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(0)])
def test_a_call_that_fails_while_it_warms_up_does_not_let_the_others_wait(error):
    calls = itertools.count()

    def run(images):
        if next(calls) == 1:
            raise error

    with pytest.raises(type(error)):
        throughput(run, np.zeros((1, 2, 2, 3), np.uint8), 3, 0.01)


def test_a_cache_that_cannot_be_written_is_no_error(measured, tiny_onnx, tmp_path, monkeypatch):
    (tmp_path / "taken").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    assert plan_for(tiny_onnx, CPU, (8, 8), mode="quick", given=NOTHING).source == "measured"


class GpuSession:
    """Takes arrays as they lie, as ``InferenceSession.run`` does; has memory for so many images."""

    def __init__(self, room=1000):
        self.room, self.seen = room, {}

    def run(self, outputs, feeds, options):
        images = feeds["images"]
        if len(images) > self.room:
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")
        self.seen[len(images)] = images.ctypes.data
        time.sleep(0.001)
        return [np.zeros((len(images), 2), np.float32)]


@pytest.fixture
def gpu(cuda, monkeypatch):
    """gpu(session): a GPU that runs it; the windows are short."""

    def install(session):
        monkeypatch.setattr(tuning, "open_session", lambda *args, **kwargs: session)
        monkeypatch.setattr(tuning, "WINDOW", {"quick": 0.005})
        return cuda(memory=1 << 30)

    return install


def test_a_gpu_is_measured_as_jobs_use_it_in_pinned_memory(gpu, tiny_onnx):
    session = GpuSession()
    blocks, driver = set(), gpu(session)
    allocate = driver.cuMemHostAlloc
    driver.cuMemHostAlloc = lambda pointer, *rest: (allocate(pointer, *rest), blocks.add(pointer._obj.value))[0]
    plan = plan_for(tiny_onnx, CUDA, (8, 8), mode="quick", given=NOTHING)
    assert plan.source == "measured"
    assert set(session.seen) == {32, 64, 128}
    assert set(session.seen.values()) <= blocks


def test_batches_that_a_gpu_has_no_memory_for_are_left_out(gpu, tiny_onnx):
    gpu(GpuSession(room=64))
    assert plan_for(tiny_onnx, CUDA, (8, 8), mode="quick", given=NOTHING).batch_size <= 64
    gpu(GpuSession(room=0))
    with pytest.raises(DeviceMemoryError, match="not enough memory"):
        plan_for(tiny_onnx, CUDA, (8, 8), mode="quick", given={**NOTHING, "streams": 1})


def test_tensorrt_is_not_measured_as_each_batch_size_would_build_an_engine(measured, tiny_onnx):
    plan = plan_for(tiny_onnx, DeviceRequest("tensorrt", (0,)), (8, 8), mode="full", given=NOTHING)
    assert (plan.source, measured) == ("rule", [])


def test_another_gpu_driver_or_library_is_another_choice(measured, tiny_onnx, monkeypatch):
    for found in ({"gpus": "NVIDIA H100"}, {"gpus": "NVIDIA T4"}, {"gpus": "NVIDIA T4", "driver": "580.1"}):
        monkeypatch.setattr(tuning, "gpu_versions", lambda found=found: found)
        for _ in range(2):
            plan_for(tiny_onnx, CUDA, (8, 8), mode="quick", given=NOTHING)
    plan_for(tiny_onnx, CUDA, (8, 8), mode="quick", given=NOTHING, tf32=False)
    assert len(measured) == 4
