"""``train``: from labelled images to a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import Options, option_texts
from clsbench.api.data import refuse_dataset
from clsbench.api.observer import Observer, SilentObserver
from clsbench.api.outputs import Outputs
from clsbench.api.repeat import Recorded, repeated
from clsbench.api.resume import refuse_beside_resume, resume_training
from clsbench.api.together import together
from clsbench.api.training_inputs import open_inputs
from clsbench.finding_codes.lookup import ignored_kinds
from clsbench.machine import wait_passively
from clsbench.models.heads import parse_head
from clsbench.output_files import check_folder
from clsbench.picture_shape import GivenSize, PictureShape
from clsbench.runs import ROOT, Run, check_name
from clsbench.training.config import AUTO, read_options
from clsbench.training.launching import secondary
from clsbench.training.tracker_names import check_trackers, parse_trackers
from clsbench.transform import Interpolation, Resize

if TYPE_CHECKING:
    from clsbench.json_fields import Scalar
    from clsbench.training.training_run import TrainingResult


def train(
    data: str | Path | None = None,
    *,
    resume: str | Path | bool = False,
    config: str | Path | None = None,
    dataset: str | None = None,
    model: str | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    size: GivenSize | None = None,
    resize: Resize | None = None,
    pad: str | Sequence[int] | None = None,
    interpolation: Interpolation | None = None,
    run: str | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    data_fraction: float | None = None,
    group: str | None = None,
    strict_data: bool = False,
    ignore: str | Sequence[str] = (),
    options: Options = (),
    observer: Observer | None = None,
    **training: object,
) -> TrainingResult:
    """Train a classifier on labelled images; writes ``runs/NAME``.

    Args:
        data: A folder of class folders, or a .csv; the digits if left out.
        resume: Go on with this run, or with True the latest, where it was killed or interrupted; nothing else
            is given then but ``observer``.
        config: Train what this run trained, as its run.json says: a run, its directory or the file. What is
            given beside it takes the place of what is recorded.
        dataset: The dataset component; chosen by ``data`` if left out.
        model: The model component; ``simple-cnn`` if left out.
        pretrained: Start from published weights.
        weights: Start from a local weights file, or from the best weights of a run by its name or directory.
        size: Side of the square images that the network takes, or (height, width), pixels; the model's own if left out.
        resize: How images are brought to that size: ``crop`` cuts off what is too long, ``squash`` ignores the aspect
            ratio, ``squash-crop`` does both, ``letterbox`` pads. What is left out of these is the model's own.
        pad: Colour of the padding of ``letterbox``: (R, G, B) or a text ``R,G,B``, 0 to 255; or ``mean``.
        interpolation: The resampling filter.
        run: Name of the run directory.
        val_fraction, test_fraction, folds, fold: How to make the splits that the data does not give.
        data_fraction: Train on this part of each class of the train split; on all of it if left out.
        group: What belongs together and stays on one side of every split: a column of a CSV dataset, or a regular
            expression that is searched in names, whose first group tells what an image belongs to.
        strict_data: Refuse to train if the data check finds anything.
        ignore: Codes or names of findings, such as ``"CB-D003"`` or ``["tiny-class"]``, that the data check neither
            tells nor refuses; run.json records them as ignored.
        options: Options of model and dataset, such as ``{"model.width": 64}``.
        observer: Hears notes, warnings and progress.
        training: Fields of :class:`clsbench.training.config.TrainConfig`, such as ``epochs=5, lr="auto"``;
            what is left out is decided by the recipe.

    Raises:
        OptionError: for unknown names or options, or options that contradict each other.
        DataError: if the images are not as required.
        ModelError: if the model cannot be built, or training diverges at once.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM. From the first epoch on the run keeps its
            best weights, and can be exported.

    On a CPU, idle threads sleep rather than spin (``OMP_WAIT_POLICY=PASSIVE``, unless the environment
    says otherwise), which keeps training fast beside other programs. A program that imported torch
    before has to set the variable itself, before that import.
    """
    arguments = locals()
    observer = SilentObserver() if secondary() else observer or Observer()
    wait_passively()
    # Wrong usage is refused before images are looked for, or downloaded.
    check_trackers(parse_trackers(str(read_options(training).get("track", ""))))
    parse_head(str(training.get("head") or "linear"))
    ignored = ignored_kinds([ignore] if isinstance(ignore, str) else ignore)
    splits: dict[str, Scalar] = {"val_fraction": val_fraction, "test_fraction": test_fraction, "group": group}
    splits |= {"folds": folds, "fold": fold, "data_fraction": data_fraction}
    asked = Recorded(
        data=data,
        dataset=dataset,
        model=model,
        pretrained=pretrained,
        weights=weights,
        shape=PictureShape.asked(size, resize, pad, interpolation),
        splits=splits,
        options=tuple(option_texts(options)),
        training=training,
    )
    if resume is not False:
        refuse_beside_resume(asked, config=config, run=run, strict_data=strict_data, ignore=", ".join(ignored))
        return resume_training(None if resume is True else resume, observer)
    check_name(run)
    check_folder(ROOT.absolute(), "the run")
    outputs = Outputs(observer)
    if run:
        outputs.refuse(*Run(ROOT / run).files)  # none of them is there yet
    asked = repeated(config, asked, outputs, observer) if config else asked
    inputs = open_inputs(asked, observer)
    outputs.refuse(inputs.start.file if inputs.start else None)
    refuse_dataset(outputs, inputs.images, asked.data)
    from clsbench.training.training_run import run_training

    training = dict(asked.training)
    settled = inputs.configure(training)
    with inputs.staying(), together(settled, arguments) as processes, processes.telling():
        return run_training(
            inputs.build_model,
            inputs.images,
            inputs.configure(training),
            observer,
            data=inputs.data,
            model=inputs.model,
            split=inputs.spec.to_json(),
            run_name=run,
            auto_lr=training.get("lr") == AUTO,
            auto_batch=training.get("batch_size") == AUTO,
            strict=strict_data,
            ignore=ignored,
            processes=processes,
        )
