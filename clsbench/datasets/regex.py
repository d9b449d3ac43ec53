"""The ``regex`` dataset: the label is in the file name, as in ``images/great_pyrenees_173.jpg``."""

from __future__ import annotations

import re
from pathlib import Path

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.file_name_labels import PATTERN
from clsbench.datasets.image_tree import open_tree
from clsbench.errors import DataError, OptionError
from clsbench.images.sources.source import damage_notes, skipped_notes
from clsbench.text import counted, some


def build(root: Path | str | None, *, pattern: str = PATTERN) -> Dataset:
    """Read the images below a folder, labelled by a regular expression; names are relative to ``root``.

    Args:
        root: The folder, archive or URL; folders in it mean nothing unless the pattern looks at them.
        pattern: Searched in ``/`` + the relative path; its group ``label``, else its first group, is the
            label. The default takes what comes before the last number: ``beagle`` of ``beagle_12.jpg``.

    Raises:
        DataError: if there is no such folder, no image, no name that matches, or fewer than two classes.
        OptionError: if the pattern is not a regular expression with a group.
    """
    search, group = _compile(pattern)
    source = open_tree(root, "regex").source
    matches = ((entry, search.search(f"/{entry.name}")) for entry in source.entries)
    labelled = [(entry, match[group] if match else None) for entry, match in matches]
    classes = tuple(sorted({label for _, label in labelled if label}))
    if len(classes) < 2:
        names = some([entry.name for entry in source.entries], 3)
        raise DataError(
            "training needs at least two classes" if classes else "the pattern matches no file name",
            where=source.location,
            got=f"the label {classes[0]} alone, from {names}" if classes else names,
            expected=f"names with a match of {pattern}",
            hint="give another one with --with data.pattern=REGEX; it is searched in / and the path",
        )
    index = {name: k for k, name in enumerate(classes)}
    samples = [Sample(entry, index[label]) for entry, label in labelled if label]
    notes = [*damage_notes(source.skipped), *skipped_notes(source.skipped)]
    if without := [entry.name for entry, label in labelled if not label]:
        count = counted(len(without), "image")
        notes.insert(0, f"{count} left out because the pattern does not match: {some(without, 3)}")
    return Dataset(classes=classes, splits={"train": samples}, notes=tuple(notes), root=source.location)


def _compile(pattern: str) -> tuple[re.Pattern[str], str | int]:
    """The pattern, and the group that is the label."""
    where = "--with data.pattern"
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise OptionError("the pattern is not a regular expression", where=where, got=f"{pattern}: {error}") from None
    if not search.groups:
        raise OptionError(
            "the pattern has no group for the label",
            where=where,
            got=pattern,
            expected=r"parentheses around the label, such as /([^/]+)_\d+\.jpg$",
        )
    return search, "label" if "label" in search.groupindex else 1
