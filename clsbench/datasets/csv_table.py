"""The ``csv`` dataset: a table with one image per row.

path,label,split
cats/1.jpg,cat,train
../more/2.jpg,dog,val

The split column may be left out; then all of them are train.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clsbench.datasets.dataset import SPLITS, Dataset, Sample, check_files_exist
from clsbench.datasets.splits import SPLIT_WORDS, check_known_classes
from clsbench.errors import DataError
from clsbench.images.sources.paths import PathsSource
from clsbench.text_files import check_text, separator_hint

_SPLIT_OF = {word: split for split, words in SPLIT_WORDS.items() for word in words}


def build(
    root: Path | None,
    *,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = "split",
    group_column: str | None = None,
    images: Path | None = None,
) -> Dataset:
    """Read labelled images from a CSV file; names are its paths.

    Args:
        root: The file, or a folder that holds exactly one .csv.
        path_column: The column of paths, absolute or relative to ``images``.
        label_column: The column of class names.
        split_column: The column of splits (train, val, test), used where there is one; None to ignore it.
        group_column: The column of what belongs together, such as patients, used where there is one; an empty cell
            means that the image belongs to nothing else.
        images: The folder that paths are relative to; None for the one of the file.

    Raises:
        DataError: if the file cannot be read, lacks a column, has a row without a label, with a
            repeated path or an unknown split, names files that do not exist, or has fewer than
            two classes.
    """
    file = _find_file(root)
    base = file.parent if images is None else Path(images)  # text where it comes out of run.json
    if not base.is_dir():
        raise DataError("there is no such folder of images", where=base)
    rows, columns = _read(file, path_column, label_column, split_column, group_column)
    classes, splits = _samples(file, base, rows)
    grouped_by = group_column if group_column in columns else None
    return Dataset(classes=classes, splits=splits, root=str(file), grouped_by=grouped_by, columns=columns)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    path: str
    label: str
    split: str
    group: str | None = None


def _samples(file: Path, base: Path, rows: Sequence[_Row]) -> tuple[tuple[str, ...], dict[str, list[Sample]]]:
    """Classes (sorted by name), and the samples of the splits that the file gives."""
    found = {split: [row for row in rows if row.split == split] for split in SPLITS}
    classes = tuple(sorted({row.label for row in found["train"]}))
    if len(classes) < 2:
        raise DataError(
            "training needs at least two classes",
            where=file,
            got=f"one label for training: {classes[0]}" if classes else "no rows for training",
        )
    for split in SPLITS:
        check_known_classes((row.label for row in found[split]), classes, where=f"{file}, {split}")
    index = {name: k for k, name in enumerate(classes)}
    given: dict[str, list[Sample]] = {}
    for split, some in found.items():
        if some:
            entries = PathsSource([row.path for row in some], base=base).entries
            given[split] = [
                Sample(entry, index[row.label], row.group) for entry, row in zip(entries, some, strict=True)
            ]
    check_files_exist(
        [sample for samples in given.values() for sample in samples],
        where=file,
        hint=f"paths are relative to {base}; name another folder with --with data.images=DIR",
    )
    return classes, given


def _find_file(root: Path | None) -> Path:
    if root is None:
        raise DataError("the csv dataset needs a file", hint="clsbench train TABLE.csv --dataset csv")
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError("there is no such file or folder", where=root)
    tables = sorted(path for path in root.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    if len(tables) != 1:
        raise DataError(
            "the folder does not hold exactly one .csv file",
            where=root,
            got=", ".join(path.name for path in tables[:5]) or "none",
            hint="name the file itself",
        )
    return tables[0]


def _read(
    file: Path, path_column: str, label_column: str, split_column: str | None, group_column: str | None
) -> tuple[list[_Row], tuple[str, ...]]:
    """The rows, and the names of all columns."""
    try:
        check_text(file, "the CSV file")
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, skipinitialspace=True)
            columns = [name.strip() for name in next(reader, [])]
            places = [_column(file, columns, name) for name in (path_column, label_column)]
            if split_column is not None and (split_column in columns or split_column != "split"):
                places.append(_column(file, columns, split_column))
            group = _column(file, columns, group_column) if group_column and group_column in columns else None
            rows = [_row(file, reader.line_num, fields, columns, places, group) for fields in reader if fields]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            "the CSV file cannot be read", where=file, got=error, expected="comma-separated values in UTF-8"
        ) from None
    _check_paths(file, rows)
    return _with_splits(file, rows), tuple(columns)


def _column(file: Path, columns: Sequence[str], name: str) -> int:
    if columns.count(name) != 1:
        raise DataError(
            f"the CSV file has two columns '{name}'" if name in columns else f"the CSV file has no column '{name}'",
            where=file,
            got=", ".join(columns) or "an empty file",
            hint=separator_hint(list(columns))
            or "name the columns with --with data.path_column=NAME, data.label_column=NAME, data.split_column=NAME",
        )
    return columns.index(name)


def _row(
    file: Path, line: int, fields: Sequence[str], columns: Sequence[str], places: Sequence[int], group: int | None
) -> _Row:
    if len(fields) > len(columns):
        raise DataError(
            "a row has more fields than the header",
            where=f"{file}:{line}",
            got=",".join(fields),
            expected=",".join(columns),
            hint="quote a path with a comma in it",
        )
    path, label, split = [*(fields[k] if k < len(fields) else "" for k in places), ""][:3]
    for name, value in (("path", path), ("label", label)):
        if not value.strip():
            raise DataError(f"a row has no {name}", where=f"{file}:{line}", got=",".join(fields))
    belongs_to = fields[group].strip() if group is not None and group < len(fields) else ""
    return _Row(line, _posix(path), label.strip(), split.strip(), belongs_to or None)


def _posix(path: str) -> str:
    """The path in its usual form; pathlib is slow, and most paths of a million have it already."""
    usual = os.sep == "/" and "//" not in path and "./" not in path
    return path if usual else Path(path).as_posix()


def _check_paths(file: Path, rows: Sequence[_Row]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        if first.setdefault(row.path, row.line) != row.line:
            raise DataError(
                "two rows have the same path",
                where=f"{file}:{row.line}",
                got=f"{row.path}, also in line {first[row.path]}",
            )


def _with_splits(file: Path, rows: list[_Row]) -> list[_Row]:
    """The rows with their split's own name; all of them ``train`` where none names a split."""
    if not any(row.split for row in rows):
        return [replace(row, split="train") for row in rows]
    known = []
    for row in rows:
        split = _SPLIT_OF.get(row.split.lower())
        if split is None:
            raise DataError(
                "a row has no split, and others have one" if not row.split else "a row has an unknown split",
                where=f"{file}:{row.line}",
                got=row.split or row.path,
                expected=", ".join(_SPLIT_OF),
            )
        known.append(replace(row, split=split))
    return known
