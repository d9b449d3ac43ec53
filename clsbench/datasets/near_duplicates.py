"""Near-duplicates: images of one split that nearly equal an image of another, told by their perceptual hashes.

The limits were measured on 398 photos (``benchmarks/near_duplicates.py``): a photo saved again at quality 50, resized
to 70 %, made brighter by 15 % or cut by 1 % on each side is found; the two most similar of all pairs of different
photos differ in 90 bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Sample
from clsbench.text import counted, on_one_line

#: Bits in which two hashes may differ: of all 256, and of the 64 of the lowest frequencies.
MOST_BITS, MOST_LOW_BITS = 28, 8

#: Images with a shorter side than this, pixels, are not compared: small ones, such as digits, are alike by nature.
SMALLEST = 48

#: Pairs that are compared at a time, so that memory is bounded.
BLOCK = 500_000

#: What may come before the part of a name that tells images of a group apart: ``clip7`` of ``clip7_003.jpg`` or of
#: ``clip7/003.jpg``.
PREFIXES = (r"([^/]+)[_-][^/_-]*$", r"([^/]*[^\W\d_])[\d_ -]*\.[^.]+$", r"^(.+)/")


@dataclass(frozen=True)
class Hashed:
    """The perceptual hashes of a split.

    Args:
        samples: N of them.
        hashes: uint64 (N, 4).
        known: Which of them have a hash, bool (N,).
    """

    samples: Sequence[Sample]
    hashes: NDArray[np.uint64]
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class NearPair:
    """An image of a split, and the one that it nearly equals, in another split."""

    sample: Sample
    other: Sample
    split: str
    bits: int


def near_pairs(hashed: Mapping[str, Hashed], digests: Mapping[str, bytes], split: str) -> list[NearPair]:
    """Images of a split that nearly equal an image of the splits before it, each with the nearest.

    Args:
        hashed: Split -> hashes; train first.
        digests: Sample name -> a hash of the encoded image: equal images are no near-duplicates.
        split: Which of them.
    """
    pairs: dict[str, NearPair] = {}
    for before in list(hashed)[: list(hashed).index(split)]:
        ours, theirs = hashed[split], hashed[before]
        copies = {digests.get(sample.name) for sample in theirs.samples} - {None}
        for row, column, bits in _nearest(ours, theirs):
            sample = ours.samples[row]
            if digests.get(sample.name) not in copies and (sample.name not in pairs or bits < pairs[sample.name].bits):
                pairs[sample.name] = NearPair(sample, theirs.samples[column], before, bits)
    return list(pairs.values())


def _nearest(ours: Hashed, theirs: Hashed) -> Iterator[tuple[int, int, int]]:
    """(an index of ours, that of the nearest of theirs, bits in which they differ) of those that are near."""
    rows, columns = np.flatnonzero(ours.known), np.flatnonzero(theirs.known)
    here, there = ours.hashes[rows], theirs.hashes[columns]
    low = np.ascontiguousarray(there[:, 0])
    step = max(1, BLOCK // max(1, len(low)))
    for start in range(0, len(rows), step):
        block = here[start : start + step]
        r, c = np.nonzero(np.bitwise_count(block[:, :1] ^ low) <= MOST_LOW_BITS)
        bits = np.zeros(len(r), np.int64)
        for word in range(there.shape[1]):  # one word at a time: candidates may be many
            bits += np.bitwise_count(block[r, word] ^ there[c, word])
        near = np.flatnonzero(bits <= MOST_BITS)
        order = near[np.lexsort((c[near], bits[near], r[near]))]
        _, first = np.unique(r[order], return_index=True)
        for k in order[first]:
            yield int(rows[start + r[k]]), int(columns[c[k]]), int(bits[k])


def common_prefix(pairs: Sequence[NearPair], names: Sequence[str], classes: int) -> str | None:
    """A regular expression by which most pairs are of one group, as ``--group`` takes it; None without one.

    Args:
        pairs: Near-duplicates.
        names: All names of the dataset.
        classes: Their number: a prefix that tells no more than the class is no group.
    """
    for pattern in PREFIXES:
        search = re.compile(pattern)
        keys = [(_key(search, pair.sample.name), _key(search, pair.other.name)) for pair in pairs]
        if 2 * sum(a is not None and a == b for a, b in keys) <= len(pairs):
            continue
        groups = {_key(search, name) for name in names}
        if 2 * classes < len(groups) <= 0.8 * len(names):
            return pattern
    return None


def _key(search: re.Pattern[str], name: str) -> str | None:
    match = search.search(name)
    return match[1] if match else None


def share_of_split(pairs: Sequence[NearPair], split: str, total: int) -> str:
    """How much of a split nearly equals images of others, with examples, for people."""
    full = {"val": "validation", "train": "training"}
    others = " or ".join(dict.fromkeys(full.get(pair.split, pair.split) for pair in pairs))
    examples = ", ".join(f"{on_one_line(p.sample.name)} ≈ {on_one_line(p.other.name)} ({p.split})" for p in pairs[:3])
    equal = "equals" if len(pairs) == 1 else "equal"
    article = "a test" if others.startswith("test") else f"a {others}"
    images = counted(total, f"{full.get(split, split)} image")
    return f"{len(pairs):,} of {images} ({len(pairs) / total:.0%}) nearly {equal} {article} image: {examples}" + (
        ", …" if len(pairs) > 3 else ""
    )
