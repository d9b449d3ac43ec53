"""The predictions file of ``infer``: which writer, whether it may be written, and what it says about the job."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from clsbench.api.arguments import check_choice
from clsbench.api.components import Chosen
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import DataError, OptionError

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.images.sources.source import Source
    from clsbench.inference.result import Tally
    from clsbench.predictions.manifest import Json, LabelOrigin

#: Formats that can be written to a stream.
STREAMED = ("csv", "jsonl")


@dataclass(frozen=True)
class JobFacts:
    """What is the same each time that a job is run, for the file itself: no times, no speeds, no machine.

    Args:
        model, card: The model file and its card.
        images: Where the images come from.
        labels: Where the labels come from.
        tally: Counts, complete when the last block is written.
        topk, fast_decode, given, split: As they were asked for.
        writers: Of the file.
    """

    model: Path
    card: ModelCard
    images: str
    labels: LabelOrigin
    tally: Tally
    topk: int
    fast_decode: bool
    given: tuple[str, ...]
    split: str | None
    writers: Sequence[Chosen]

    @property
    def written(self) -> Mapping[str, Json]:
        """How the file was asked to be: what its reader has to know."""
        found: dict[str, Json] = {}
        for writer in self.writers:
            if isinstance(columns := writer.options.get("columns"), tuple) and columns:
                found["columns"] = list(columns)
            if writer.options.get("escape_formulas"):
                found["escape_formulas"] = True
        return found

    def embed(self, writer: object) -> None:
        """Keep the facts in a file that has a place for them; call it when everything is written."""
        from clsbench.model_file import model_hash
        from clsbench.predictions.manifest import Manifest, ModelIdentity
        from clsbench.predictions.writers import ParquetWriter

        if not isinstance(writer, ParquetWriter):
            return
        options = {"topk": self.topk, "fast_decode": self.fast_decode, "with": list(self.given), **self.written}
        writer.describe(
            Manifest(
                images=self.images,
                model=ModelIdentity(file=str(self.model), sha256=model_hash(self.model), card=self.card.to_json()),
                options=options | ({"split": self.split} if self.split else {}),
                labels=self.labels,
                counts=self.tally.counts(),
            )
        )


def writer_name(out: Path | BinaryIO | None, format: str | None) -> list[str]:
    """The name of the component that writes it; none where nothing is written.

    Raises:
        OptionError: for a format that does not fit.
    """
    if out is None:
        if format:
            raise OptionError("a format is for what is written", where="--format", got=format, hint="add --out FILE")
        return []
    if not isinstance(out, Path):
        check_choice("format", format or STREAMED[0], STREAMED)
        return [format or STREAMED[0]]
    if not format and not out.suffix:
        raise OptionError("the suffix of --out chooses the format", got=out, expected=".csv, .jsonl or .parquet")
    return [format or out.suffix[1:].lower()]


def add_predictions(outputs: Outputs, out: Path, *, overwrite: bool, may_be_folder: bool) -> None:
    """Name the predictions file and its manifest as outputs; neither may be there, unless ``overwrite``.

    Raises:
        DataError: if one is, or as :meth:`Outputs.add`.
    """
    from clsbench.predictions.manifest import manifest_path

    manifest = manifest_path(out)
    if not (may_be_folder and os.path.isdir(out)):  # a plugin's may be one
        outputs.add(out, "--out", "the predictions")
    outputs.add(manifest, "--out", "the manifest")
    there = [file for file in (out, manifest) if file.is_file() or (file.is_dir() and any(file.iterdir()))]
    if there and not overwrite:
        raise DataError(
            "the output is there already", where="--out", got=there[0],
            hint="replace it with --overwrite, or choose another path",
        )  # fmt: skip


def names_of(names: str | Sequence[str]) -> list[str]:
    """Names that may be given as one text with commas."""
    parts = names.split(",") if isinstance(names, str) else names
    return [name.strip() for name in parts if name.strip()]


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
