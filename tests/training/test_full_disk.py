"""A disk that fills while a training writes: one message, and what was written before stays whole."""

import resource

import pytest
from safetensors.torch import load_file

from clsbench.errors import DataError
from clsbench.training import checkpoints
from clsbench.training.epochs import Epoch, write_log


@pytest.fixture
def no_file_above():
    """no_file_above(bytes): the system refuses to write more into any file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def no_file_above(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield no_file_above
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_checkpoint_before_stays_intact(
    no_file_above, tiny, pictures, configured, train, observer, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoints, "INTERVAL", -1.0)  # at every epoch
    monkeypatch.setattr(checkpoints, "SHARE", -1.0)
    run, kept = tmp_path / "runs" / "run", {}

    def epoch(result):
        observer.epochs.append(result)
        if result.epoch == 2:
            kept.update({file.name: file.read_bytes() for file in run.glob("*.safetensors")})
            no_file_above(2000)

    observer.epoch = epoch
    try:
        with pytest.raises(DataError, match="cannot be written") as caught:
            train(tiny(), pictures(), configured(epochs=4))
    finally:
        no_file_above(resource.RLIM_INFINITY)
    assert caught.value.facts["got"] == "File too large"
    assert str(run) in str(caught.value.facts["where"])
    assert {"best.safetensors", "last.safetensors"} <= kept.keys()
    assert {file.name: file.read_bytes() for file in run.glob("*.safetensors")} == kept
    assert not list(run.glob("*.partial"))
    assert all(tensor.isfinite().all() for tensor in load_file(run / "best.safetensors").values())


def test_a_log_that_cannot_be_written_is_named(no_file_above, tmp_path):
    epochs = [Epoch(k, "everything", 1.0, 0.5, 1.0, 0.5, 0.1, 1.0, 1.0 * k) for k in range(1, 9)]
    no_file_above(150)
    try:
        with pytest.raises(DataError, match="the log cannot be written") as caught:
            write_log(tmp_path / "log.csv", epochs)
    finally:
        no_file_above(resource.RLIM_INFINITY)
    assert caught.value.facts["where"] == tmp_path / "log.csv"
