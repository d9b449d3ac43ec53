"""The reliability diagram as coordinates of an SVG."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from clsbench.evaluation.metrics.calibration import BINS, PER_BIN, Reliability, ReliabilityBin
from clsbench.evaluation.report.formats import count, fixed
from clsbench.text import counted

#: The plot's left, top and side; top and height of the curve below it; in SVG units.
LEFT, TOP, SIDE, BARS, HEIGHT = 56.0, 10.0, 370.0, 452.0, 80.0


@dataclass(frozen=True)
class Tick:
    """A mark on both axes: where, and what is written there."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Bin:
    """A bin: its point, its interval, and its bar.

    Args:
        x: Mean confidence.
        y: Accuracy.
        top: Upper end of the interval.
        bottom: Lower end.
        text: All of it in words.
    """

    x: float
    y: float
    top: float
    bottom: float
    text: str


@dataclass(frozen=True)
class Diagram:
    """What the template draws.

    Args:
        ticks: The same on both axes.
        bins: Least confident first.
        remaining: Points of the curve below: the share of the images that have at least a confidence.
    """

    ticks: tuple[Tick, ...]
    bins: tuple[Bin, ...]
    remaining: tuple[tuple[float, float], ...]


def first_confidence(reliability: Reliability) -> float:
    """Where the axes of a reliability diagram begin: below everything in it, a multiple of 0.1."""
    least = min(min(row.start, row.low) for row in reliability.rows)
    return min(0.9, math.floor(10 * least + 1e-9) / 10)


def remaining(reliability: Reliability, start: float) -> list[tuple[float, float]]:
    """Confidences from ``start`` on, and the share of the images that have at least so much.

    Within a bin half of its images are taken to be below its mean: a straight line through the one bin of a few
    images would say that they are spread evenly, where most are near 1.
    """
    total = left = reliability.total
    points = [(start, 1.0)]
    for row in reliability.rows:
        points.append((row.start, left / total))
        points.append((row.confidence, (left - row.count / 2) / total))
        left -= row.count
        points.append((row.end, left / total))
    return points


def bins_text(reliability: Reliability) -> str:
    """How many bins there are, and from how many images on there would be more."""
    bins = counted(len(reliability.rows), "bin")
    if not reliability.has_few_bins:
        return bins
    more = f"{BINS} need {BINS * PER_BIN} images"
    if reliability.total < 2 * PER_BIN:
        return f"{bins}: 2 need {2 * PER_BIN} images, {more}"
    return f"{bins} of {PER_BIN} images or more: {more}"


def diagram(reliability: Reliability) -> Diagram:
    """Lay out a reliability diagram."""
    start = first_confidence(reliability)

    def along(value: float) -> float:
        return SIDE * (value - start) / (1.0 - start)

    bins = tuple(_bin(row, along, reliability.total) for row in reliability.rows)
    ticks = tuple(Tick(LEFT + along(v), TOP + SIDE - along(v), f"{v:.2f}") for v in _marks(start))
    curve = tuple((LEFT + along(x), BARS + HEIGHT * (1 - share)) for x, share in remaining(reliability, start))
    return Diagram(ticks, bins, curve)


def _marks(start: float) -> list[float]:
    """Round numbers from ``start`` to 1, both included."""
    parts = round(10 * (1 - start))
    step = {1: 0.02, 2: 0.05, 3: 0.05, 8: 0.2, 10: 0.2}.get(parts, 0.1)
    return [round(start + k * step, 2) for k in range(round((1 - start) / step) + 1)]


def _bin(row: ReliabilityBin, along: Callable[[float], float], total: int) -> Bin:
    words = (
        f"confidence {fixed(row.start)} to {fixed(row.end)}, {fixed(row.confidence)} on average; "
        f"accuracy {fixed(row.accuracy)} ({fixed(row.low)} to {fixed(row.high)}); "
        f"{counted(row.count, 'image')} of {count(total)}"
    )
    return Bin(
        x=LEFT + along(row.confidence),
        y=TOP + SIDE - along(row.accuracy),
        top=TOP + SIDE - along(row.high),
        bottom=TOP + SIDE - along(row.low),
        text=words,
    )
