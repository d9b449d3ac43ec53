"""SplitFingerprint: what the images of a split are, in a few hashes, so that a change is found and named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clsbench.datasets.dataset import Sample
from clsbench.text import counted


@dataclass(frozen=True, kw_only=True)
class SplitFingerprint:
    """The images of one split in their order, hashed with SHA-256.

    Args:
        images: How many there are.
        names, labels: Of their names, and of their classes' indices.
        contents: Of the digests of their bytes.
        unreadable: How many could not be read.
    """

    images: int
    names: str
    labels: str
    contents: str
    unreadable: int = 0

    def changes(self, now: SplitFingerprint) -> list[str]:
        """What is different now, as half sentences; empty where nothing is."""
        if now.images != self.images:
            return [f"{counted(now.images, 'image')}, {self.images:,} before"]
        if now.names != self.names:
            return ["other names of images, or another order"]
        found = ["other labels"] if now.labels != self.labels else []
        if now.unreadable != self.unreadable:
            found.append(f"{counted(now.unreadable, 'unreadable image')}, {self.unreadable:,} before")
        elif now.contents != self.contents:
            found.append("other contents of images")
        return found


def fingerprint(samples: Sequence[Sample], digests: Mapping[str, bytes], unreadable: int) -> SplitFingerprint:
    """The fingerprint of a split.

    Args:
        samples: Its images.
        digests: Name -> digest of the encoded bytes, of those that could be read.
        unreadable: How many could not be used.
    """
    return SplitFingerprint(
        images=len(samples),
        names=_hash(sample.name.encode("utf-8", "surrogatepass") for sample in samples),
        labels=_hash(str(sample.label).encode() for sample in samples),
        contents=_hash(digests.get(sample.name, b"") for sample in samples),
        unreadable=unreadable,
    )


def _hash(values: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for value in values:
        found.update(len(value).to_bytes(8, "little") + value)
    return found.hexdigest()
