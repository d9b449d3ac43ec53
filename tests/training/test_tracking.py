"""Trackers, read back by their own readers; wandb by a stand-in."""

import json
import sys
from types import SimpleNamespace

import pytest

from clsbench.errors import ClsbenchError, OptionError
from clsbench.run_record import RunData, RunModel
from clsbench.training import training_run
from clsbench.training.config import read_options
from clsbench.training.tracker_names import TRACKERS
from clsbench.training.trackers import ENVIRONMENT, MLflow, TensorBoard
from clsbench.training.tracking import Tracking
from clsbench.training.training_run import run_training


@pytest.fixture(autouse=True)
def an_empty_folder_and_no_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_run, "save_plots", lambda *_, **__: None)
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", *ENVIRONMENT["wandb"]):
        monkeypatch.setenv(name, "")  # so that what is set by us is undone
        monkeypatch.delenv(name)


@pytest.fixture
def run(pictures, configured, observer, colours, tiny):
    """run("tensorboard", epochs=2, …): one training of a tiny network, with a test split."""

    def run(track, **options):
        dataset = pictures(test=colours(6, seed=2, split="test"))
        config = configured(track=track, log_every=2, **options)
        data, model = RunData(dataset="clsbench/folder", root="/photos"), RunModel(name="acme/tiny", version="1.2")
        return run_training(lambda: tiny(), dataset, config, observer, data=data, model=model, run_name="mine")

    return run


def of_file(file):
    return json.loads(file.read_text(encoding="utf-8"))


def scalars(result):
    """Tag -> (step, value) pairs, as TensorBoard's own reader finds them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(result.run.path / "tensorboard"))
    found.Reload()
    values = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    (status,) = found.Tensors("status/text_summary")
    return values, status.tensor_proto.string_val[0].decode()


def test_tensorboard_has_every_metric_and_how_the_run_ended(run, observer):
    result = run("tensorboard")
    found, status = scalars(result)
    first, last = result.history
    for tag, values in {
        "train/loss": [first.train_loss, last.train_loss],
        "train/accuracy": [first.train_accuracy, last.train_accuracy],
        "val/loss": [first.val_loss, last.val_loss], "val/accuracy": [first.val_accuracy, last.val_accuracy],
        "lr": [first.lr, last.lr],
    }.items():  # fmt: skip
        assert found[tag] == [(epoch, pytest.approx(value)) for epoch, value in enumerate(values, start=1)]
    assert found["best/val_accuracy"] == [(2, pytest.approx(result.best.val_accuracy))]
    assert found["test/accuracy"] == [(2, pytest.approx(result.test_accuracy))]
    # 24 images in batches of 6 are 4 batches an epoch, and every second one is a line
    assert found["train/batch_loss"] == [
        ((b.epoch - 1) * 4 + b.batch, pytest.approx(b.loss)) for b in observer.batches
    ]  # fmt: skip
    assert len(observer.epochs) == 2
    assert status == "finished"
    (options,) = (result.run.path / "tensorboard").glob("*/hparams.yml")
    assert {"batch_size: 6", "data.root: /photos", "model: acme/tiny", "images.train: 24"} <= set(
        options.read_text().splitlines()
    )
    assert "tensorboard: runs/mine/tensorboard; tensorboard --logdir runs" in observer.notes


def test_mlflow_has_them_too_in_a_database_of_the_run(run, observer, monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    result = run("mlflow")
    assert not mlflow.is_tracking_uri_set()
    assert mlflow.active_run() is None
    client = mlflow.MlflowClient(f"sqlite:///{result.run.path.resolve()}/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'clsbench'")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status, found.data.tags["status"]) == ("mine", "FINISHED", "finished")
    assert found.data.params.items() >= {"batch_size": "6", "model": "acme/tiny", "model.version": "1.2"}.items()
    assert found.data.metrics["test/accuracy"] == result.test_accuracy
    history = client.get_metric_history(found.info.run_id, "val/loss")
    assert [(m.step, m.value) for m in history] == [(e.epoch, e.val_loss) for e in result.history]
    lines = client.get_metric_history(found.info.run_id, "train/batch_loss")
    assert [(m.step, m.value) for m in lines] == [((b.epoch - 1) * 4 + b.batch, b.loss) for b in observer.batches]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
    assert of_file(result.run.path / "tracking.json") == {"mlflow": found.info.run_id}
    assert MLflow(result.run, found.info.run_id).identity == found.info.run_id
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


def test_a_server_that_is_not_there_is_an_error_before_the_first_epoch(run, observer, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setitem(ENVIRONMENT["mlflow"], "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ClsbenchError, match="mlflow cannot record this training"):
        run("mlflow")
    assert observer.epochs == []


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for wandb, which remembers what it is told."""
    told = SimpleNamespace(init={}, metrics=[], logged=[], summary={}, config={}, ended=None, broken=False)

    class Run:
        id = "abc"
        summary = told.summary

        def define_metric(self, name, step_metric):
            told.metrics.append((name, step_metric))

        def log(self, values, step=None):
            if told.broken:
                raise ConnectionError("the server\nis gone")
            told.logged.append((step, values))

        def finish(self, exit_code=None):
            told.ended = exit_code

    def init(**options):
        told.init = options
        return Run()

    module = SimpleNamespace(
        init=init, config=SimpleNamespace(update=lambda v, allow_val_change: told.config.update(v)),
        __spec__=SimpleNamespace(name="wandb"),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "wandb", module)
    return told


def test_wandb_is_offline_unless_its_user_configured_it(run, wandb, tmp_path, monkeypatch):
    result = run("wandb")
    here = str(result.run.path.absolute())
    assert wandb.init == {"project": "clsbench", "mode": "offline", "dir": here, "name": "mine"}
    assert wandb.metrics == [("*", "epoch"), ("train/batch_*", "batch")]
    assert wandb.config["lr"] == 0.05
    assert all(step is None for step, _ in wandb.logged), "steps of batches and epochs would not agree"
    assert [values["epoch"] for _, values in wandb.logged if "val/loss" in values] == [1, 2]
    assert (wandb.summary, wandb.ended) == ({"status": "finished"}, 0)


def test_an_environment_that_names_a_mode_and_a_project_is_obeyed(run, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "ants")
    run("wandb")
    assert wandb.init["project"] == "ants"
    assert "mode" not in wandb.init


def test_a_run_that_goes_on_goes_on_with_its_record(run, wandb, observer):
    result = run("wandb")
    wandb.config.clear()
    again = Tracking("wandb,tensorboard", observer)
    again.begin(result.run, result.record)
    assert (wandb.init["id"], wandb.init["resume"], wandb.config) == ("abc", "allow", {})
    assert of_file(result.run.path / "tracking.json") == {"wandb": "abc", "tensorboard": "tensorboard"}


def test_a_tracker_that_fails_on_the_way_costs_one_warning_and_nothing_else(run, wandb, observer):
    wandb.broken = True
    result = run("wandb,tensorboard")
    assert observer.warnings == ["wandb records no more of this training: the server?is gone"]
    assert [step for step, _ in scalars(result)[0]["val/loss"]] == [1, 2]
    assert result.record.status == "finished"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (KeyboardInterrupt(), "interrupted: interrupted by Ctrl-C", 1),
        (RuntimeError("boom"), "interrupted: an error: boom", 1),
    ],
)
def test_what_ended_a_training_is_recorded(run, wandb, observer, monkeypatch, error, status, code):
    monkeypatch.setattr("clsbench.training.journal.save_curves", lambda *_, **__: None)

    def epoch(result):
        raise error

    monkeypatch.setattr(observer, "epoch", epoch)
    with pytest.raises(type(error)):
        run("wandb")
    assert (wandb.summary["status"], wandb.ended) == (status, code)
    assert "best/val_accuracy" in wandb.logged[-1][1]


def test_a_tracker_that_is_missing_is_told_before_anything_is_read(cli, monkeypatch, photos):
    monkeypatch.setattr("clsbench.training.tracker_names.find_spec", lambda name: None if name == "wandb" else name)
    done = cli("train", photos, "--track", "wandb")
    assert done.code == 1
    assert "needs wandb" in done.stderr
    assert "pip install 'clsbench[wandb]'" in done.stderr
    assert "images" not in done.stderr


def test_trackers_are_named_as_a_text_or_as_a_list():
    assert read_options({"track": ["mlflow", "wandb"]})["track"] == "mlflow,wandb"
    assert set(TRACKERS) == {"tensorboard", "mlflow", "wandb"}
    with pytest.raises(OptionError, match="unknown tracker"):
        read_options({"track": "tensorboard,excel"})


def test_what_is_recorded_is_not_opened_without_being_asked_for(run, monkeypatch):
    monkeypatch.setattr(TensorBoard, "__init__", lambda *_: pytest.fail("opened"))
    assert not (run("").run.path / "tensorboard").exists()
