"""What is there already of the output of an inference job: nothing, an unfinished job, or a finished one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.observer import Observer
from clsbench.errors import DataError, OptionError
from clsbench.text import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clsbench.api.components import Chosen
    from clsbench.card import ModelCard
    from clsbench.images.entries import Entry
    from clsbench.inference.job import JobSpec
    from clsbench.predictions.job import JobIdentity
    from clsbench.predictions.ledger import Ledger
    from clsbench.predictions.manifest import Manifest

#: A job of so many images keeps a ledger from the beginning, a smaller one from its sixth second on.
WORTH_A_LEDGER = 5000


@dataclass(frozen=True)
class Rerun:
    """What a user says about an output that is there already.

    Args:
        resume: Continue the job that was writing it.
        restart: Begin that job anew.
        overwrite: Replace a finished file.

    Raises:
        OptionError: if they contradict each other.
    """

    resume: bool = False
    restart: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.resume and self.restart:
            raise OptionError("either continue the job or begin it anew", where="--resume", got="--resume --restart")

    def check(self, out: Path) -> None:
        """Refuse to replace a predictions file, its manifest or its features that are there, unless ``overwrite``.

        Raises:
            DataError: if there is one.
        """
        from clsbench.predictions.feature_file import features_path
        from clsbench.predictions.manifest import manifest_path

        files = (out, manifest_path(out), features_path(out))
        there = [file for file in files if _is_there(file)]
        if there and not self.overwrite:
            raise DataError(
                "the output is there already", where="--out", got=there[0],
                hint="replace it with --overwrite, or choose another path", code="CB-J002",
            )  # fmt: skip

    def find_ledger(
        self,
        out: Path,
        job: JobIdentity,
        entries: Sequence[Entry],
        stamps: NDArray[np.int64],
        card: ModelCard,
        observer: Observer,
        feature_dim: int | None = None,
    ) -> Ledger:
        """The ledger to go on with, empty for a job that begins; patient for one of few images.

        Args:
            out: The predictions file.
            job: That is to be run.
            entries: Its images.
            stamps: int64 (N, 2), their sizes and modification times.
            card: Of its model.
            observer: Hears what is continued.
            feature_dim: D, where the job has features.

        Raises:
            DataError: if something would be lost or mixed: another job's rows, or an earlier file.
        """
        from clsbench.predictions.ledger import Ledger, ledger_path

        file = ledger_path(out)
        patient = not self.resume and len(entries) < WORTH_A_LEDGER
        read = partial(
            Ledger, file, entries, stamps, classes=len(card.classes), temperature=card.temperature,
            feature_dim=feature_dim, patient=patient,
        )  # fmt: skip
        ledger = read()  # refuses a file of something else
        if self.restart or not ledger.job:  # one that was killed before its first record was whole is no job
            ledger.remove()
            ledger = read()
        if ledger.job:
            self._check(out, job, ledger, ledger.job)
            observer.note(f"continuing: {ledger.rows:,} of {counted(len(entries), 'image')} are done")
            return ledger
        self.check(out)
        if self.resume:
            observer.note(f"nothing to continue: there is no unfinished job of {out}")
        return ledger

    def earlier(self, out: Path | None) -> JobIdentity | None:
        """The job that is to be continued, or was found finished; None where there is none."""
        from clsbench.json_fields import read_fields
        from clsbench.predictions.job import JobIdentity
        from clsbench.predictions.ledger import ledger_path, read_job
        from clsbench.predictions.manifest import read_manifest

        if not (self.resume and out):
            return None
        if job := read_job(ledger_path(out)):
            return job
        manifest, _ = read_manifest(out)
        if manifest.job is None:
            return None
        return read_fields(JobIdentity, manifest.job, what="the description of a job", where=out)

    def _check(self, out: Path, job: JobIdentity, ledger: Ledger, then: JobIdentity) -> None:
        from clsbench.predictions.feature_file import features_path

        rows = f"{ledger.rows:,}" if ledger.rows else "some"  # of a model of other classes
        done = f"{rows} of {counted(then.images, 'image')}"
        if not self.resume:
            raise DataError(
                "an unfinished job was writing this file", where=out, got=f"{done} are done",
                hint="--resume continues it, --restart begins anew", code="CB-J002",
            )  # fmt: skip
        if changes := then.differences(job) or ledger.changes():
            raise DataError(
                "the job cannot be continued: something has changed", where=out, got="; ".join(changes),
                expected=f"what it was when {done} were done", hint="undo the change, or begin anew with --restart",
                code="CB-J001",
            )  # fmt: skip
        there = [file for file in (out, features_path(out)) if _is_there(file)]
        if there and not (self.overwrite or then.overwrite or ledger.rows == job.images):
            raise DataError(
                "the output is there already, and was not when the job began", where="--out", got=there[0],
                hint="move it, or add --overwrite", code="CB-J002",
            )  # fmt: skip


def _is_there(file: Path) -> bool:
    """Whether there is a file, or a folder with something in it."""
    return any(file.iterdir()) if file.is_dir() else file.exists()


def identify(
    spec: JobSpec,
    entries: Sequence[Entry],
    stamps: NDArray[np.int64],
    parts: Sequence[Chosen],
    *,
    overwrite: bool,
    form: str,
    **asked: object,
) -> JobIdentity:
    """What decides the predictions of a job.

    Args:
        spec, entries: The job.
        stamps: int64 (N, 2), their sizes and modification times.
        parts: Its backend and decoders, with their options.
        overwrite: Whether an earlier file is to be replaced.
        form: As in :class:`JobIdentity`.
        asked: Options of the task that may change predictions; None where one was not given.
    """
    from clsbench.model_file import model_hash
    from clsbench.predictions.job import JobIdentity, hash_names, hash_stamps

    components = {f"{one.resolved.kind} {one.name}": str(dict(sorted(one.options.items()))) for one in parts}
    given = {name.replace("_", "-"): str(value) for name, value in asked.items() if value is not None}
    return JobIdentity(
        model=model_hash(spec.model),
        images=len(entries),
        names=hash_names(entry.name for entry in entries),
        options=components | given,
        overwrite=overwrite,
        form=form,
        stamps=hash_stamps(stamps),
    )


def remove_features(out: Path, observer: Observer) -> None:
    """Remove the features of an earlier predictions file that one without features has replaced, and nothing else."""
    from clsbench.predictions.feature_file import features_path, is_array

    file = features_path(out)
    with suppress(OSError):
        if is_array(file):
            file.unlink()
            observer.note(f"removed: {file}, the features of the earlier file")


def find_finished(out: Path, job: JobIdentity) -> Manifest | None:
    """The manifest of a finished predictions file of the same job; None where there is no file, or a job unfinished.

    Raises:
        DataError: if the file is of another job, saying what differs.
    """
    from clsbench.json_fields import read_fields
    from clsbench.predictions.feature_file import features_path, open_features
    from clsbench.predictions.job import JobIdentity
    from clsbench.predictions.ledger import ledger_path
    from clsbench.predictions.manifest import read_manifest
    from clsbench.predictions.parts import count_rows, is_folder_of_parts

    if not _is_there(out) or os.path.lexists(ledger_path(out)):
        return None
    manifest, _ = read_manifest(out)
    if manifest.job is None:
        raise DataError(
            "the output is there already, and there is no job that could be continued", where="--out", got=out,
            hint="replace it with --overwrite, or choose another path", code="CB-J002",
        )  # fmt: skip
    then = read_fields(JobIdentity, manifest.job, what="the description of a job", where=out)
    changes = then.differences(job)
    if then.stamps != job.stamps:
        changes.append("the size or modification time of an image")
    if then.form != job.form:
        changes.append("the columns, the labels or the format")
    if changes:
        raise DataError(
            "the file is finished, and something has changed since", where=out,
            got="; ".join(changes),
            hint="replace it with --overwrite, or choose another path", code="CB-J001",
        )  # fmt: skip
    if is_folder_of_parts(out) and (rows := count_rows(out)) != job.images:
        raise DataError(
            "the folder of parts is not complete", where=out, got=counted(rows, "row"), expected=f"{job.images:,}",
            hint="replace it with --overwrite, or choose another path", code="CB-J001",
        )  # fmt: skip
    if manifest.features and manifest.features.file:  # both files, or it is not finished
        open_features(features_path(out), (job.images, manifest.features.dim or 0))
    return manifest
