"""What a run leaves behind when something else than its last epoch ends it."""

import os
import signal

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from clsbench.errors import DataError, ModelError, Terminated
from clsbench.guard import calling
from clsbench.models.simple_cnn import build
from clsbench.run_record import RunData, RunModel
from clsbench.runs import Run, find
from clsbench.training import journal as module
from clsbench.training import loop, run_state, training_run
from clsbench.training.training_run import run_training


@pytest.fixture(autouse=True)
def nothing_is_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_run, "save_plots", lambda *arguments: None)
    monkeypatch.setattr(module, "save_curves", lambda history, rates, file, **_: file.write_bytes(b"drawn"))


@pytest.fixture
def run(pictures, observer):
    """run(config): a training named "mine"."""
    model = RunModel(name="clsbench/simple-cnn", options={"size": 8})
    data = RunData(dataset="clsbench/folder")
    return lambda config, **options: run_training(
        lambda: build(3, size=8, channels=2, width=8), pictures(), config, observer, data=data, model=model,
        run_name="mine", **options,
    )  # fmt: skip


@pytest.fixture
def at(observer, monkeypatch):
    """at(epoch, action): something happens when the observer hears of an epoch."""

    def at(number, action):
        def epoch(result):
            observer.epochs.append(result)
            if result.epoch == number:
                action()

        monkeypatch.setattr(observer, "epoch", epoch)

    return at


def raising(error):
    def action():
        raise error

    return action


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("action", "raised", "reason"),
    [
        (raising(KeyboardInterrupt()), KeyboardInterrupt, "interrupted by Ctrl-C"),
        (terminate, SystemExit, "ended by SIGTERM"),
        (raising(DataError("the disk\nis full")), DataError, "an error: the disk"),
    ],
    ids=["ctrl-c", "sigterm", "error"],
)
def test_whatever_ends_a_run_it_keeps_its_best_epoch_and_says_how_far_it_came(
    action, raised, reason, run, at, observer, configured
):
    at(3, action)
    with pytest.raises(raised):
        run(configured(epochs=5))
    made = find("mine")
    record = made.read_record()
    assert (record.status, record.result.stopped, record.result.epochs) == ("interrupted", reason, 3)
    best = max(observer.epochs, key=lambda epoch: epoch.quality)
    assert (record.result.best_epoch, record.result.val_accuracy) == (best.epoch, best.val_accuracy)
    assert record.shortfall().startswith("the run was interrupted; 3 of 5 epochs done, the best is epoch ")
    (warning,) = observer.warnings
    assert f"epoch {best.epoch} with {best.val_accuracy:.2%}" in warning
    assert "next: clsbench export runs/mine" in warning
    assert made.curves.read_bytes() == b"drawn"
    assert load_file(made.best)


def test_sigterm_gives_the_exit_code_of_convention_and_its_handler_goes_away(run, at, configured):
    at(1, terminate)
    with pytest.raises(SystemExit) as caught:
        run(configured())
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_the_programs_own_is_left_alone(run, at, configured):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    try:
        at(1, terminate)
        assert run(configured()).record.status == "finished"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [1]


def test_the_best_weights_are_those_of_the_epoch_that_the_record_names(run, at, observer, configured, monkeypatch):
    """Also where the epochs are shorter than the time between two writes."""
    results = iter([(0.9, 0.5), (0.5, 0.9), (0.9, 0.5)])
    weights = []

    def validate(network, batches):
        weights.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return next(results)

    monkeypatch.setattr(loop, "validate", validate)
    at(3, raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(configured(epochs=9))
    assert find("mine").read_record().result.best_epoch == 2
    torch.testing.assert_close(load_file(find("mine").best), weights[1], rtol=0, atol=0)


@pytest.mark.parametrize("stage", ["head", "everything"])
def test_an_interrupt_at_any_batch_keeps_the_stages_before(stage, run, observer, configured, monkeypatch):
    config = configured(recipe="fine-tune", freeze_epochs=2, epochs=2)
    now = []
    monkeypatch.setattr(observer, "stage", lambda name, total: now.append(name))

    def advance(count):
        if now[-1] == stage and len(observer.epochs) == (1 if stage == "head" else 2):
            raise KeyboardInterrupt

    monkeypatch.setattr(observer, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    record = find("mine").read_record()
    assert record.result.epochs == (1 if stage == "head" else 2)
    assert [planned.name for planned in record.stages] == ["head", "everything"]
    assert record.epochs_asked == 4


def test_before_the_first_epoch_has_ended_there_is_nothing_and_that_is_said(run, observer, configured, monkeypatch):
    monkeypatch.setattr(observer, "loss", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(configured())
    record = find("mine").read_record()
    assert (record.status, record.result) == ("interrupted", None)
    assert "before its first epoch had ended" in record.shortfall()
    assert "no weights to export" in observer.warnings[0]


def test_a_training_that_diverges_at_once_is_no_running_run(run, configured):
    with pytest.raises(ModelError, match="diverged"):
        run(configured(lr=1e30, optimizer="sgd", schedule="constant"))
    assert find("mine").read_record().status == "interrupted"


def test_a_run_that_is_killed_describes_the_weights_on_disk(run, at, observer, configured):
    """What lies there while an epoch is heard of is what a kill would leave."""
    seen = []
    at(1, lambda: seen.append((find("mine").read_record(), load_file(find("mine").best))))
    run(configured(epochs=3))
    ((record, weights),) = seen
    assert (record.status, record.result.epochs, record.result.best_epoch) == ("running", 1, 1)
    assert record.result.val_accuracy == observer.epochs[0].val_accuracy
    assert "still training, or was killed" in record.shortfall()
    assert weights


def test_files_that_were_being_written_are_named(run, at, observer, configured):
    def leave():
        find("mine").path.joinpath("best.safetensors.partial").touch()
        raise KeyboardInterrupt

    at(1, leave)
    with pytest.raises(KeyboardInterrupt):
        run(configured())
    assert "best.safetensors.partial" in observer.warnings[0]


@pytest.mark.parametrize(
    ("options", "status"),
    [({}, "finished"), ({"max_time": 1e-9}, "stopped"), ({"patience": 1, "epochs": 20}, "finished")],
)
def test_the_status_of_a_run_that_ended_by_itself(options, status, run, configured):
    record = run(configured(**options)).record
    assert record.status == find("mine").read_record().status == status
    assert (record.shortfall() is None) == (status == "finished")


def test_a_time_limit_between_two_stages_is_a_reason_too(run, observer, configured, monkeypatch):
    monkeypatch.setattr(loop.Trainer, "out_of_time", lambda self: len(self.history) == 1)
    record = run(configured(recipe="fine-tune", freeze_epochs=1, max_time=5)).record
    assert record.status == "stopped"
    assert "(--max-time)" in record.result.stopped
    assert record.result.epochs == 1


def test_a_disk_that_is_full_is_told_with_what_was_lost(run, observer, configured, monkeypatch):
    def save(tensors, file, metadata):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(run_state, "save_file", save)
    with pytest.raises(DataError, match=r"(?s)state of the run cannot be written.*No space left.*free some space"):
        run(configured(epochs=2))
    (warning,) = observer.warnings
    assert "the run ended after 1 of 2 epochs; its best so far, epoch 1" in warning
    assert "could not be written to runs/mine" in warning
    assert find("mine").leftovers() == []


def full_disk(monkeypatch, *places):
    def refuse(*_, **__):
        raise DataError("the disk is full")

    for place, name in places:
        monkeypatch.setattr(place, name, refuse)


def test_a_full_disk_does_not_hide_what_ended_the_run(run, at, observer, configured, monkeypatch):
    def fill():
        full_disk(monkeypatch, (loop.Trainer, "interrupt"), (module, "save_curves"))
        raise KeyboardInterrupt

    at(3, fill)
    with pytest.raises(KeyboardInterrupt):
        run(configured(epochs=5))
    record = find("mine").read_record()
    assert (record.status, record.result.epochs) == ("interrupted", 1)  # as it was written last
    assert f"epoch 1 with {observer.epochs[0].val_accuracy:.2%}" in observer.warnings[0]


def test_a_run_whose_last_record_could_not_be_written_is_not_taken_for_finished(run, configured, monkeypatch):
    """The record in memory is that on disk, so what ends the writing is an interruption like any other."""
    write, statuses = Run.write_record, []

    def once(self, record):
        statuses.append(record.status)
        if record.status == "finished":
            raise Terminated(143)
        write(self, record)

    monkeypatch.setattr(Run, "write_record", once)
    with pytest.raises(Terminated):
        run(configured())
    assert statuses[-2:] == ["finished", "interrupted"]
    assert find("mine").read_record().status == "interrupted"


def test_a_second_sigterm_does_not_disturb_the_writing(run, at, configured, monkeypatch):
    write = Run.write_record

    def terminated_again(self, record):
        if record.status == "interrupted":
            terminate()
        write(self, record)

    monkeypatch.setattr(Run, "write_record", terminated_again)
    at(1, terminate)
    with pytest.raises(Terminated):
        run(configured())
    assert find("mine").read_record().status == "interrupted"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sigterm_while_a_plugin_works_is_not_its_error(run, at, configured):
    def work():
        with calling("acme/odd", "distribution clsbench-acme 1.0"):
            terminate()

    at(1, work)
    with pytest.raises(Terminated):
        run(configured())
    assert find("mine").read_record().result.stopped == "ended by SIGTERM"


def test_what_was_cut_off_and_written_again_is_not_called_unwritten(run, configured, monkeypatch):
    save, cut = run_state.save_file, []

    def once(state, file, metadata):
        if "best" in file.name and not cut:
            cut.append(file)
            raise KeyboardInterrupt
        save(state, file, metadata)

    monkeypatch.setattr(run_state, "save_file", once)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(configured(epochs=3))
    assert cut
    assert caught.value.__notes__ == []
    assert load_file(find("mine").best)
