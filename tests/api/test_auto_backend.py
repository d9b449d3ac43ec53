"""`--backend auto` among engines written here: one that is right, one that is wrong, coarse ones and a broken one."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

import clsbench
from clsbench.card import METADATA_KEY
from clsbench.carried_gate import METADATA_KEY as CARRIED_KEY
from clsbench.exporting.quantizing.carrying import as_jpeg, dumps
from clsbench.inference.bench import Benchmark
from clsbench.inference.engine_choice import EngineChoice
from clsbench.predictions.job import JobIdentity
from clsbench.predictions.ledger import Ledger, read_job

PLUGIN = """
    import time
    import numpy as np
    from clsbench import Backend, Component, DeviceError, DeviceInfo, hookimpl

    class Means(Backend):
        streams, batch_size = 1, 2
        def __init__(self, shift, precision, ms):
            self.device = DeviceInfo(provider="numpy", device="cpu", precision=precision)
            self.shift, self.ms = np.array(shift, np.float32), ms
        def __call__(self, images):
            time.sleep(self.ms * len(images) / 1000)
            return images.mean(axis=(1, 2), dtype=np.float32) + self.shift
        def close(self): ...

    def exact(model_path, device="auto", *, ms: float = 0.0):
        return Means((0, 0, 0), None, ms)

    def coarse(model_path, device="auto", *, honest: bool = True):
        return Means((0, 0.05, 0), "bfloat16" if honest else None, 0)

    def wrong(model_path, device="auto"):
        return Means((0, 0, 900), None, 0)

    def broken(model_path, device="auto"):
        raise DeviceError("the library is missing")

    @hookimpl
    def register_backends():
        yield Component("exact", exact)
        yield Component("coarse", coarse, variants=("", "honest=no"))
        yield Component("wrong", wrong)
        yield Component("broken", broken)
        yield Component("oracle", broken, variants=())
"""


@pytest.fixture(autouse=True)
def _plugin(cli, fake_distribution, only_plugin, monkeypatch):
    fake_distribution("clsbench-means", PLUGIN)
    only_plugin("means")
    monkeypatch.setattr("clsbench.api.engine_gate.COMPARED", 12)
    monkeypatch.setattr("clsbench.api.engine_gate.CROPS", 3)
    monkeypatch.setattr("clsbench.api.auto_backend.WINDOW", 0.05)


@pytest.fixture
def rates(monkeypatch):
    """Engine -> ratio to the reference, in place of windows; ``calls`` counts."""
    set_to = {"calls": 0}

    def run(rows, entries, **_):
        set_to["calls"] += 1
        made = []
        for row in rows:
            row.open().close()
            made.append(Benchmark(model=str(row.model), engine=row.engine, ratio=set_to.get(row.engine, 1.0)))
            made[-1].end_to_end.windows.append(100 * made[-1].ratio)
        return made

    monkeypatch.setattr("clsbench.inference.bench_rounds.run_benchmarks", run)
    return set_to


def infer(model, photos, **more):
    return clsbench.infer(photos, model=model, device="cpu", backend="auto", **more)


def told(choice):
    return {one.engine: one for one in choice.tried}


def test_the_fastest_that_agrees_is_taken_and_the_others_say_why_not(tiny_onnx, photos, rates):
    rates |= {"exact": 1.5, "coarse": 1.2, "wrong": 9.0, "coarse:honest=False": 9.0}
    choice = infer(tiny_onnx, photos).backend_choice
    assert (choice.engine, choice.source) == ("exact", "measured")
    found = told(choice)
    ours = [name for name in found if not name.startswith("openvino")]  # which is installed too, or not
    assert ours == ["onnxruntime", "exact", "coarse", "coarse:honest=False", "wrong", "broken"]
    assert (found["exact"].agreement, found["exact"].tolerance) == (1.0, 1e-3)
    assert found["coarse"].reason is None
    assert 1e-3 < found["coarse"].difference < found["coarse"].tolerance
    assert found["coarse:honest=False"].reason.startswith("left out: ")
    assert found["wrong"].agreement < 1
    assert "other labels for" in found["wrong"].reason
    assert "the library is missing" in found["broken"].reason
    assert [found[name].images_per_second for name in ours[3:]] == [None] * 3


def test_without_a_reason_to_change_the_reference_stays(tiny_onnx, photos, rates):
    rates |= {"exact": 1.03}
    assert infer(tiny_onnx, photos).backend_choice.engine == "onnxruntime"


def test_a_slow_engine_is_measured_and_left(tiny_onnx, photos):
    choice = infer(tiny_onnx, photos, options={"exact.ms": 5}).backend_choice
    assert told(choice)["exact"].ratio < 0.5
    assert choice.engine != "exact"


def test_the_choice_is_kept_and_told(cli, tiny_onnx, photos, rates):
    rates |= {"exact": 2.0}
    arguments = ("infer", photos, "--model", tiny_onnx, "--device", "cpu", "--backend", "auto", "--out")
    first, second = cli(*arguments, "a.csv"), cli(*arguments, "b.csv")
    assert rates["calls"] == 1
    assert "backend: exact, 2.00 times as fast as the reference; measured now" in first.stderr
    assert "wrong: the same top-1 for" in first.stderr
    assert "as it was measured earlier" in second.stderr
    cli(*arguments, "c.csv", "--batch-size", 3)  # another question
    assert rates["calls"] == 2


def test_the_manifest_has_it_and_a_resumed_job_keeps_its_backend(cli, tiny_onnx, photos, rates, tmp_path):
    rates |= {"exact": 2.0}
    arguments = ("infer", photos, "--model", tiny_onnx, "--device", "cpu", "--backend", "auto", "--out", "a.csv")
    assert cli(*arguments).code == 0
    manifest = json.loads((tmp_path / "a.csv.json").read_text())
    assert manifest["options"]["backend_choice"]["engine"] == "exact"
    assert "backend means/exact" in manifest["job"]["options"]
    rates |= {"exact": 0.5}
    (tmp_path / ".cache/clsbench/tuning.json").unlink()
    resumed = cli(*arguments, "--resume")
    assert resumed.code == 0
    assert "backend: exact, in which the job began" in resumed.stderr
    assert rates["calls"] == 1


def test_an_unfinished_job_says_what_it_is(tmp_path):
    file, entries = tmp_path / "a.csv.ledger", [clsbench.BytesEntry("a", b"")]
    assert read_job(file) is None
    job = JobIdentity(model="m", images=1, names="n", options={"backend means/exact": "{}"})
    block = clsbench.Predictions(["a"], np.zeros((1, 2), np.float32), [None])
    with Ledger(file, entries, np.zeros((1, 2), np.int64), classes=2) as ledger:
        ledger.begin(job)
        ledger.append(block)
    assert read_job(file) == replace(job)
    file.write_bytes(file.read_bytes()[:20])
    assert read_job(file) is None


def test_an_engine_that_cannot_take_an_option_or_give_features_is_left_out(tiny_onnx, featured_onnx, photos, rates):
    choice = infer(tiny_onnx, photos, streams=1).backend_choice
    assert "no option 'streams'" in told(choice)["exact"].reason
    choice = infer(featured_onnx, photos, features=True).backend_choice
    assert "gives no features" in told(choice)["exact"].reason
    assert choice.engine == "onnxruntime"


def test_an_engine_that_misreads_the_images_an_int8_file_carries_is_left_out(tiny_onnx, photos, rates, tmp_path):
    pixels = [np.full((8, 8, 3), (200, 40 * k, 20), np.uint8) for k in range(3)]
    told = np.stack([image.mean(axis=(0, 1), dtype=np.float32) for image in pixels])
    model = onnx.load(tiny_onnx)
    values = {prop.key: prop.value for prop in model.metadata_props}
    card = {**json.loads(values[METADATA_KEY]), "precision": "int8", "made_for": "onnxruntime"}
    text = dumps([as_jpeg(image) for image in pixels], told, told, "onnxruntime")
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(card), CARRIED_KEY: text})
    onnx.save(model, tmp_path / "int8.onnx")
    rates |= {"exact": 1.5, "wrong": 9.0}
    choice = infer(tmp_path / "int8.onnx", photos).backend_choice
    assert choice.engine == "exact"
    assert "carried images" in next(one for one in choice.tried if one.engine == "wrong").reason


def test_a_damaged_choice_is_measured_again(tiny_onnx, photos, rates, tmp_path):
    infer(tiny_onnx, photos)
    store = tmp_path / ".cache/clsbench/tuning.json"
    for value in (None, [], {"engine": "exact"}, {"engine": "gone", "source": "measured"}, {"engine": 3}):
        kept = json.loads(store.read_text())
        store.write_text(json.dumps({key: value if key.startswith("backend") else kept[key] for key in kept}))
        assert infer(tiny_onnx, photos).backend_choice.source == "measured"


def test_no_choice_where_the_backend_is_named(tiny_onnx, photos):
    found = clsbench.infer(photos, model=tiny_onnx, device="cpu", backend="exact")
    assert found.backend_choice is None
    assert "backend_choice" not in found.to_json()["options"]
    assert EngineChoice(engine="exact", source="resumed").to_json()["tried"] == []


def test_one_backend_is_named_as_bench_names_it(tiny_onnx, photos):
    found = clsbench.infer(photos, model=tiny_onnx, device="cpu", backend="coarse:honest=no")
    assert found.execution.device.precision is None
    with clsbench.load(tiny_onnx, device="cpu", backend="coarse:honest=no") as model:
        assert next(model.predict(photos)).label
    with pytest.raises(clsbench.OptionError, match="no option 'honets'"):
        clsbench.infer(photos, model=tiny_onnx, device="cpu", backend="coarse:honets=no")
