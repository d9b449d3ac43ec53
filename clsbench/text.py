"""Texts for people: names of files and classes made safe to print and short, counts with their nouns."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath

#: Characters of a name in a list of names: as many as a file's name has at most.
LISTED = 255


def printable(text: str) -> str:
    """The text with a question mark for what would steer a terminal, break its encoding or cannot be drawn.

    >>> printable("ants\\x1b[31m")
    'ants?[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def on_one_line(name: str) -> str:
    """A name with a question mark for each line break, so that it cannot pass for a message of ours.

    >>> on_one_line("a.jpg\\nnext: rm -r photos")
    'a.jpg?next: rm -r photos'
    """
    return name.replace("\n", "?")


def shortened(text: str, width: int) -> str:
    """A text of at most ``width`` characters; the end of a long one, where paths differ.

    >>> shortened("photos/ants/17.jpg", 8)
    '…/17.jpg'
    """
    return text if len(text) <= width else f"…{text[1 - width :]}"


def shortened_path(path: str, width: int) -> str:
    """A path of about ``width`` characters: what is left out is from the middle of its folders.

    The file's own name stays whole, however long it is, so that the file can be found.

    >>> shortened_path("photos/of/many/kinds/of/ants/17.jpg", 20)
    'photos…f/ants/17.jpg'
    >>> shortened_path("photos/20260101-120000-kitchen.jpg", 20)
    '…/20260101-120000-kitchen.jpg'
    """
    folder, slash, name = path.rpartition("/")
    room = width - len(name) - len(slash) - 1
    if len(path) <= width or len(folder) < 2:
        return path
    if room < 6:
        return f"…/{name}"
    return f"{folder[: room // 2]}…{folder[room // 2 - room :]}/{name}"


def distinct_names(files: Sequence[Path]) -> list[str]:
    """The names of files, with their folder or the whole path where those are the same.

    >>> distinct_names([Path("runs/a/model.onnx"), Path("runs/b/model.onnx")])
    ['a/model.onnx', 'b/model.onnx']
    """
    for names in ([file.name for file in files], [f"{file.resolve().parent.name}/{file.name}" for file in files]):
        if len(set(names)) == len(names):
            return names
    return [str(file) for file in files]


def abridged(text: str, width: int = 1000) -> str:
    """A text without the middle of any line that is longer than ``width`` characters.

    >>> abridged("got: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 20)
    'got: aaaa … aaaaaaaa'
    """
    return "\n".join(_abridged(line, width) for line in text.split("\n"))


def _abridged(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    kept = width - 3
    return f"{line[: (kept + 1) // 2]} … {line[len(line) - kept // 2 :]}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun, in the singular for one.

    >>> counted(1, "image"), counted(2000, "image"), counted(2, "class"), counted(2, "batch", "batches")
    ('1 image', '2,000 images', '2 classes', '2 batches')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + ('es' if noun.endswith('s') else 's')}"


def file_size(size: int) -> str:
    """Bytes in a unit that leaves a number to look at.

    >>> file_size(740), file_size(48_366), file_size(13_456_566), file_size(85_899_345_920)
    ('1 kB', '48 kB', '13.5 MB', '85.9 GB')
    """
    if size >= 999_950_000:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 999_500 else f"{max(1, round(size / 1e3))} kB"


def formatted(value: float, spec: str = "") -> str:
    """A number as :func:`format` writes it, but never a negative zero.

    >>> formatted(-0.0004, ".2f"), formatted(-0.0004, "+.1%"), formatted(-1.5, ".1f"), formatted(-3)
    ('0.00', '+0.0%', '-1.5', '-3')
    """
    text = format(value, spec)
    zero = text.startswith("-0") and not any(digit in text for digit in "123456789")
    return ("+" if "+" in spec else "") + text[1:] if zero else text


def some(names: Sequence[str], limit: int = 5) -> str:
    """The first few of many names, each shortened where it is very long, and how many there are.

    >>> some(["a", "b", "c"], 2)
    'a, b, … (3 in all)'
    """
    shown = ", ".join(shortened(on_one_line(name), LISTED) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown}, … ({len(names)} in all)"


def command(*words: object) -> str:
    """A command line of clsbench as it can be typed or pasted, whatever is in a file's name.

    >>> command("evaluate", "my preds.csv", "--top", 20)
    "clsbench evaluate 'my preds.csv' --top 20"
    >>> command("show", PurePath("-a.csv"))
    'clsbench show ./-a.csv'
    """
    return shlex.join(["clsbench", *(_word(word) for word in words)])


def _word(word: object) -> str:
    """A word of a command line; a path never looks like an option."""
    return f"./{word}" if isinstance(word, PurePath) and str(word).startswith("-") else str(word)
