"""Rules for writers: a whole file or none, with every name as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from clsbench.card import ModelCard
from clsbench.errors import ClsbenchError, OptionError
from clsbench.options import option_types
from clsbench.predictions.block import Predictions
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.component_rules import check_built
from clsbench.testing.rules import Subject, require, rule
from clsbench.transform import ImageTransform

READ = "a function of the path of a file that returns the names in it (or its name: module:function)"

#: Class names and file names as strangers have them: every one of them has to come back.
CARD = ModelCard(classes=("a", "b,\n", '"c"', "=1+1"), transform=ImageTransform(size=(2, 2)), feature_dim=2)
NAMES = (
    *(
        "x/1.png",
        "broken, file.png",
        "ü.png",
        'say "cheese".jpg',
        "two\nlines.png",
        "tab\there.png",
        "=cmd|'/c'!A0.png",
    ),
    *("'quoted.png", " spaces at the ends ", "back\\slash.png", "日本/猫.png", "🐜.jpg", "null", "1e5", "-", "#.png"),
    *("cr\rhere.png", "a;b.png", f"{'long' * 50}.png", "%41.png", "true.png"),
)

READ_HERE = ("csv", "jsonl", "parquet", "parquet-parts")


class Interrupted(Exception):
    """What a job fails with here."""


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build(path, card, topk=…)`` returns a context manager with ``write``."""
    with _folder(subject) as path:
        check_built(subject, _open(subject, path))


@rule("builds")
def writes_a_file(subject: Subject) -> None:
    """After the ``with`` block its file, or its folder, is there, and nothing beside it."""
    with _folder(subject) as path:
        write(subject, path)
        found = sorted(file.name for file in path.parent.iterdir())
        require(found == [path.name], f"in place of {path.name} there is {', '.join(found) or 'nothing'}")


@rule("builds", "writes-a-file")
def names_come_back(subject: Subject) -> None:
    """Every name comes back as it was, in order, with quotes, line breaks and formulas in it, unreadable images too."""
    reader = _reader(subject)
    with _folder(subject) as path:
        written = write(subject, path)
        found = list(reader(path))
        differ = next((pair for pair in zip(written, found, strict=False) if pair[0] != pair[1]), None)
        require(found == written, f"{len(found)} names instead of {len(written)}; the first that differs: {differ}")


@rule("builds", "writes-a-file")
def leaves_nothing_after_a_failure(subject: Subject) -> None:
    """After an exception within the ``with`` block no file is left, finished or not: half a file looks whole."""
    with _folder(subject) as path:
        fail(subject, path)
        left = sorted(file.name for file in path.parent.iterdir())
        require(not left, f"after a failure there is {', '.join(left)}")


@rule("builds", "writes-a-file")
def keeps_the_old_file_until_the_end(subject: Subject) -> None:
    """An earlier file, or folder, is replaced by a whole new one, or stays as it was."""
    with _folder(subject) as path:
        with _open(subject, path) as writer:
            writer.write(block(["old"]))
        old = _content(path)
        fail(subject, path)
        require(_content(path) == old, "a job that failed took the old file away")
        write(subject, path)
        require(_content(path) != old, "a job that succeeded did not replace the old file")


@rule("builds", "writes-a-file")
def failures_pass(subject: Subject) -> None:
    """An exception within the ``with`` block comes out of it: a failed job must not look like one that succeeded."""
    with _folder(subject) as path:
        try:
            with _open(subject, path) as writer:
                writer.write(block(NAMES[:2]))
                raise Interrupted
        except Interrupted:
            return
    raise AssertionError("it swallowed the exception of the job")


@rule("builds", "writes-a-file")
def no_rows_are_a_file_too(subject: Subject) -> None:
    """A job without images, or with a block of none, writes a file."""
    for blocks in ([], [block(())]):
        with _folder(subject) as path:
            with _open(subject, path) as writer:
                for one in blocks:
                    writer.write(one)
            require(path.exists(), "without rows there is no file")


@rule("builds", "writes-a-file")
def an_unwritable_place_is_explained(subject: Subject) -> None:
    """A place where no file can be is a ClsbenchError or OSError, at the latest when the file is finished."""
    with _folder(subject) as path:
        (path.parent / "file").touch()
        try:
            write(subject, path.parent / "file" / path.name)
        except (ClsbenchError, OSError):
            return
    raise AssertionError("a file below another file was written without an error")


def write(subject: Subject, path: Path) -> list[str]:
    """Write two blocks; returns the names in them."""
    with _open(subject, path) as writer:
        for names in (NAMES[:4], NAMES[4:]):
            writer.write(block(names))
    return list(NAMES)


def fail(subject: Subject, path: Path) -> None:
    """Write a block, and end the ``with`` block with an exception."""
    try:
        with _open(subject, path) as writer:
            writer.write(block(NAMES[:4]))
            raise Interrupted
    except Interrupted:
        return


def _content(path: Path) -> dict[str, bytes]:
    """The bytes of a file, or of those in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return {file.name: file.read_bytes() for file in files if file.is_file()}


def block(names: Sequence[str]) -> Predictions:
    """Predictions with features; the second image, if there is one, could not be read."""
    count, random = len(names), np.random.default_rng(0)
    logits = random.normal(size=(count, len(CARD.classes))).astype(np.float32)
    features = random.normal(size=(count, 2)).astype(np.float32)
    logits[1:2], features[1:2] = np.nan, np.nan
    errors = ["damaged" if k == 1 else None for k in range(count)]
    labels = np.array([k % 2 for k in range(count)], np.int64)
    return Predictions(list(names), logits, errors, labels, features=features)


@contextmanager
def _folder(subject: Subject) -> Iterator[Path]:
    """The path of a file to write, in a folder of its own."""
    with TemporaryDirectory() as folder:
        name = subject.component.name if subject.component else ""
        yield Path(folder) / f"predictions.{name}"


def _open(subject: Subject, path: Path) -> Any:
    takes = option_types(subject.component.build) if subject.component else {}
    given = {name: value for name, value in {"topk": 2, "features": True}.items() if name in takes}
    return subject.build(path, CARD, **{**given, **subject.options})


def _reader(subject: Subject) -> Callable[[Path], Sequence[str]]:
    if "read" not in subject.inputs and subject.component and subject.component.name in READ_HERE:
        return _read_here
    read = subject.given("read", READ)
    if isinstance(read, str):
        module, colon, name = read.partition(":")
        if not colon:
            raise OptionError("the reader of a writer's file is named as module:function", got=read)
        read = getattr(import_module(module), name)
    return read  # type: ignore[no-any-return]


def _read_here(path: Path) -> Sequence[str]:
    from clsbench.predictions.reading import read_predictions

    with read_predictions(path) as table:
        return list(table.names)


RULES = (
    *COMPONENT_RULES,
    builds,
    writes_a_file,
    names_come_back,
    leaves_nothing_after_a_failure,
    keeps_the_old_file_until_the_end,
    failures_pass,
    no_rows_are_a_file_too,
    an_unwritable_place_is_explained,
)
