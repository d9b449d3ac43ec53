"""What export and verify share: images for the gate with their labels, and a file opened as ``infer`` opens it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import choose
from clsbench.api.labelled import Wanted
from clsbench.api.observer import SilentObserver

if TYPE_CHECKING:
    from clsbench.api.sources import Images
    from clsbench.card import ModelCard
    from clsbench.images.entries import Entry
    from clsbench.inference.backend import Backend


def labelled_images(images: Images, card: ModelCard) -> tuple[Sequence[Entry], Sequence[int] | None, str]:
    """Images as ``infer`` takes them, their labels if all of them lie in class folders, and where they are.

    Raises:
        DataError: if there are none.
    """
    wanted = Wanted(images, unknown="ignore")
    source, truth = wanted.open(choose(wanted.components()), card, (), SilentObserver())
    known = truth.source is not None and min(truth.index, default=-1) >= 0
    return source.entries, truth.index if known else None, source.location


def open_like_infer(file: Path, device: str = "cpu") -> Backend:
    """A model file in the built-in backend, with the plan that ``infer`` takes for a job of a few images.

    Raises:
        ModelError: if the file cannot be used.
    """
    (backend,) = choose({"backend": ["onnxruntime"]})["backend"]
    opened: Backend = backend.offered(tune="cached").build(file, device)
    return opened


@contextmanager
def opened_like_infer(file: Path, device: str = "cpu") -> Iterator[Backend]:
    """The same for the time of a ``with`` block."""
    backend = open_like_infer(file, device)
    try:
        yield backend
    finally:
        backend.close()
