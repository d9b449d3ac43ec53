"""Groups: images that belong together, such as the frames of one video or the photos of one patient.

With a group on both sides of a split, a network is judged on what it has seen. So every split takes whole groups.
"""

from __future__ import annotations

import dataclasses
import re
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.errors import OptionError
from clsbench.text import counted, on_one_line, some

#: How long matching all names may take: a million of them take some three seconds.
SECONDS = 60.0


def with_groups(dataset: Dataset, group: str | None) -> Dataset:
    """The dataset, each sample with its group, and a note of how many there are.

    Args:
        dataset: With the splits that the data gives.
        group: The column that the samples' groups come from, if it is ``dataset.grouped_by``; else a regular
            expression (see :func:`group_of`). A sample without a group is a group of its own. None for the groups
            that the dataset has by itself, if it has any.

    Raises:
        OptionError: if it is no regular expression, matches no name, or puts all images into one group.
    """
    samples = [sample for some_samples in dataset.splits.values() for sample in some_samples]
    where = dataset.root if group is None else f"--group {group}"
    if group is None or group == dataset.grouped_by:
        column = dataset.grouped_by
        keys, way = {s.name: s.group for s in samples}, f"by the column {column}" if column else "as the data has them"
        if group is None and not any(keys.values()):
            return dataset
    else:
        search, way = _compiled(group), f"by the regular expression {group}"
        with _time_limit(SECONDS, group):
            keys = {sample.name: group_of(search, sample.name) for sample in samples}
    found, alone = {key for key in keys.values() if key}, [name for name, key in keys.items() if not key]
    if not found:
        columns = f"one of the columns {some(dataset.columns, 8)}" if dataset.columns else "a column of a CSV dataset"
        raise OptionError(
            "no image has a group", where=where, got=f"names such as {some(alone, 3)}",
            expected=f"{columns}, or a regular expression that matches these names",
        )  # fmt: skip
    if len(found) + len(alone) < 2:
        raise OptionError(
            "all images are in one group, so there is nothing to split", where=where,
            got=f"{on_one_line(found.pop())} for {counted(len(keys), 'image')}", expected="two groups or more",
        )  # fmt: skip
    note = f"groups: {len(found):,}, of {counted(len(keys) - len(alone), 'image')}, {way}"
    if alone:
        note += f"; without one, each by itself: {counted(len(alone), 'image')}, such as {on_one_line(alone[0])}"
    splits = {
        split: [dataclasses.replace(sample, group=keys[sample.name] or None) for sample in some_samples]
        for split, some_samples in dataset.splits.items()
    }
    return dataclasses.replace(dataset, splits=splits, notes=(*dataset.notes, note))


@contextmanager
def _time_limit(seconds: float, group: str) -> Iterator[None]:
    """Within, a regular expression that takes too long ends with an error, where this thread can be interrupted."""

    def end(number: int, _: object) -> None:
        raise OptionError(
            "the regular expression takes too long", where="--group", got=f"{group}, after {seconds:g} s",
            hint="repetitions within repetitions, such as (a+)+, take exponential time: write them once",
        )  # fmt: skip

    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "SIGALRM") or signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def group_of(search: re.Pattern[str], name: str) -> str | None:
    """What a regular expression finds in a name: its group ``group``, else its first that takes part, else all of it.

    >>> group_of(re.compile(r"([^/]+)_frame"), "cats/clip7_frame003.jpg"), group_of(re.compile("clip[0-9]+"), "a/clip7")
    ('clip7', 'clip7')
    >>> group_of(re.compile("clip[0-9]+"), "a/b.jpg") is None
    True
    """
    match = search.search(name)
    if match is None:
        return None
    if "group" in search.groupindex:
        return match["group"]
    taking_part = [part for part in match.groups() if part is not None]
    return taking_part[0] if taking_part else None if search.groups else match[0]


def group_numbers(samples: Sequence[Sample]) -> list[int]:
    """The number of each sample's group, from 0 in the order of the samples; one of its own without a group."""
    numbers: dict[str | tuple[str], int] = {}
    return [numbers.setdefault((s.name,) if s.group is None else s.group, len(numbers)) for s in samples]


def are_grouped(samples: Sequence[Sample]) -> bool:
    """Whether any sample has a group."""
    return any(sample.group is not None for sample in samples)


def torn_groups(splits: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, str]]:
    """Groups that are in more than one split -> split -> the name of the first of their images there."""
    homes: dict[str, dict[str, str]] = {}
    for split, samples in splits.items():
        for sample in samples:
            if sample.group is not None:
                homes.setdefault(sample.group, {}).setdefault(split, sample.name)
    return {group: homes_of for group, homes_of in homes.items() if len(homes_of) > 1}


def _compiled(group: str) -> re.Pattern[str]:
    try:
        return re.compile(group)
    except re.error as error:
        raise OptionError(
            "the group is neither a column nor a regular expression", where="--group", got=f"{group}: {error}",
            expected=r"such as patient, or '([^/]+)_frame\d+'",
        ) from None  # fmt: skip
