"""``train --resume``: go on with a run that was killed or interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import runs
from clsbench.api.data import refuse_dataset
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.repeat import Recorded, known_fields
from clsbench.api.together import together
from clsbench.api.training_inputs import open_inputs
from clsbench.datasets.data_check import ignored_before
from clsbench.errors import ClsbenchError, DataError, ModelError, OptionError
from clsbench.output_lock import HeldError, exclusive, remove_leftovers
from clsbench.run_record import RunRecord
from clsbench.runs import Run
from clsbench.text import command, some
from clsbench.training.config import AUTO, TrainConfig
from clsbench.training.launching import secondary
from clsbench.training.option_specs import flag

if TYPE_CHECKING:
    from clsbench.training.resume import Resumed
    from clsbench.training.training_run import TrainingResult


def resume_training(name: str | Path | None, observer: Observer) -> TrainingResult:
    """Go on with a run as it was configured.

    Args:
        name: The run or its directory; None for the latest.
        observer: Hears notes, warnings and progress.

    Raises:
        ModelError: if there is no such run, it has ended by itself, or its state is missing or damaged.
        DataError: if it is still training, a file of it is a link, or its images have changed.
    """
    run = runs.find(str(name) if name is not None else None)
    _refuse_links(run)
    outputs = Outputs(observer)
    outputs.refuse(*run.files)
    with _alone(run):
        for file in [] if secondary() else run.files:
            remove_leftovers(file)
        record = run.read_record()
        _refuse_ended(run, record)
        config = known_fields(TrainConfig, record.training, "training", run.record)
        resumed = _resumed(run, record, observer)
        recorded = Recorded.of(record, run.record)
        inputs = open_inputs(recorded, observer)
        outputs.refuse(inputs.start.file if inputs.start else None)
        refuse_dataset(outputs, inputs.images, record.data.root)
        from clsbench.training.hardware import check_count, choose_device
        from clsbench.training.training_run import run_training

        check_count(config.devices, choose_device(config.device))
        arguments = {"resume": str(run.path), "training": {}}
        with inputs.staying(), together(config, arguments) as processes, processes.telling():
            return run_training(
                inputs.build_model,
                inputs.images,
                config,
                observer,
                data=inputs.data,
                model=inputs.model,
                split=inputs.spec.to_json(),
                ignore=ignored_before(record.check),
                auto_lr=recorded.training["lr"] == AUTO,
                resumed=resumed,
                processes=processes,
            )


def refuse_beside_resume(asked: Recorded, **more: object) -> None:
    """Refuse what is given beside ``--resume``: a run goes on as it began.

    Raises:
        OptionError: naming the first.
    """
    given: dict[str, object] = {
        "DATA": asked.data,
        "dataset": asked.dataset,
        "model": asked.model,
        "pretrained": asked.pretrained,
    }
    given |= {"weights": asked.weights, **vars(asked.shape), **asked.splits, **asked.training, **more}
    given |= {"with": ", ".join(asked.options)}
    for name, value in given.items():
        if value is not None and value is not False and value != "":
            raise OptionError(
                "a run that is resumed goes on as it began", where=name if name.isupper() else flag(name), got=value,
                hint="leave it out; --config RUN trains what a run did with other options",
            )  # fmt: skip


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Hold the run's lock.

    Raises:
        DataError: if another process trains it.
    """
    with ExitStack() as held:
        if secondary():  # the first of several processes holds it
            yield
            return
        try:
            held.enter_context(exclusive(run.state, "the state of the run"))
        except HeldError as error:
            raise DataError(
                "the run is still training", where=run.path, got=error.facts["got"],
                hint="wait until it has ended, or stop it with Ctrl-C: it then saves its state",
            ) from None  # fmt: skip
        yield


def _refuse_links(run: Run) -> None:
    """Refuse a file of the run that is a link: what is written would replace a file elsewhere.

    Raises:
        DataError: naming the first.
    """
    if links := [file for file in run.files if file != run.onnx and file.is_symlink()]:
        raise DataError(
            "a file of the run is a link, and what it points to would be overwritten", where=links[0],
            got=os.readlink(links[0]), hint="replace the link by a copy of the file, or remove it",
        )  # fmt: skip


def _refuse_ended(run: Run, record: RunRecord) -> None:
    if record.status in ("running", "interrupted"):
        return
    result, others = record.result, [other.name for other in runs.everything() if _unfinished(other)]
    why = f" ({result.stopped})" if result and result.stopped else ""
    raise ModelError(
        "there is nothing to resume: the run has ended", where=run.path, got=f"{record.status}{why}",
        expected=f"a run that was killed or interrupted: {some(others)}" if others else None,
        hint=f"{command('train', '--config', run.path)} trains it again, --weights {run.path} starts from its weights",
    )  # fmt: skip


def _unfinished(run: Run) -> bool:
    try:
        return run.read_record().status in ("running", "interrupted")
    except ClsbenchError:
        return False


def _resumed(run: Run, record: RunRecord, observer: Observer) -> Resumed:
    """The run with its state.

    Raises:
        ModelError: if the state is damaged, or the run has a result and no state.
    """
    import torch

    from clsbench import __version__
    from clsbench.training.resume import Resumed
    from clsbench.training.run_state import read_state

    if not run.state.is_file():
        if record.result or not record.fingerprint:
            raise ModelError(
                "the run has no state to resume from", where=run.state,
                hint=f"{command('train', '--config', run.path)} trains it again",
            )  # fmt: skip
        return Resumed(run, record, None)
    state = read_state(run.state)
    then, now = (state.clsbench, state.torch), (__version__, str(torch.__version__))
    if then != now:
        observer.warn(
            f"the run was trained with clsbench {then[0]} and torch {then[1]}, and goes on with {now[0]} and {now[1]}: "
            "its weights may differ from those of an uninterrupted run"
        )
    return Resumed(run, record, state)
