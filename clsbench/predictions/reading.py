"""From a predictions file to a :class:`PredictionTable`, in bounded memory.

    with read_predictions(Path("preds.csv")) as table:
        outcomes = table.outcomes()

The file is one that ``clsbench infer`` wrote, or any with a column of paths and one of
predicted classes (or a column ``p:<class>`` for every class). The classes and their order come
from the manifest beside it; without one from the probability columns; without those they
are the names that occur, sorted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from clsbench.errors import DataError, OptionError
from clsbench.predictions.building import TableBuilder
from clsbench.predictions.cells import ClassIndex
from clsbench.predictions.columns import ABSTAINED, COLUMNS, PREFIX, Kind, best_columns
from clsbench.predictions.file_formats import TableFile, open_file, read_batches
from clsbench.predictions.formulas import unescaped
from clsbench.predictions.label_file import has_escapes, read_labels
from clsbench.predictions.manifest import embedded_manifest, read_manifest
from clsbench.predictions.outcomes import RANKED
from clsbench.predictions.spill import MEMORY_LIMIT, Spill
from clsbench.predictions.table import PredictionTable
from clsbench.text import counted, some
from clsbench.text_files import separator_hint

#: The columns that are read, beside top1 … and p:<class>.
KINDS: dict[str, Kind] = {column.name: column.read for column in (*COLUMNS, ABSTAINED) if column.read}

#: Names that other tools use for them, for hints.
LIKELY = {
    "path": ("file", "filename", "image", "name", "id"),
    "predicted": ("pred", "prediction", "predicted_label", "class"),
}


@contextmanager
def read_predictions(
    file: Path,
    *,
    columns: Mapping[str, str] | None = None,
    labels: Path | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> Iterator[PredictionTable]:
    """Read a predictions file: .csv, .jsonl or .parquet.

    Args:
        file: To read.
        columns: Our name of a column -> its name in the file, where that differs.
        labels: A CSV file with the columns path and label, which replace those of the file.
        memory_limit: Bytes of probabilities beyond which they are kept in a temporary file.

    Yields:
        The table. Its probabilities are gone after the context where they are in a file.

    Raises:
        OptionError: for a suffix or a column name that does not exist.
        DataError: if the file is not a predictions file, is empty or damaged, repeats a path,
            names a class that is not among the classes, or holds numbers that are not probabilities.
    """
    manifest, notes = read_manifest(file)
    opened = open_file(file)
    wanted = _wanted(file, opened, columns or {})
    listed = [name.removeprefix(PREFIX) for name in wanted if name.startswith(PREFIX)]
    known = _known(file, manifest.classes, listed)
    index = ClassIndex(known)
    with Spill(memory_limit) as spill:
        builder = TableBuilder(file, index, known if listed else None, spill)
        ours = {theirs: name for name, theirs in wanted.items()}
        escaped = has_escapes(file, manifest)
        for batch in read_batches(file, opened, {theirs: _kind(name) for theirs, name in ours.items()}):
            if escaped:
                batch = {theirs: unescaped(column) for theirs, column in batch.items()}
            builder.add({ours[theirs]: column for theirs, column in batch.items()})
        names = builder.names()
        given = read_labels(labels, names, index) if labels else None
        if known is None:
            notes.append("the classes are the names that occur: there is no manifest beside the file")
        if given is not None and (missing := int((given < 0).sum())):
            notes.append(f"{counted(missing, 'image')} of {len(names):,} without a label in {labels}")
        _require_rows(file, len(names))
        if manifest.rows not in (None, len(names)):
            notes.append(f"the file has {counted(len(names), 'row')}, but the manifest beside it says {manifest.rows}")
        yield builder.table(names, given, manifest, notes)


def _require_rows(file: Path, rows: int) -> None:
    """Refuse a folder whose last parts are missing; another file may have been edited, and tells its end itself."""
    if file.is_dir() and (expected := embedded_manifest(file).rows) not in (None, rows):
        raise DataError(
            "the folder of parts is not complete", where=file, got=counted(rows, "row"), expected=f"{expected:,}"
        )


def _kind(name: str) -> Kind:
    if name.startswith(PREFIX):
        return "probability"
    return KINDS.get(name, "codes")


def _wanted(file: Path, opened: TableFile, columns: Mapping[str, str]) -> dict[str, str]:
    """Our column names -> those in the file, for every column that is to be read."""
    unknown = [name for name in columns if name not in KINDS and not name.startswith(PREFIX)]
    if unknown:
        raise OptionError(
            f"there is no column '{unknown[0]}' to map to", where="--columns", expected=f"{', '.join(KINDS)} or p:CLASS"
        )
    taken, present = set(columns.values()), Counter(opened.columns)
    if len(taken) < len(columns):
        raise OptionError("a column of the file cannot be two of ours", where="--columns", got=dict(columns))
    missing = [theirs for theirs in columns.values() if theirs not in present]
    if missing:
        raise DataError(
            f"the file has no column '{missing[0]}'", where=file, got=f"the columns {some(opened.columns, 20)}"
        )
    own = [*KINDS, *(column.name for column in best_columns(RANKED) if column.read)]
    own += [name for name in present if name.startswith(PREFIX)]
    wanted = dict(columns) | {
        name: name for name in own if name in present and name not in columns and name not in taken
    }
    _require_columns(file, opened.columns, wanted)
    if twice := sorted(theirs for theirs in wanted.values() if present[theirs] > 1):
        raise DataError("the file has two columns with the same name", where=file, got=some(twice))
    return wanted


def _require_columns(file: Path, present: Sequence[str], wanted: Mapping[str, str]) -> None:
    lacking = [] if "path" in wanted else ["path"]
    if "predicted" not in wanted and not any(name.startswith(PREFIX) for name in wanted):
        lacking.append("predicted")
    if lacking:
        near = {name: [theirs for theirs in LIKELY[name] if theirs in present] for name in lacking}
        example = ",".join(f"{name}={near[name][0] if near[name] else LIKELY[name][0]}" for name in lacking)
        raise DataError(
            f"not a predictions file of clsbench: it lacks the column {' and the column '.join(lacking)}",
            where=file,
            got=f"the columns {some(present, 20)}",
            expected="path, predicted and, to be evaluated, label",
            hint=separator_hint(list(present)) or f"map its columns to ours, for example --columns {example}",
        )


def _known(file: Path, manifest: Sequence[str], columns: list[str]) -> Sequence[str] | None:
    """The classes in their order, as far as they are known."""
    if not manifest or not columns:
        return manifest or columns or None
    if (expected := set(manifest)) != set(columns):
        raise DataError(
            "the probability columns are not the classes of the model",
            where=file,
            got=some([name for name in columns if name not in expected]) or "fewer classes",
            expected=f"the {len(manifest)} classes that {file.name}.json names: {some(manifest)}",
            hint="the manifest belongs to another file, or predictions of different models were mixed",
            code="CB-L005",
        )
    return manifest
