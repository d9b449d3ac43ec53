"""Plots of an evaluation: confusion.png, reliability.png, and accuracy against throughput.

Names are drawn as they are, never as mathematics, and cut where they are long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.calibration import Reliability
from clsbench.evaluation.metrics.confusion import DENSE, Confusion
from clsbench.evaluation.report.diagram import bins_text, first_confidence, remaining
from clsbench.evaluation.report.formats import figure as written
from clsbench.evaluation.report.formats import percent, shown, told_apart
from clsbench.images.figures import save_figure
from clsbench.predictions.values import Absent
from clsbench.text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

#: Up to so many classes the confusion matrix is a square (as on the page), and its cells have percentages.
SQUARE, PERCENTAGES = DENSE, 12

#: Bars of the largest confusions, and characters of a name: as many as the longest breed of Oxford's pets has.
BARS, NAME = 30, 28

#: The throughput of a predictions file.
RATE = "images/s of infer, end to end"

#: Right and wrong, told apart by the colour-blind too.
RIGHT, WRONG = "#0b62b0", "#b5470b"


#: The files that :func:`save_plots` draws.
PLOTS = ("confusion.png", "reliability.png")


def save_plots(evaluation: Evaluation, folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Draw ``confusion.png`` and ``reliability.png``.

    Args:
        evaluation: With what they show.
        folder: Where; made if it is not there.

    Yields:
        Each file, and why it was not drawn, if it was not.
    """
    confusion = evaluation.find("confusion", Confusion)
    if isinstance(confusion, Confusion):
        save_confusion(confusion, folder / "confusion.png")
    yield folder / "confusion.png", confusion.reason if isinstance(confusion, Absent) else None
    reliability = evaluation.find("reliability", Reliability)
    if isinstance(reliability, Reliability):
        save_reliability(reliability, folder / "reliability.png")
    yield folder / "reliability.png", reliability.reason if isinstance(reliability, Absent) else None


def save_confusion(confusion: Confusion, file: Path, *, kind: str = "image") -> None:
    """Draw the confusion matrix; with more than :data:`SQUARE` classes its largest mistakes as bars.

    Args:
        confusion: From :func:`clsbench.evaluation.metrics.confusion.confusion`.
        file: The PNG; folders above it are made.
        kind: What the images are, in the title: ``"validation image"`` of a run.
    """
    classes = told_apart(confusion.classes, NAME)
    draw = _square if len(classes) <= SQUARE else _bars
    draw(confusion, classes, counted(int(confusion.support.sum()), kind), file)


def save_reliability(reliability: Reliability, file: Path, *, kind: str = "image") -> None:
    """Draw the reliability diagram: the accuracy of each bin over its mean confidence, with its interval.

    Args:
        reliability: From :func:`clsbench.evaluation.metrics.calibration.reliability`.
        file: The PNG; folders above it are made.
        kind: What the images are, in the title.
    """
    rows, start = reliability.rows, first_confidence(reliability)
    with _figure(file, 5.2, 6.6) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        above.plot([start, 1], [start, 1], color="grey", linestyle=":", linewidth=1, label="perfectly calibrated")
        spans = [[row.accuracy - row.low for row in rows], [row.high - row.accuracy for row in rows]]
        x, y = [row.confidence for row in rows], [row.accuracy for row in rows]
        above.errorbar(
            x, y, yerr=np.maximum(spans, 0), fmt="o", markersize=5, linewidth=1.5, color=RIGHT,
            label="accuracy of a bin, with its 95% interval",
        )  # fmt: skip
        above.set(ylabel="accuracy", xlim=(start, 1.01), ylim=(start, 1.01), aspect="equal")
        above.legend(fontsize=8, loc="best")
        title = f"reliability: ECE {written(reliability.ece)}, {counted(reliability.total, kind)}"
        above.set_title(f"{title}\n{bins_text(reliability)}", fontsize=10)
        borders, shares = zip(*remaining(reliability, start), strict=True)
        left = [100 * share for share in shares]
        below.fill_between(borders, left, color=RIGHT, alpha=0.3, linewidth=0)
        below.plot(borders, left, color=RIGHT, linewidth=1)
        below.set(xlabel="confidence", ylabel="% of images\nat or above", ylim=(0, 105))
        for axes in (above, below):
            axes.grid(alpha=0.3)


def save_accuracy_throughput(
    points: Sequence[tuple[str, float, float, float, float]], file: Path, *, what: str = "top-1", rate: str = RATE
) -> None:
    """Draw accuracy over throughput; models that no other beats in both are filled and joined.

    Args:
        points: Of each model the name, its accuracy and the interval (low, high), fractions, and images a second.
        file: The PNG; folders above it are made.
        what, rate: The accuracy and the throughput, on their axes.

    Raises:
        DataError: if there is no model.
    """
    if not points:
        raise DataError("no model has a known throughput", where=file)
    from matplotlib.ticker import LogLocator, NullFormatter

    best, speeds, labels = _unbeaten(points), [speed for *_, speed in points], []
    with _figure(file, 7, 5.2) as figure:
        axes = figure.subplots()
        front = sorted((speed, 100 * accuracy) for k, (_, accuracy, _, _, speed) in enumerate(points) if k in best)
        axes.plot(*zip(*front, strict=True), color=RIGHT, linewidth=1, alpha=0.5, linestyle="--")
        for k, (name, accuracy, low, high, speed) in enumerate(points):
            span = [[100 * max(0.0, accuracy - low)], [100 * max(0.0, high - accuracy)]]
            fill = RIGHT if k in best else "white"
            axes.errorbar(
                speed, 100 * accuracy, yerr=span, fmt="o", color=RIGHT, mfc=fill, capsize=3, linewidth=1.2, zorder=3
            )
            place = (speed, 100 * max(high, accuracy))
            labels.append(axes.annotate(
                shown(name, NAME), place, (0, 4), textcoords="offset points", ha="center", fontsize=9, parse_math=False,
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            ))  # fmt: skip
        if 0 < 8 * min(speeds) < max(speeds):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
            axes.xaxis.set_major_formatter(lambda speed, _: f"{speed:,.4g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.25, y=0.15)
        axes.set_xlabel(rate)
        axes.set_ylabel(f"{shown(what, 2 * NAME)} (%), with 95% interval", parse_math=False)
        axes.set_title(f"{'accuracy' if what == 'top-1' else 'agreement'} and throughput", fontsize=11)
        axes.grid(alpha=0.3, which="both")
        _explain(figure, filled=bool(best), hollow=len(best) < len(points))
        _raise_labels(figure, axes, labels)


def _raise_labels(figure: Figure, axes: Axes, labels: Sequence[Annotation]) -> None:
    """Move names up until none lies on another, and the upper end of the axes with them."""
    figure.draw_without_rendering()
    placed: list[Bbox] = []
    for label in sorted(labels, key=lambda each: each.get_window_extent().y0):
        box = label.get_window_extent()
        while under := [other for other in placed if box.overlaps(other)]:
            box = box.translated(0, max(other.y1 for other in under) + 1 - box.y0)
        raised = (box.y0 - label.get_window_extent().y0) * 72 / figure.dpi
        label.set_position((0, 4 + raised))
        placed.append(box)
    frame, (low, high) = axes.get_window_extent(), axes.get_ylim()
    if (over := max(box.y1 for box in placed) + 4 - frame.y1) > 0:  # pixels, which do not grow with the axes
        axes.set_ylim(low, low + (high - low) * frame.height / (frame.height - over))


def _explain(figure: Figure, *, filled: bool, hollow: bool) -> None:
    """What the dots of accuracy and throughput mean, below them."""
    from matplotlib.lines import Line2D

    dots = []
    if filled:
        words = "measured: no other is both as accurate and as fast"
        dots.append(Line2D([], [], color=RIGHT, marker="o", linestyle="--", linewidth=1, label=words))
    if hollow:
        words = "measured: another is as accurate and as fast, or better"
        dots.append(Line2D([], [], color=RIGHT, marker="o", mfc="white", linestyle="", label=words))
    figure.legend(handles=dots, loc="outside lower center", fontsize=8, ncols=2, frameon=False)


@contextmanager
def _figure(file: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure that is saved in the end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    yield figure
    save_figure(figure, file, dpi=120)


def _square(confusion: Confusion, classes: list[str], images: str, file: Path) -> None:
    """Counts where they fit, and for few classes percentages of the row; blue is right, orange a mistake."""
    count, cells, support = len(classes), confusion.cells.tolist(), confusion.support.tolist()
    few = count <= PERCENTAGES
    side, size = (0.62, 8) if few else (0.42, 7) if count <= 30 else (0.32, 6)  # inches of a cell, points of its text
    inches = max(3.2, side * count)
    with _figure(file, inches + 2.2, inches + 2.0) as figure:
        axes = figure.subplots()
        shares = np.full((2, count, count), np.nan)
        for label, predicted, times in cells:
            shares[int(label != predicted), label, predicted] = np.sqrt(times / support[label])
        for layer, colours in zip(shares, ("Blues", "Oranges"), strict=True):
            axes.imshow(layer, cmap=colours, vmin=0, vmax=1.25)
        for label, predicted, times in cells:
            share, text = times / support[label], f"{times:,}"
            if len(text) * 0.62 * size > 72 * side:  # a digit is that wide; the colour tells, and the page has it
                continue
            axes.text(
                predicted, label, f"{text}\n{percent(share)}" if few else text, ha="center", va="center", fontsize=size,
                color="white" if share > 0.6 else "black",
            )  # fmt: skip
        slant, beside = (45, "right") if few else (90, "center")
        axes.set_xticks(range(count), classes, rotation=slant, ha=beside, fontsize=8, parse_math=False)
        axes.set_yticks(range(count), classes, fontsize=8, parse_math=False)
        axes.set(xlabel="predicted", ylabel="true")
        if not few:  # lines that lead the eye from a cell to its two names
            axes.set_xticks(np.arange(count) - 0.5, minor=True)
            axes.set_yticks(np.arange(count) - 0.5, minor=True)
            axes.grid(which="minor", color="#e4e4e4", linewidth=0.5)
            axes.tick_params(which="minor", length=0)
        axes.set_title(_title(confusion, f"confusion matrix of {images}"), fontsize=11)


def _bars(confusion: Confusion, classes: list[str], images: str, file: Path) -> None:
    """The largest mistakes, most frequent on top."""
    wrong, left_out = _frequent(confusion)
    support = confusion.support.tolist()
    with _figure(file, 8.5, 1.4 + 0.24 * max(4, len(wrong))) as figure:
        axes = figure.subplots()
        axes.set_title(_title(confusion, f"largest confusions of {len(classes):,} classes, {images}"), fontsize=11)
        if not len(wrong):
            axes.set_axis_off()
            axes.text(0.5, 0.5, left_out or "no mistakes", ha="center", va="center")
            return
        places = np.arange(len(wrong))
        axes.barh(places, wrong[:, 2], color=WRONG, alpha=0.75)
        names = [f"{classes[label]} → {classes[predicted]}" for label, predicted, _ in wrong.tolist()]
        axes.set_yticks(places, labels=names, fontsize=8, parse_math=False)
        for place, (label, _, times) in zip(places.tolist(), wrong.tolist(), strict=True):
            axes.annotate(
                f"{times:,} of {support[label]:,}",
                (times, place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.margins(x=0.25)
        axes.set_ylim(max(4, len(wrong)) - 0.4, -0.6)  # the first on top
        axes.set(xlabel="images, of those of the true class" + (f"\nleft out: {left_out}" if left_out else ""))
        axes.set(ylabel="true → predicted")
        _whole_numbers(axes)


def _frequent(confusion: Confusion) -> tuple[NDArray[np.int64], str]:
    """The mistakes that are more frequent than those left out, and how often those were made, in words.

    Equals are shown all or not at all, since chance has ordered them; those made once are never shown.
    """
    wrong = confusion.mistakes
    least = max(1, int(wrong[BARS, 2])) if len(wrong) > BARS else 1
    shown = wrong[wrong[:, 2] > least]
    if len(shown) == len(wrong):
        return shown, ""
    often = "once" if least == 1 else f"{least:,} times or less" if (wrong[:, 2] < least).any() else f"{least:,} times"
    return shown, f"{counted(len(wrong) - len(shown), 'pair')} of classes confused {often}"


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _title(confusion: Confusion, what: str) -> str:
    return f"{what}; top-1 {percent(confusion.accuracy.value)}"


def _unbeaten(points: Sequence[tuple[str, float, float, float, float]]) -> set[int]:
    """Positions of models that no other beats in accuracy and in throughput."""

    def beaten(k: int) -> bool:
        accuracy, speed = points[k][1], points[k][4]
        return any(
            other[1] >= accuracy and other[4] >= speed and (other[1] > accuracy or other[4] > speed) for other in points
        )

    return {k for k in range(len(points)) if not beaten(k)}
