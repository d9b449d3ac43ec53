"""Two forms of a network side by side: the model alone and the whole way from files to labels, in turns.

A machine is never quiet, so rates taken one after the other cannot be compared. Here windows of both take turns, a
round gives one ratio, and the median of the rounds counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clsbench.card import ModelCard
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.images.sources.source import reading_threads
from clsbench.inference.backend import Backend, allocate, classify
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.tuning import throughput
from clsbench.machine import available_cores, cpu_name

#: Rounds that are run at least and at most, and within what the last three ratios have to agree.
ROUNDS, MOST_ROUNDS, SPREAD = 3, 7, 0.10


@dataclass
class Rates:
    """Images a second of both, window by window.

    Args:
        parent: Of the file that the other was made of.
        file: Of the other.
    """

    parent: list[float] = field(default_factory=list)
    file: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times as fast the file is: the median over the rounds."""
        return statistics.median(self._ratios)

    @property
    def stable(self) -> bool:
        """Whether the ratios of the last three rounds agree within 10 %."""
        last = self._ratios[-ROUNDS:]
        return len(last) == ROUNDS and max(last) <= (1 + SPREAD) * min(last)

    @property
    def _ratios(self) -> list[float]:
        return [file / parent for file, parent in zip(self.file, self.parent, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Plain values: medians and windows, images a second."""
        medians = {"parent": statistics.median(self.parent), "file": statistics.median(self.file)}
        windows = {"parent_windows": self.parent, "file_windows": self.file}
        return {**medians, "ratio": self.ratio, "stable": self.stable, **windows}


@dataclass(frozen=True)
class Speedup:
    """How much faster a file is than the one that it was made of, on this machine.

    Args:
        model_only: Of the model alone.
        end_to_end: From files to labels.
        processor: Of this machine.
        cores: That were used.
    """

    model_only: Rates
    end_to_end: Rates
    processor: str
    cores: int

    @property
    def least(self) -> float:
        """The smaller of both ratios: the model has to be faster, and somebody has to notice."""
        return min(self.model_only.ratio, self.end_to_end.ratio)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        rates = {"model_only": self.model_only.to_json(), "end_to_end": self.end_to_end.to_json()}
        return {**rates, "processor": self.processor, "cores": self.cores}


def compare_speed(
    parent: Backend,
    file: Backend,
    card: ModelCard,
    entries: Sequence[Entry],
    *,
    window: float = 1.0,
    on_round: Callable[[int], None] = lambda done: None,
) -> Speedup:
    """Measure two backends of one transform in turns.

    Args:
        parent, file: With the models in them, each with the plan that inference takes.
        card: Of either.
        entries: Images for the way from files to labels, used again as often as needed.
        window: Seconds of one window.
        on_round: Called with the number of rounds done.
    """
    found = Speedup(Rates(), Rates(), cpu_name(), available_cores())
    pair = parent, file
    batches = [allocate(backend, (backend.batch_size, *card.transform.size, 3), 1)[0] for backend in pair]
    for backend, batch in zip(pair, batches, strict=True):
        classify(backend, batch, len(card.classes))
    # Uncounted: how many images a window takes is not known before.
    rates = [_whole(backend, card, entries, 4 * backend.batch_size * backend.streams) for backend in pair]
    alone, whole = ((each.parent, each.file) for each in (found.model_only, found.end_to_end))
    for done in range(1, MOST_ROUNDS + 1):
        for k in (0, 1) if done % 2 else (1, 0):
            backend = pair[k]
            alone[k].append(throughput(backend, batches[k], backend.streams, window))
            count = max(2 * backend.batch_size * backend.streams, int(rates[k] * window))
            rates[k] = _whole(backend, card, entries, count)
            whole[k].append(rates[k])
        on_round(done)
        if done >= ROUNDS and found.model_only.stable and found.end_to_end.stable:
            break
    return found


def _whole(backend: Backend, card: ModelCard, entries: Sequence[Entry], count: int) -> float:
    """Images a second from files to labels, of ``count`` images, the entries as often as needed."""
    threads = reading_threads(entries, available_cores())
    pipeline = Pipeline(ImageLoader(card.transform), backend, classes=len(card.classes), decode_threads=threads)
    for _ in pipeline.run([entries[k % len(entries)] for k in range(count)]):
        pass
    assert pipeline.timing is not None
    return pipeline.timing.steady_images_per_second
