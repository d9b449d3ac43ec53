"""The data check before training: what would make the result worse, or its numbers wrong.

It reads no file: whoever decodes the images hands in what it found.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.groups import are_grouped, torn_groups
from clsbench.datasets.near_duplicates import Hashed, common_prefix, near_pairs, share_of_split
from clsbench.datasets.similar_names import similar_names, told_apart
from clsbench.errors import DataError
from clsbench.finding_codes.data_findings import FINDINGS
from clsbench.text import counted, on_one_line

#: A class with fewer training images than this is tiny.
FEW = 5

Kind = Literal[
    "unreadable", "duplicates", "near-duplicates", "torn-groups", "contradictions", "similar-classes", "tiny-class",
    "empty-class",
]  # fmt: skip

CODES = {each.name: each.code for each in FINDINGS}

#: Samples that are one image, each with its split.
Group = list[tuple[str, Sample]]


@dataclass(frozen=True)
class Finding:
    """One kind of problem.

    Args:
        kind: ``unreadable``; ``duplicates``: one image in two splits, so that validation sees
            what training saw; ``near-duplicates``: images of one split that nearly equal an image of
            another; ``torn-groups``: groups in more than one split; ``contradictions``: one image with
            two labels; ``similar-classes``: names that differ only in case, spaces or Unicode
            normalisation; ``tiny-class``; ``empty-class``: a class without an image in a split.
        message: One line, with the number and at most three examples.
        names: All the samples, or all the groups, or for the last three kinds all the classes, that are concerned.
    """

    kind: Kind
    message: str
    names: tuple[str, ...]

    @property
    def code(self) -> str:
        """Of its kind, such as ``CB-D003``; :mod:`clsbench.finding_codes` says what it means."""
        return CODES[self.kind]

    def __str__(self) -> str:
        return f"{self.code} {self.message}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"code": self.code, **asdict(self), "names": list(self.names)}


@dataclass(frozen=True)
class DataCheck:
    """What the check found: nothing in good data.

    Args:
        findings: What nobody wants to ignore.
        ignored: What somebody does: not told and not refused, but recorded.
    """

    findings: tuple[Finding, ...]
    ignored: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        ignored = {"ignored": [finding.to_json() for finding in self.ignored]} if self.ignored else {}
        return {"findings": [finding.to_json() for finding in self.findings], **ignored}

    def refuse(self, where: object) -> None:
        """Refuse data with findings.

        Raises:
            DataError: with all findings, if there are any.
        """
        if self.findings:
            raise DataError(
                f"the data check found {counted(len(self.findings), 'problem')}",
                where=where,
                got="\n       ".join(map(str, self.findings)),
                hint="correct the data, accept a finding with --ignore CODE, or train without --strict-data",
                code="CB-T003",
            )


def check_dataset(
    dataset: Dataset,
    *,
    unreadable: Mapping[str, str],
    digests: Mapping[str, bytes],
    hashed: Mapping[str, Hashed] | None = None,
    ignore: Collection[str] = (),
) -> DataCheck:
    """Look at a dataset before training; unreadable images count as absent.

    Args:
        dataset: All of its splits are looked at.
        unreadable: Sample name -> reason.
        digests: Sample name -> a hash of the encoded image or its pixels; those without one
            are not compared.
        hashed: Split -> perceptual hashes, train first; None to look for no near-duplicates.
        ignore: Kinds of finding that are recorded apart.
    """
    readable = {
        split: [sample for sample in samples if sample.name not in unreadable]
        for split, samples in dataset.splits.items()
        if samples
    }
    counts = {split: Counter(sample.label for sample in samples) for split, samples in readable.items()}
    groups = _same_images(readable, digests)
    findings = [
        *_unreadable(unreadable),
        *_duplicates(groups),
        *_near_duplicates(dataset, hashed or {}, digests),
        *_torn(readable),
        *_contradictions(groups, dataset.classes),
        *_similar(dataset.classes),
        *_tiny(dataset.classes, counts.get("train", Counter())),
        *_empty(dataset.classes, counts),
    ]
    kept, ignored = (tuple(f for f in findings if (f.kind in ignore) is known) for known in (False, True))
    return DataCheck(kept, ignored)


def ignored_before(record: Mapping[str, object]) -> frozenset[str]:
    """The kinds of finding that a run's check ignored.

    Args:
        record: What :meth:`DataCheck.to_json` gave, from a file.
    """
    ignored = record.get("ignored")
    found = [each.get("kind") for each in ignored if isinstance(each, dict)] if isinstance(ignored, list) else []
    return frozenset(kind for kind in found if isinstance(kind, str) and kind in CODES)


def _same_images(splits: Mapping[str, Sequence[Sample]], digests: Mapping[str, bytes]) -> list[Group]:
    repeated = {digest for digest, times in Counter(digests.values()).items() if times > 1}
    groups: dict[bytes, Group] = defaultdict(list)
    for split, samples in splits.items():
        for sample in samples:
            digest = digests.get(sample.name)
            if digest in repeated:
                groups[digest].append((split, sample))
    return list(groups.values())


def _unreadable(unreadable: Mapping[str, str]) -> Iterator[Finding]:
    if unreadable:
        name, reason = next(iter(unreadable.items()))
        count = counted(len(unreadable), "unreadable image")
        yield Finding("unreadable", f"{count}, such as {on_one_line(name)}: {reason}", tuple(unreadable))


def _duplicates(groups: Sequence[Group]) -> Iterator[Finding]:
    across = [group for group in groups if len({split for split, _ in group}) > 1]
    if across:
        examples = [" = ".join(f"{s.name} ({split})" for split, s in _first_of_each(group)) for group in across[:3]]
        message = f"{counted(len(across), 'image')} in more than one split: {_some(examples, len(across))}"
        yield Finding("duplicates", message, tuple(sample.name for group in across for _, sample in group))


def _near_duplicates(dataset: Dataset, hashed: Mapping[str, Hashed], digests: Mapping[str, bytes]) -> Iterator[Finding]:
    for split in list(hashed)[1:]:
        if pairs := near_pairs(hashed, digests, split):
            message = share_of_split(pairs, split, len(dataset.splits[split]))
            samples = [sample for some in dataset.splits.values() for sample in some]
            if not are_grouped(samples):
                prefix = common_prefix(pairs, [sample.name for sample in samples], len(dataset.classes))
                message += f"; --group {shlex.quote(prefix)} keeps such images together" if prefix else ""
            names = {name: None for pair in pairs for name in (pair.sample.name, pair.other.name)}
            yield Finding("near-duplicates", message, tuple(names))


def _torn(splits: Mapping[str, Sequence[Sample]]) -> Iterator[Finding]:
    if torn := torn_groups(splits):
        examples = [
            f"{on_one_line(group)} ({', '.join(f'{on_one_line(name)} in {split}' for split, name in homes.items())})"
            for group, homes in list(torn.items())[:3]
        ]
        what = "group is" if len(torn) == 1 else "groups are"
        message = f"{len(torn):,} {what} in more than one split, as the data gives them: {_some(examples, len(torn))}"
        yield Finding("torn-groups", message, tuple(torn))


def _first_of_each(group: Group) -> list[tuple[str, Sample]]:
    first: dict[str, Sample] = {}
    for split, sample in group:
        first.setdefault(split, sample)
    return list(first.items())


def _contradictions(groups: Sequence[Group], classes: Sequence[str]) -> Iterator[Finding]:
    torn = [group for group in groups if len({s.label for _, s in group if s.label is not None}) > 1]
    if torn:
        examples = []
        for group in torn[:3]:
            first = {sample.label: sample.name for _, sample in reversed(group) if sample.label is not None}
            examples.append(" = ".join(f"{name} ({classes[label]})" for label, name in sorted(first.items())))
        message = f"{counted(len(torn), 'image')} with more than one label: {_some(examples, len(torn))}"
        yield Finding("contradictions", message, tuple(sample.name for group in torn for _, sample in group))


def _similar(classes: Sequence[str]) -> Iterator[Finding]:
    groups = similar_names(classes)
    if groups:
        names = tuple(name for group in groups for name in group)
        message = f"{len(names)} class names differ only in case, spaces or Unicode normalisation"
        yield Finding("similar-classes", f"{message}: {_some([told_apart(g) for g in groups], len(groups))}", names)


def _tiny(classes: Sequence[str], counts: Mapping[int | None, int]) -> Iterator[Finding]:
    tiny = {name: counts[k] for k, name in enumerate(classes) if 0 < counts.get(k, 0) < FEW}
    if tiny:
        examples = [f"{name} ({count})" for name, count in list(tiny.items())[:3]]
        message = f"{counted(len(tiny), 'class')} with fewer than {FEW} training images: {_some(examples, len(tiny))}"
        yield Finding("tiny-class", message, tuple(tiny))


def _empty(classes: Sequence[str], counts: Mapping[str, Mapping[int | None, int]]) -> Iterator[Finding]:
    for split, found in counts.items():
        empty = [name for k, name in enumerate(classes) if not found.get(k)]
        if empty:
            count = f"{len(empty)} of {len(classes)} classes without an image in {split}"
            message = f"{count}: {_some(empty, len(empty))}"
            yield Finding("empty-class", message, tuple(empty))


def _some(examples: Sequence[str], total: int) -> str:
    return ", ".join(examples[:3]) + (", …" if total > 3 else "")
