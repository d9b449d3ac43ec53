"""Two models on the same labelled images: which is better, by how much, where, and is it noise?

Model A is the reference and model B the candidate; every difference is B minus A. Files are
read, and matched by path, elsewhere. More than two models are ranked in ranking.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.evaluation.comparison.class_deltas import ClassDelta, class_deltas
from clsbench.evaluation.comparison.equivalence import MARGIN, Equivalence, equivalence
from clsbench.evaluation.comparison.paired import LEVEL, Flips, bootstrap_interval, count_flips, kappa, mcnemar
from clsbench.predictions.values import Proportion
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Answers:
    """What one model said of the N images.

    Args:
        name: What to call the model.
        predicted: int (N,), the best class; -1 where there is no answer, which is wrong.
    """

    name: str
    predicted: NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Comparison(Tabular):
    """Everything said of two models.

    Args:
        a: Name of the reference.
        b: Name of the candidate.
        flips: Where they differ in being right.
        low: Lower end of the 95% paired bootstrap interval of the difference, a fraction.
        high: Upper end.
        p_value: Exact McNemar, two-sided.
        agreement: Fraction of images with the same answer, right or wrong.
        kappa: Cohen's kappa of the answers; None where it is not defined.
        equivalence: The difference against the margin.
        classes: One for each class, in class order.
    """

    a: str
    b: str
    flips: Flips
    low: float
    high: float
    p_value: float
    agreement: float
    kappa: float | None
    equivalence: Equivalence
    classes: tuple[ClassDelta, ...]

    @property
    def significant(self) -> bool:
        """Whether one model is shown to be better than the other."""
        return self.p_value < LEVEL

    @property
    def accuracy_a(self) -> Proportion:
        """Of A, with its 95% Wilson interval."""
        return Proportion.of(self.flips.both_right + self.flips.lost, self.flips.total)

    @property
    def accuracy_b(self) -> Proportion:
        """Of B, with its 95% Wilson interval."""
        return Proportion.of(self.flips.both_right + self.flips.gained, self.flips.total)

    @property
    def accuracies(self) -> dict[str, Proportion]:
        """Of both models, by name."""
        return {self.a: self.accuracy_a, self.b: self.accuracy_b}

    def to_arrow(self) -> pa.Table:
        """The change of each class as a pyarrow Table: a row a class, in class order; the columns as in JSON."""
        import pyarrow as pa

        return pa.Table.from_pylist([{"class": row.name, **row.to_json()} for row in self.classes])

    def to_json(self) -> dict[str, Any]:
        """Plain values; differences and accuracies are fractions, margins are points."""
        flips = self.flips
        return {
            "a": {"name": self.a, **self.accuracy_a.to_json()},
            "b": {"name": self.b, **self.accuracy_b.to_json()},
            "total": flips.total,
            "difference": {"value": flips.difference, "low": self.low, "high": self.high},
            "flips": asdict(flips),
            "p": self.p_value,
            "significant": self.significant,
            "agreement": self.agreement,
            "kappa": self.kappa,
            "equivalence": self.equivalence.to_json(),
            "per_class": {row.name: row.to_json() for row in self.classes},
            "verdict": verdict(self),
        }


def compare(
    labels: NDArray[np.integer[Any]],
    a: Answers,
    b: Answers,
    classes: Sequence[str],
    *,
    margin: float = MARGIN,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the images that both have judged.

    Args:
        labels: int (N,), the true classes, 0 to K − 1.
        a: The reference.
        b: The candidate, on the same images in the same order.
        classes: K names.
        margin: Points within which the models are to count as equivalent.
        seed: Of the bootstrap.

    Raises:
        DataError: if there are no images.
        OptionError: if the margin is not between 0 and 100 points.
    """
    if not len(labels):
        raise DataError("there are no labelled images to compare on", where=f"{a.name} and {b.name}")
    right_a, right_b = a.predicted == labels, b.predicted == labels
    flips = count_flips(right_a, right_b)
    low, high = bootstrap_interval(flips, seed=seed)
    return Comparison(
        a=a.name,
        b=b.name,
        flips=flips,
        low=low,
        high=high,
        p_value=float(mcnemar(flips.lost, flips.gained)),
        agreement=float(np.mean(a.predicted == b.predicted)),
        kappa=kappa(a.predicted, b.predicted),
        equivalence=equivalence(flips, margin),
        classes=class_deltas(labels, right_a, right_b, classes),
    )


def verdict(comparison: Comparison) -> str:
    """The comparison in a plain sentence, which claims no more than was shown."""
    a, b, shown = comparison.a, comparison.b, comparison.equivalence
    within = f"within {shown.margin:g} {'point' if shown.margin == 1 else 'points'}"
    if comparison.significant:
        upwards = comparison.flips.gained > comparison.flips.lost
        better, worse = (b, a) if upwards else (a, b)
        value, doubt = _measured(comparison, 1 if upwards else -1)
        found = f"{better} is better than {worse} by {value} points ({doubt})"
        return f"{found}, yet the two are equivalent {within}." if shown.equivalent else f"{found}."
    value, doubt = _measured(comparison)
    facts = f"{b} minus {a}: {value} points, {doubt}"
    if shown.equivalent:
        return f"{a} and {b} are equivalent {within}, and no difference can be shown ({facts})."
    nothing = f"No difference between {a} and {b} can be shown ({facts})"
    if shown.not_worse:
        return f"{nothing}. {b} is not worse, {within}, but may be better by more than that."
    return f"{nothing}, nor that they are equivalent {within}{_reach(comparison)}."


def p_text(p_value: float) -> str:
    """A p value for people, never rounded up to the level that it is below."""
    if p_value < 0.001:
        return "p < 0.001"
    text = f"{p_value:.3f}"
    rounded_up = p_value < LEVEL <= float(text)
    return f"p < {LEVEL}" if rounded_up else f"p = {text}"


def _measured(comparison: Comparison, sign: int = 1) -> tuple[str, str]:
    """The difference in points, and how sure it is; sign -1 for A minus B."""
    ends = sorted((sign * comparison.low, sign * comparison.high))
    decimals = _decimals(comparison)
    value, low, high = (f"{100 * x:z.{decimals}f}" for x in (sign * comparison.flips.difference, *ends))
    return value, f"95% interval {low} to {high}, {p_text(comparison.p_value)}"


def _reach(comparison: Comparison) -> str:
    """The least margin that these images show equivalence for, rounded up."""
    least, decimals = comparison.equivalence.smallest_margin, _decimals(comparison)
    if least is None:
        return ""
    rounded = math.ceil(least * 10**decimals) / 10**decimals
    return f"; these images show that only within {rounded:.{decimals}f} points"


def _decimals(comparison: Comparison) -> int:
    """Decimals of points: those that the width of the interval gives a meaning to."""
    half = 50 * (comparison.high - comparison.low)
    return min(4, max(1, 1 - math.floor(math.log10(half))))
