"""The predictions file of ``infer``: which writer writes it, where, and how."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from clsbench.api.arguments import check_choice
from clsbench.api.components import Chosen
from clsbench.api.infer_rerun import Rerun
from clsbench.api.infer_sorting import Sorting
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import DataError, OptionError
from clsbench.output_files import is_device
from clsbench.output_folder import refuse_others, refuse_places

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.datasets.labels import Labels
    from clsbench.images.sources.source import Source
    from clsbench.predictions.manifest import Json
    from clsbench.predictions.shard_record import ShardRecord

#: Formats that can be written to a stream.
STREAMED = ("csv", "jsonl")

#: The format of a folder.
PARTS = "parquet-parts"


def written(writers: Sequence[Chosen], *, features: bool) -> dict[str, Json]:
    """How a file was asked to be: what its reader has to know."""
    found: dict[str, Json] = {}
    for writer in writers:
        if isinstance(columns := writer.options.get("columns"), tuple) and columns:
            found["columns"] = list(columns)
        if writer.options.get("escape_formulas"):
            found["escape_formulas"] = True
    if features:
        found["features"] = True
    return found


def lasting_file(out: Path | BinaryIO | None, rerun: Rerun) -> Path | None:
    """The file, if that is what is written: a stream or a device has no manifest, and no job that could go on.

    Raises:
        OptionError: if one is to be continued.
    """
    if isinstance(out, Path) and not is_device(out):
        return out
    if rerun.resume or rerun.restart:
        raise OptionError(
            "only a job that writes a file can be continued or begun anew", where="--out", got=out or "nothing",
            expected="a file", hint="add --out preds.csv, or leave out --resume and --restart",
        )  # fmt: skip
    return None


def take_shard(text: str, source: Source, truth: Labels) -> tuple[Source, Labels, ShardRecord]:
    """One part of a job: its images, their labels, and which they are.

    Raises:
        OptionError: if the text is not ``I/N``.
    """
    from clsbench.images.sources.compact import entry_names
    from clsbench.images.sources.sharded import Shard, ShardedSource
    from clsbench.predictions.job import hash_names
    from clsbench.predictions.shard_record import ShardRecord

    shard = Shard.parse(text)
    part = ShardedSource(source, shard)
    labels = replace(truth, index=[truth.index[row] for row in part.rows.tolist()])
    names = entry_names(source.entries)
    return part, labels, ShardRecord(shard.index, shard.of, len(names), hash_names(names), part.rows)


def with_threshold(card: ModelCard, below: float | None) -> ModelCard:
    """The card with another threshold, if one was asked for; how its own was chosen says nothing of that one.

    Raises:
        OptionError: if it is not above 0 and at most 1.
    """
    if below is None:
        return card
    if not 0 < below <= 1:
        raise OptionError(
            "the threshold is a probability", where="--abstain-below", got=below,
            expected="a number above 0 and at most 1, such as 0.8",
        )  # fmt: skip
    return replace(card, abstain_below=below, abstention=None)


def form_of(writers: Sequence[Chosen], labels: Sequence[int], abstain_below: float | None = None) -> str:
    """What decides how a file looks beyond its predictions, as a hash: the writer, its options, labels, threshold."""
    import numpy as np

    digest = hashlib.sha256(np.array(labels, "<i8").tobytes())
    digest.update(repr([(one.name, sorted(one.options.items())) for one in writers]).encode())
    if abstain_below is not None:
        digest.update(repr(abstain_below).encode())
    return digest.hexdigest()


def writer_name(out: str | Path | BinaryIO | None, format: str | None) -> list[str]:
    """The name of the component that writes it; none where nothing is written.

    A path that ends with a slash is a folder of Parquet parts, as is a folder that is there and whose name does not say
    another format.

    Raises:
        OptionError: for a format that does not fit.
    """
    if out is None:
        if format:
            raise OptionError("a format is for what is written", where="--format", got=format, hint="add --out FILE")
        return []
    if not isinstance(out, str | Path):
        check_choice("format", format or STREAMED[0], STREAMED)
        return [format or STREAMED[0]]
    if format:
        return [format]
    suffix = Path(out).suffix.lower()
    if str(out).endswith(os.sep) or (os.path.isdir(out) and suffix in ("", ".parquet")):
        return [PARTS]
    if not suffix:
        expected = ".csv, .jsonl or .parquet"
        hint = f"a slash makes a folder of Parquet parts: {out}/"
        raise OptionError("the suffix of --out chooses the format", got=out, expected=expected, hint=hint)
    return [suffix[1:]]


def add_predictions(
    outputs: Outputs,
    out: Path,
    writer: Chosen,
    *,
    features: Path | None,
    shard: str | None = None,
    sorting: Sorting | None = None,
) -> None:
    """Name the predictions file, its manifest and the features beside it as outputs.

    Args:
        outputs: Hears of them.
        out: The predictions file, or folder.
        writer: That writes it.
        features: The file beside it; None without one.
        shard: Which part of a job it is to be, as the user wrote it.
        sorting: Where images are sorted into.

    Raises:
        OptionError: for a folder of parts of a shard, which could not be merged.
        DataError: as :meth:`Outputs.add`; or if the folder holds other files, which would be lost.
    """
    from clsbench.predictions.manifest import manifest_path

    parts = writer.name == f"clsbench/{PARTS}"
    if parts and shard:
        raise OptionError(
            "a shard is one file, which merge takes", where="--out", got=f"the folder {out}", hint="--out preds.parquet"
        )
    if parts:
        outputs.refuse_within(out, sorting.folder if sorting else None)
        _add_parts(outputs, out)
    elif not (writer.resolved.owner is not None and os.path.isdir(out)):  # a plugin's may be a folder
        outputs.add(out, "--out", "the predictions")
    outputs.add(manifest_path(out), "--out", "the manifest")
    outputs.add(features, "--out", "the features")


def _add_parts(outputs: Outputs, out: Path) -> None:
    """Name the parts that are in a folder, which would be replaced."""
    from clsbench.predictions.manifest import embedded_manifest
    from clsbench.predictions.parts import other_files

    if out.exists() and not os.path.isdir(out):
        raise DataError("the predictions need a folder", where="--out", got=f"{out} is a file")
    refuse_places(out, "the predictions")
    refuse_others(out, "the predictions", other_files)
    there = os.listdir(out) if os.path.isdir(out) else []
    if there and not embedded_manifest(out).classes:
        refuse_others(out, "the predictions", lambda folder: sorted(os.listdir(folder)))
    outputs.add_folder(out, "--out", "the predictions", there, draws=False)


def note_formulas(writers: Sequence[Chosen], source: Source, card: ModelCard, observer: Observer) -> None:
    """Say that a spreadsheet would run some names of the images or classes."""
    from clsbench.predictions.formulas import is_formula

    if not any(w.name == "clsbench/csv" and not w.options.get("escape_formulas") for w in writers):
        return
    found = next((name for names in (card.classes, (e.name for e in source.entries)) for name in names
                  if is_formula(name)), None)  # fmt: skip
    if found is not None:
        observer.note(
            f"a spreadsheet may run names such as {found} as formulas; --escape-formulas puts an apostrophe before them"
        )
