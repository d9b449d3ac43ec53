"""Temperature scaling: one number that makes probabilities mean what they say, and what it changes on new images.

Knows logits and labels only, so that it serves a network of any origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.confidence import Calibration
from clsbench.errors import DataError, ModelError
from clsbench.evaluation.metrics.calibration import reliability
from clsbench.predictions.block import Predictions
from clsbench.text import counted

#: The fewest images in all, and for each class on average.
FEWEST, PER_CLASS = 20, 2

#: Held-out folds.
FOLDS = 5

#: Temperatures that are looked through. A network of 100 says nothing, and one of 1/100 is never wrong.
COLDEST, HOTTEST = 0.01, 100.0

#: How often images are redrawn, and at how many temperatures the loss of each image is known for that.
RESAMPLES, GRID = 1000, 49

#: Logits that are taken at a time.
VALUES = 1 << 22

#: The ends of an interval.
Interval = tuple[float, float]

MORE = "name more images, in class folders, with --calibrate-images DIR"


@dataclass(frozen=True)
class LabelledLogits:
    """What a model says of images whose class is known.

    Args:
        logits: float32 (N, K), finite.
        labels: int64 (N,), the true classes.
        unreadable: Images that were left out because they could not be read.

    Raises:
        ModelError: if logits are not finite.
        DataError: if there are too few images to say anything.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    unreadable: int = 0

    def __post_init__(self) -> None:
        count, classes = self.logits.shape
        if not np.isfinite(self.logits).all():
            raise ModelError("the model gives logits that are not finite numbers, so nothing can be calibrated")
        if count < (fewest := max(FEWEST, PER_CLASS * classes)):
            left_out = f", and {self.unreadable:,} that cannot be read" if self.unreadable else ""
            raise DataError(
                "too few labelled images to calibrate with", got=f"{counted(count, 'image')}{left_out}",
                expected=f"at least {fewest:,} for {counted(classes, 'class')}", hint=MORE,
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Logits and labels of some images."""
        return self.logits[rows], self.labels[rows]


def best_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature at which the mean of -ln p(true class) is smallest.

    Source: C. Guo et al., On calibration of modern neural networks, ICML (2017), arXiv:1706.04599, section 4.2. The
    loss is convex in the inverse of the temperature, so that it has one minimum, found by Brent's bounded method.

    Args:
        logits: float32 (N, K).
        labels: int64 (N,).

    Raises:
        DataError: if all images are classified correctly: the colder, the better.
        ModelError: if the logits say nothing of the classes: the hotter, the better.
    """
    from scipy.optimize import minimize_scalar

    own = logits[np.arange(len(labels)), labels]
    if (own >= logits.max(axis=1)).all():
        raise DataError(
            "every image is classified correctly, so that no temperature is the best: the colder, the better",
            got=f"{counted(len(labels), 'image')}, none of them wrong",
            hint=f"{MORE}, also difficult ones, or export without --calibrate",
        )  # fmt: skip
    bounds = float(np.log(COLDEST)), float(np.log(HOTTEST))
    found = minimize_scalar(
        lambda log_t: losses(logits, labels, np.exp(log_t)).mean(), bounds=bounds, method="bounded",
        options={"xatol": 1e-5},
    )  # fmt: skip
    if min(found.x - bounds[0], bounds[1] - found.x) < 1e-2:
        right = int((logits.argmax(axis=1) == labels).sum())
        raise ModelError(
            "no temperature makes sense of these logits",
            got=f"the best one is beyond {COLDEST if found.x < 0 else HOTTEST:g}, and {right:,} of "
            f"{counted(len(labels), 'image')} are classified correctly",
            expected="a model that is right more often than chance",
            hint="do the labels fit the classes of the model? clsbench evaluate tells",
        )  # fmt: skip
    return float(np.exp(found.x))


def calibrate(known: LabelledLogits, *, seed: int = 0) -> tuple[float, Calibration]:
    """Fit one temperature, and measure on held-out folds what it changes.

    Args:
        known: N images.
        seed: Of the folds and of the bootstrap.

    Returns:
        The temperature of all images, and its record.

    Raises:
        DataError, ModelError: as :func:`best_temperature`.
    """
    logits, labels = known.logits, known.labels
    temperature = best_temperature(logits, labels)
    of_image = held_out_temperatures(known, temperature, seed=seed)
    before, after = losses(logits, labels, 1.0), losses(logits, labels, of_image)
    right = logits.argmax(axis=1) == labels
    ece_before, ece_after = (reliability(confidences(logits, t), right).ece for t in (1.0, of_image))
    of_temperature, of_change = intervals(logits, labels, temperature, seed=seed)
    return temperature, Calibration(
        images=len(known), folds=FOLDS, unreadable=known.unreadable, temperature_interval=of_temperature,
        log_loss_before=float(before.mean()), log_loss_after=float(after.mean()),
        log_loss_change=of_change, ece_before=ece_before, ece_after=ece_after,
    )  # fmt: skip


def fold_of(labels: NDArray[np.int64], *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """int64 (N,): the fold of each image, 0 to ``folds`` - 1; each has the same share of every class, within one image.

    Unlike scikit-learn's ``StratifiedKFold`` it takes classes of fewer images than folds.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


def held_out_temperatures(known: LabelledLogits, temperature: float, *, seed: int = 0) -> NDArray[np.float64]:
    """float64 (N,): for each image the temperature that was fitted on the other folds.

    Where those are all classified correctly, which has no best temperature, it is the one of all images.
    """
    fold, found = fold_of(known.labels, seed=seed), np.full(len(known), temperature)
    for k in range(FOLDS):
        try:
            found[fold == k] = best_temperature(*known.take(fold != k))
        except (DataError, ModelError):
            continue
    return found


def losses(
    logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64 (N,): -ln p(true class), in nats, from logits (N, K), at one temperature or one for each image."""
    found, scale = np.empty(len(labels)), np.broadcast_to(np.asarray(temperature, np.float64), len(labels))
    step = max(1, VALUES // logits.shape[1])
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        shifted = (logits[part] - logits[part].max(axis=1, keepdims=True)) / scale[part, None]
        own = shifted[np.arange(len(shifted)), labels[part]]
        found[part] = np.log(np.exp(shifted, out=shifted).sum(axis=1)) - own
    return found


def confidences(logits: NDArray[np.float32], temperature: float | NDArray[np.float64]) -> NDArray[np.float32]:
    """float32 (N,): the probability of the best class, as a predictions file has it before it is rounded."""
    found, scale = np.empty(len(logits), np.float32), np.broadcast_to(temperature, len(logits))
    for one in np.unique(scale):
        rows = np.flatnonzero(scale == one)
        count = len(rows)
        block = Predictions([""] * count, logits[rows], [None] * count, temperature=float(one))
        found[rows] = block.probabilities.max(axis=1)
    return found


def intervals(
    logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float, *, seed: int = 0
) -> tuple[Interval, Interval]:
    """The bootstrap's 95 % intervals of the best temperature, and of the change of the log loss of new images.

    Sources: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 17; H. Noma et al.,
    Confidence intervals of prediction accuracy measures based on the bootstrap-based optimism correction methods,
    Statistics in Medicine 40 (2021). The images are redrawn and the temperature fitted to them each time; the interval
    of the change on the redrawn images is moved by its optimism: by how much it is lower than that of the images they
    were drawn from, at the same temperature. Redrawing adds half of that once more. For 60 to 1,000 images the second
    interval holds the true change in 89 to 98 % of cases (benchmarks/calibration.py); the bootstrap of held-out losses
    that takes their temperatures as given does in as few as 60 %.

    The loss of each image is computed once at :data:`GRID` temperatures, six standard errors to each side, so that
    redrawing needs sums only; a parabola through the three smallest sums finds the minimum between two temperatures.

    Args:
        logits: float32 (N, K).
        labels: int64 (N,).
        temperature: The best one of all images.
        seed: Of the redrawing.
    """
    grid = _temperatures(logits, labels, temperature)
    of_grid = np.stack([losses(logits, labels, np.exp(t)) for t in grid], axis=1)
    of_grid -= losses(logits, labels, 1.0)[:, None]
    random, count = np.random.default_rng(seed), len(labels)
    best, change, optimism = np.empty(RESAMPLES), np.empty(RESAMPLES), np.empty(RESAMPLES)
    whole = of_grid.mean(axis=0)
    for k in range(RESAMPLES):
        weights = np.bincount(random.integers(0, count, count), minlength=count)
        sums = weights @ of_grid / count
        at = int(sums.argmin())
        best[k], change[k], optimism[k] = _minimum(grid, sums), sums[at], sums[at] - whole[at]
    low, high = np.exp(np.quantile(best, [0.025, 0.975]))
    least, most = np.quantile(change, [0.025, 0.975]) - 1.5 * optimism.mean()
    return (float(low), float(high)), (float(least), float(most))


def _temperatures(logits: NDArray[np.float32], labels: NDArray[np.int64], best: float) -> NDArray[np.float64]:
    """float64 (GRID,): logarithms of temperatures around the best one, as far as chance may take it."""
    step = 1e-3
    low, mid, high = (losses(logits, labels, best * np.exp(d)) for d in (-step, 0.0, step))
    slope, curve = (high - low) / (2 * step), max(float((high - 2 * mid + low).mean()) / step**2, 1e-12)
    error = float(np.sqrt((slope**2).mean() / len(labels)) / curve)  # P. Huber's sandwich
    grid = np.log(best) + np.linspace(-6, 6, GRID) * max(error, 1e-6)
    return np.asarray(np.clip(grid, np.log(COLDEST), np.log(HOTTEST)))


def _minimum(grid: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Where a parabola through the smallest of some values and its neighbours is lowest."""
    least = int(values.argmin())
    at = min(max(least, 1), len(grid) - 2)
    left, middle, right = values[at - 1 : at + 2]
    bend = left - 2 * middle + right
    shift = np.clip((left - right) / (2 * bend), -1, 1) if bend > 0 else float(least - at)
    return float(grid[at] + shift * (grid[at + 1] - grid[at]))
