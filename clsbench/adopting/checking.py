"""``adopt --check``: which preprocessing was it? Candidate transforms are tried on images, and the data answers.

Trying all candidates on all images would take minutes where most of them are hopeless, so they race: after the first
few images, and each time that their number has doubled, those that are shown to be worse than the best are dropped.
Sources: O. Maron, A. Moore, Hoeffding Races, NIPS 1993; M. Birattari et al., F-Race, GECCO 2002. The test is the
one that decides at the end, at a level that allows for every look (:func:`clsbench.adopting.candidate_scores.level`).

An image is decoded once, and resized once for each geometry that is still in the race.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clsbench.adopting.candidate_scores import ImageScores, joined, level, p_worse, place, score
from clsbench.adopting.candidates import Candidate
from clsbench.adopting.transform_check import TransformCheck, checked
from clsbench.errors import ClsbenchError, DataError, PluginError
from clsbench.images.decoders import Decoder
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.machine import available_cores
from clsbench.text import counted
from clsbench.transform import ImageTransform

#: Images tried at most: they tell apart what differs by a few points of accuracy, in a minute or two.
MAX_IMAGES = 500

#: Images before the first look. Fewer could not show a candidate among a hundred to be worse.
FIRST_LOOK = 32

#: Images decoded together, and images a call of the network.
BATCH = 16

#: uint8 (N, h, w, 3), RGB, and the transform that says how to normalise them -> float32 (N, K).
Logits = Callable[[NDArray[np.uint8], ImageTransform], NDArray[np.float32]]


class Progress(Protocol):
    """What hears how it goes; an Observer is one."""

    def note(self, text: str) -> None:
        """Something that the user should be able to read."""

    def stage(self, name: str, total: int | None = None) -> None:
        """So many images are to be read."""

    def advance(self, count: int, errors: int = 0) -> None:
        """So many of them are done; ``errors`` of these cannot be read."""


@dataclass(eq=False)
class _Runner:
    """A candidate in the race, and how it did on each batch."""

    candidate: Candidate
    parts: list[ImageScores] = field(default_factory=list)

    def scores(self) -> ImageScores:
        if len(self.parts) > 1:
            self.parts = [joined(self.parts)]
        return self.parts[0]


def check_transforms(
    logits: Logits,
    entries: Sequence[Entry],
    labels: NDArray[np.int64] | None,
    candidates: Sequence[Candidate],
    *,
    progress: Progress,
    decoders: Sequence[Decoder] = (),
    limit: int = MAX_IMAGES,
    seed: int = 0,
) -> TransformCheck:
    """Try candidate transforms on images.

    Args:
        logits: The network; what it gives for a transform must not depend on the batch.
        entries: The images.
        labels: int64 (N,), 0 to K - 1, or -1 for an image that is left out; None if none is known.
        candidates: One or more, in an order that decides where they do equally well.
        progress: Hears how it goes.
        decoders: Tried before the built-in ones.
        limit: Images tried at most, an even choice from the classes.
        seed: Of the choice.

    Raises:
        DataError: if no image can be read, or none is labelled.
        ClsbenchError: whatever ``logits`` raised.
    """
    order = chosen(len(entries), labels, limit, seed)
    if not len(order):
        raise DataError("there are no labelled images to check transforms on", got=counted(len(entries), "image"))
    runners, marks = [_Runner(candidate) for candidate in candidates], looks(len(order))
    strict = level((len(candidates) - 1) * len(marks))
    views = _Views(candidates[0].transform, decoders)
    progress.stage("checking", len(order))
    done, alive, read = 0, runners, 0
    with ThreadPoolExecutor(available_cores()) as pool:
        for mark in marks:
            for start in range(done, mark, BATCH):
                batch = order[start : min(start + BATCH, mark)]
                images, kept = views.load(pool, [entries[k] for k in batch], alive)
                if len(kept):
                    _run(logits, alive, images, None if labels is None else labels[batch[kept]])
                read += len(kept)
                progress.advance(len(batch), len(batch) - len(kept))
            done = mark
            if read and mark < len(order):
                alive = _survivors(alive, strict)
                progress.note(f"{counted(read, 'image')}: {counted(len(alive), 'candidate')} of {len(runners)} left")
    if not read:
        raise DataError("none of the images can be read", got=views.reason, hint="name a folder of images")
    return _result(runners, alive, strict, labels is not None, (len(entries), len(order)))


def chosen(count: int, labels: NDArray[np.int64] | None, limit: int, seed: int = 0) -> NDArray[np.int64]:
    """Positions of at most ``limit`` images in random order, every beginning of which has all classes in proportion."""
    random, positions = np.random.default_rng(seed), np.arange(count)
    if labels is None:
        return random.permutation(positions)[:limit]
    keys = np.empty(count)
    for label in np.unique(labels[labels >= 0]):
        members = random.permutation(positions[labels == label])
        keys[members] = (np.arange(len(members)) + random.random()) / len(members)
    labelled = positions[labels >= 0]
    return labelled[np.argsort(keys[labelled], kind="stable")][:limit]


def looks(total: int) -> list[int]:
    """After how many images the candidates are compared: 32, twice that and so on, and at the end.

    >>> looks(500), looks(20)
    ([32, 64, 128, 256, 500], [20])
    """
    marks = []
    mark = FIRST_LOOK
    while mark < total:
        marks.append(mark)
        mark *= 2
    return [*marks, total]


class _Views:
    """Images as the candidates want them: decoded once, resized once for each geometry."""

    def __init__(self, base: ImageTransform, decoders: Sequence[Decoder]) -> None:
        self._decoders = decoders
        self._source = ImageLoader(base, decoders)
        self._loaders: dict[Hashable, ImageLoader] = {}
        #: Why an image could not be read, if one could not.
        self.reason: str | None = None

    def load(
        self, pool: ThreadPoolExecutor, entries: Sequence[Entry], runners: Iterable[_Runner]
    ) -> tuple[Mapping[Hashable, NDArray[np.uint8]], NDArray[np.int64]]:
        """The images by geometry, each uint8 (n, h, w, 3), and the positions of those that can be read, int64 (n,)."""
        transforms = {geometry_of(runner.candidate.transform): runner.candidate.transform for runner in runners}
        for key, transform in transforms.items():
            if key not in self._loaders:
                self._loaders[key] = ImageLoader(transform, self._decoders)
        found = list(pool.map(lambda entry: self._views(entry, list(transforms)), entries))
        kept = [k for k, views in enumerate(found) if views is not None]
        images = {key: np.stack([found[k][n] for k in kept]) for n, key in enumerate(transforms)} if kept else {}  # type: ignore[index]
        return images, np.array(kept, np.int64)

    def _views(self, entry: Entry, keys: Sequence[Hashable]) -> list[NDArray[np.uint8]] | None:
        try:
            pixels = self._source.pixels(entry)
        except PluginError:
            raise
        except ClsbenchError as error:
            self.reason = self.reason or error.one_line()
            return None
        views = []
        for key in keys:
            loader = self._loaders[key]
            view = np.empty((*loader.transform.size, 3), np.uint8)
            loader.fit(pixels, view)
            views.append(view)
        return views


def geometry_of(transform: ImageTransform) -> Hashable:
    """What two transforms must have in common to see the same pixels."""
    pad = transform.padding if transform.resize == "letterbox" else None
    grey = transform.color == "L"
    return transform.size, transform.resize, transform.crop_fraction, transform.interpolation, grey, pad


def _run(
    logits: Logits,
    runners: Iterable[_Runner],
    images: Mapping[Hashable, NDArray[np.uint8]],
    labels: NDArray[np.int64] | None,
) -> None:
    for runner in runners:
        transform = runner.candidate.transform
        runner.parts.append(score(logits(images[geometry_of(transform)], transform), labels))


def _survivors(runners: Sequence[_Runner], limit: float) -> list[_Runner]:
    """Those that are not shown to be worse than the best of them."""
    leader = min((runner.scores() for runner in runners), key=place)
    return [runner for runner in runners if p_worse(leader, runner.scores()) >= limit]


def _result(
    runners: Sequence[_Runner], alive: Sequence[_Runner], limit: float, labelled: bool, counts: tuple[int, int]
) -> TransformCheck:
    """All candidates: those that are left at the end, then those that were dropped, the last of them first.

    ``counts`` are the images there were and those that were chosen.
    """

    def key(runner: _Runner) -> tuple[float, ...]:
        scores = runner.scores()
        return -len(scores), *place(scores)

    left = sorted(alive, key=key)
    best = left[0].scores()
    dropped = sorted((runner for runner in runners if runner not in left), key=key)
    found = [
        checked(runner.candidate, runner.scores(), best, limit=limit if runner in alive else None)
        for runner in (*left, *dropped)
    ]
    images, available = len(best), counts[0]
    return TransformCheck(
        candidates=tuple(found), labelled=labelled, images=images, available=available, unreadable=counts[1] - images
    )
