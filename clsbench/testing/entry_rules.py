"""What datasets and sources share: images that can be read, from threads and in other processes."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from clsbench.images.entries import Content, Entry
from clsbench.images.loader import ImageLoader
from clsbench.testing.rules import require
from clsbench.text import some
from clsbench.transform import ImageTransform

#: How many images are read, spread evenly.
SOME = 16

THREADS = 4


def spread_evenly(entries: Sequence[Entry]) -> list[Entry]:
    """A few of many entries, the first and the last among them."""
    return [entries[k] for k in np.unique(np.linspace(0, len(entries) - 1, min(SOME, len(entries))).astype(int))]


def check_names(names: Sequence[object], where: str) -> None:
    """Names are text, and unique."""
    odd = [name for name in names if not isinstance(name, str) or not name]
    require(not odd, f"names that are no text in {where}: {odd[:3]}")
    twice = [str(name) for name, count in Counter(names).items() if count > 1]
    require(not twice, f"names that repeat in {where}: {some(twice)}")


def check_readable(entries: Sequence[Entry]) -> None:
    """Entries give encoded images, or pixels, that the loader takes."""
    loader = ImageLoader(ImageTransform(size=(2, 2)))
    for entry in spread_evenly(entries):
        loader(entry)


def check_picklable(entries: Sequence[Entry]) -> None:
    """Entries go through pickle, and give the same afterwards."""
    for entry in spread_evenly(entries):
        try:
            again = pickle.loads(pickle.dumps(entry))
        except Exception as error:
            raise AssertionError(f"{entry.name} cannot be pickled: {error}") from error
        require(again.name == entry.name, f"{entry.name} is called {again.name} after pickling")
        require(_same(again.read(), entry.read()), f"{entry.name} reads differently after pickling")


def check_threads(entries: Sequence[Entry]) -> None:
    """Entries give the same from several threads at once as from one."""
    chosen = spread_evenly(entries)
    right = [entry.read() for entry in chosen]
    together = threading.Barrier(THREADS)

    def read(thread: int) -> list[Content]:
        together.wait()
        order = [(k + thread) % len(chosen) for k in range(len(chosen))]
        found = {k: chosen[k].read() for k in order}
        return [found[k] for k in range(len(chosen))]

    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(read, range(THREADS)):
            wrong = [entry.name for entry, one, two in zip(chosen, found, right, strict=True) if not _same(one, two)]
            require(not wrong, f"read differently from another thread: {some(wrong)}")


def _same(one: Content, other: Content) -> bool:
    if isinstance(one, bytes) or isinstance(other, bytes):
        return type(one) is type(other) and one == other
    return np.array_equal(one, other)
