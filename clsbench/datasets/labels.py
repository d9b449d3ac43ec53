"""Labels of images to be judged: from class folders, a file or a dataset, matched by name.

Never by position: a class folder the model does not know is an error that names it.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clsbench.datasets.dataset import Sample
from clsbench.errors import DataError
from clsbench.text import counted, some
from clsbench.text_files import check_text, separator_hint


@dataclass(frozen=True)
class Labels:
    """Labels for a list of images.

    Args:
        source: ``class folders``, ``the dataset``, the file's path, or None where there are no labels.
        index: For each image its index into the classes, -1 where unknown.
        notes: What the user should know: missing classes, ignored folders.
    """

    source: str | None
    index: list[int]
    notes: tuple[str, ...] = ()


def class_folder(name: str) -> str:
    """The folder of a class: its name, with what cannot be in a folder's name escaped.

    No two classes share a folder.

    >>> class_folder("T-shirt/top"), class_folder("..")
    ('T-shirt%2Ftop', '%2E.')
    """
    return re.sub(r"^\.|/|\0|%(?=2E|2F|00|25)", lambda found: f"%{ord(found[0]):02X}", name)


def from_folders(names: Sequence[str], classes: Sequence[str], *, where: object, unknown: str = "error") -> Labels:
    """Labels from the folders the images lie in.

    The class folders are those at the first depth where any folder has the name of a class.

    Args:
        names: Relative paths with forward slashes.
        classes: The model's classes.
        where: The folder, for messages.
        unknown: ``error``, or ``ignore`` to leave images of unknown folders unlabelled.

    Raises:
        DataError: if some folders at that depth are classes and others are not.
    """
    index = {class_folder(name): k for k, name in enumerate(classes)}
    # Images share their folders, and a million of them need not be taken apart.
    above = {name.rpartition("/")[0]: name.split("/")[:-1] for name in names}
    for depth in range(max(map(len, above.values()), default=0)):
        folders = {p[depth] for p in above.values() if len(p) > depth}
        if folders & index.keys():
            label = {folder: index.get(p[depth], -1) if len(p) > depth else -1 for folder, p in above.items()}
            found = [label[name.rpartition("/")[0]] for name in names]
            present = {classes[index[name]] if name in index else name for name in folders}
            return _labels("class folders", found, present, classes, where, unknown)
    folders = {p[0] for p in above.values() if p}
    note: tuple[str, ...] = ()
    if folders:
        note = (
            f"no accuracy: none of the folders ({some(sorted(folders))}) has the name of a class of the model "
            f"({some(classes)}); rename them, or give the labels with --labels FILE.csv (columns path,label)",
        )
    return Labels(None, [-1] * len(names), note)


def from_samples(
    samples: Sequence[Sample], names: Sequence[str], classes: Sequence[str], *, where: object, unknown: str = "error"
) -> Labels:
    """Labels of the samples of a dataset, matched by the names of classes.

    Args:
        samples: Of the dataset.
        names: The dataset's classes.
        classes: The model's.
        where: The dataset, for messages.
        unknown: ``error``, or ``ignore`` to leave images of unknown classes unlabelled.

    Raises:
        DataError: if a sample is of a class that the model does not have.
    """
    index = {name: k for k, name in enumerate(classes)}
    to = [index.get(name, -1) for name in names]
    found = [-1 if sample.label is None else to[sample.label] for sample in samples]
    present = {names[sample.label] for sample in samples if sample.label is not None}
    return _labels("the dataset", found, present, classes, where, unknown)


def from_csv(file: Path, names: Sequence[str], classes: Sequence[str], *, unknown: str = "error") -> Labels:
    """Labels from a CSV file with the columns ``path`` and ``label``.

    Raises:
        DataError: if the file cannot be read, lacks the columns, names a path twice or a
            class the model does not have, or has labels for none of the images.
    """
    given, known = _read_csv(file), set(names)
    for path, label in given.items():  # a path need not be UTF-8, if there is an image of that name
        for text in (label, "" if path in known else path):
            if text.encode("utf-8", "replace").decode() != text:
                got = f"{text}, which is not UTF-8"
                raise DataError("the labels file cannot be read", where=file, got=got, hint="save it as UTF-8")
    return from_pairs(given, file, names, classes, unknown=unknown)


def _read_csv(file: Path) -> dict[str, str]:
    given: dict[str, str] = {}
    try:
        check_text(file, "the labels file")
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or []
            if not {"path", "label"} <= set(columns):
                raise DataError(
                    "the labels file lacks a column",
                    where=file,
                    got=", ".join(columns) or "an empty file",
                    expected="path,label",
                    hint=separator_hint(list(columns)),
                )
            for row in reader:
                path, label = Path(row["path"] or "").as_posix(), row["label"] or ""
                if given.setdefault(path, label) != label:
                    raise DataError(
                        "the labels file has two labels for a path",
                        where=f"{file}:{reader.line_num}",
                        got=f"{path}: {given[path]!r} and {label!r}",
                        hint="keep the line that is right",
                        code="CB-L003",
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or error
        raise DataError("the labels file cannot be read", where=file, got=said) from None
    return given


def from_pairs(
    given: Mapping[str, str], file: Path, names: Sequence[str], classes: Sequence[str], *, unknown: str = "error"
) -> Labels:
    """The same from what was read of such a file.

    Args:
        given: Path -> label, empty where there is none.
        file: It, for messages.
        names: Paths of the images.
        classes: Of the model.
        unknown: As for :func:`from_folders`.

    Raises:
        DataError: for a class the model does not have, or if no path is one of the images.
    """
    index = {name: k for k, name in enumerate(classes)}
    matched = [given.get(name) or None for name in names]
    if names and not any(label is not None for label in matched):
        raise DataError(
            "no path in the labels file is one of the images",
            where=file,
            got=some(list(given)),
            expected=f"paths relative to the folder, such as {some(names)}",
            code="CB-L002",
        )
    found = [-1 if label is None else index.get(label, -1) for label in matched]
    labels = _labels(str(file), found, {m for m in matched if m}, classes, file, unknown)
    unlabelled = sum(label is None for label in matched)
    more = (f"{counted(unlabelled, 'image')} without a label in {file}",) if unlabelled else ()
    return Labels(labels.source, labels.index, labels.notes + more)


def _labels(
    source: str, found: list[int], present: set[str], classes: Sequence[str], where: object, unknown: str
) -> Labels:
    strangers = sorted(present - set(classes))
    notes = []
    if strangers:
        near = difflib.get_close_matches(strangers[0], classes, n=1)
        if unknown == "error":
            raise DataError(
                f"labels that the model does not know: {some(strangers)}",
                where=where,
                expected=f"one of its {len(classes)} classes: {some(classes)}",
                hint=(f"did you mean '{near[0]}'? " if near else "")
                + "rename them, or leave them unlabelled with --unknown-labels ignore",
                code="CB-L001",
            )
        notes.append(f"left unlabelled, unknown to the model: {some(strangers)}")
    missing = [name for name in classes if name not in present]
    if missing:
        notes.append(f"classes of the model without any image here: {some(missing)}")
    return Labels(source, found, tuple(notes))
