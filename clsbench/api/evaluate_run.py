"""From a run to predictions of the images that it was not trained on: the first half of ``evaluate RUN``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clsbench.api.observer import Observer
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.text import command, counted, some

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.runs import Run


def names_run(target: str) -> bool:
    """Whether a text names a run rather than a predictions file.

    What is neither there counts as predictions where it has a suffix.
    """
    from clsbench import runs
    from clsbench.predictions.parts import is_folder_of_parts

    path = Path(target)
    there = any((folder / "run.json").is_file() for folder in (path, runs.ROOT / path))
    if not there and is_folder_of_parts(path):
        return False
    return not path.is_file() and (there or path.is_dir() or not path.suffix)


def run_files(run: str | Path | None) -> list[Path]:
    """The files that training left in a run, which nothing else may overwrite; none where there is no such run."""
    from clsbench import runs

    try:
        return runs.find(str(run) if run is not None else None).files
    except ModelError:
        return []


def infer_run(run: str | Path | None, split: Literal["test", "val"] | None, observer: Observer) -> Path:
    """Classify a split of a run with its own model, exporting that first where it is not; ``RUN/SPLIT.csv``.

    Args:
        run: A run's name or directory; the latest if left out.
        split: ``test`` or ``val``; the test split where the run has one, if left out.
        observer: Hears notes, warnings and progress.

    Returns:
        The predictions file, with the probabilities of all classes.

    Raises:
        ModelError: if there is no such run, or it cannot be exported.
        OptionError: if the run has no such split.
        DataError: if its images are not what they were.
    """
    from clsbench.api.infer import infer

    found = _find(run)
    if run is None:
        observer.note(f"evaluating the latest run: {found.path}")
    chosen, dataset = _held_out(found, split)
    if split is None and chosen == "val":
        observer.note(
            "the run has no test split: its validation split is judged, which also chose the best epoch, so that the "
            "accuracy is somewhat too high"
        )
    model = _exported(found, observer)
    out = found.path / f"{chosen}.csv"
    infer(
        dataset=dataset, split=chosen, model=model, out=out, probabilities=True, keep_rows=False,
        restart=True, overwrite=True, observer=observer,
    )  # fmt: skip
    return out


def _find(run: str | Path | None) -> Run:
    from clsbench import runs

    try:
        return runs.find(str(run) if run is not None else None)
    except ModelError as error:
        if run is None:
            raise
        images = f"{command('infer', run, '--out', 'preds.csv')} makes predictions of images"
        raise ModelError(
            f"there is no run and no predictions file '{run}'", where=error.facts["where"],
            expected=error.facts["expected"] or "a run, or a .csv, .jsonl or .parquet file",
            hint=images if Path(run).is_dir() else None,
        ) from None  # fmt: skip


def _held_out(run: Run, split: Literal["test", "val"] | None) -> tuple[Literal["test", "val"], Dataset]:
    """Which split is judged, and the run's dataset with all of its images."""
    from clsbench.api.data import reopen_dataset
    from clsbench.datasets.recorded import SplitRecord

    record = run.read_record()
    splits = SplitRecord.from_json(record.splits, where=run.record)
    chosen = split or ("test" if splits.test else "val")
    wanted = splits.test if chosen == "test" else splits.val
    if not wanted:
        raise OptionError(
            f"the run has no {chosen} split", where=run.path, hint="--split val, or train with --test-fraction 0.2"
        )
    where = record.data.root or record.data.dataset
    try:
        dataset, _ = reopen_dataset(run)
    except DataError as error:
        raise DataError(
            "the images of the run cannot be read", where=where, got=error.one_line(),
            hint="bring them back to where they were, or infer others and evaluate the file",
        ) from None  # fmt: skip
    there = {sample.name for sample in dataset.splits.get(chosen, ())}
    if gone := [name for name in wanted if name not in there]:
        raise DataError(
            f"{len(gone)} of the {counted(len(wanted), 'image')} of the run's {chosen} split are not there any more",
            where=where, got=f"not found: {some(gone, 3)}",
            hint="bring them back, or infer what is there and evaluate the file",
        )  # fmt: skip
    return chosen, dataset


def _exported(run: Run, observer: Observer) -> Path:
    """The run's model file, exported now if there is none, or only one of an epoch that is not the best any more."""
    from clsbench.api.export import export
    from clsbench.model_file import read_card

    if not run.onnx.is_file():
        observer.note("the run has not been exported yet")
    else:
        card, result = read_card(run.onnx), run.read_record().result
        epoch = card.training.get("best_epoch")
        if result is None or epoch in (None, result.best_epoch):
            return run.onnx
        observer.note(f"{run.onnx} has the weights of epoch {epoch}, and epoch {result.best_epoch} is better by now")
        if card.calibration or card.abstention:
            observer.warn(
                "its temperature and threshold are not those of the new weights and are dropped; export again with "
                "--calibrate or --abstain-at-precision"
            )
    exported = export(run.path, observer=observer)
    if exported.file is None:
        raise ModelError(
            "the run cannot be exported: the file disagrees with the trained network", where=run.path,
            hint=f"{command('export', run.path)} says where", code="CB-G001",
        )  # fmt: skip
    return exported.file
