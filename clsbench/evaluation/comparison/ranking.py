"""Three models or more on the same labelled images: a ranking that does not rank noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.evaluation.comparison.paired import LEVEL, Flips, count_flips, holm, mcnemar
from clsbench.evaluation.comparison.pairwise import Answers
from clsbench.predictions.values import Proportion
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RankedPair:
    """Two models of a ranking.

    Args:
        a: Name of the one with more images right (the one given first, if equal).
        b: Name of the other.
        flips: From A to B; at least as many are lost as gained.
        p_value: Exact McNemar, two-sided.
        p_adjusted: The same, by Holm for the number of pairs.
    """

    a: str
    b: str
    flips: Flips
    p_value: float
    p_adjusted: float

    @property
    def significant(self) -> bool:
        """Whether A is shown to be better than B, allowing for the number of pairs."""
        return self.p_adjusted < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Plain values; the difference is B minus A, a fraction."""
        return {
            "a": self.a,
            "b": self.b,
            "difference": self.flips.difference,
            "flips": asdict(self.flips),
            "p": self.p_value,
            "p_adjusted": self.p_adjusted,
            "significant": self.significant,
        }


@dataclass(frozen=True)
class Ranked:
    """A model and its place.

    Args:
        name: The model.
        rank: 1 + the number of models that are shown to be better.
        accuracy: With its 95% Wilson interval.
    """

    name: str
    rank: int
    accuracy: Proportion

    def to_json(self) -> dict[str, Any]:
        """Plain values: the rank, and the accuracy with its 95% Wilson interval."""
        return {"rank": self.rank, "name": self.name, **self.accuracy.to_json()}


@dataclass(frozen=True)
class Ranking(Tabular):
    """Models by rank, then accuracy, and the pairs that the ranks rest on."""

    models: tuple[Ranked, ...]
    pairs: tuple[RankedPair, ...]

    @property
    def accuracies(self) -> dict[str, Proportion]:
        """Of all models, by name, in the order of their ranks."""
        return {model.name: model.accuracy for model in self.models}

    def to_arrow(self) -> pa.Table:
        """The models as a pyarrow Table: a row a model, by rank; the columns as in JSON."""
        import pyarrow as pa

        return pa.Table.from_pylist([model.to_json() for model in self.models])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "models": [model.to_json() for model in self.models],
            "duels": [pair.to_json() for pair in self.pairs],
            "verdict": verdict(self),
        }


def rank(labels: NDArray[np.integer[Any]], models: Sequence[Answers]) -> Ranking:
    """Rank models by accuracy, as far as each is shown to be better than another.

    A rank is 1 + the number of models shown to be better, the rule of W. L. Chiang et al.,
    Chatbot Arena (ICML 2024): models that nothing beats share the first, however their
    accuracies happen to lie. Every two models are tested, and Holm's correction keeps the
    chance of any false claim among all of them at 5%.

    Args:
        labels: int (N,), the true classes.
        models: Two or more, all on the same images in the same order, with different names.

    Raises:
        DataError: if there are no images.
    """
    if not len(labels):
        raise DataError("there are no labelled images to rank on", where=", ".join(model.name for model in models))
    right = [(model.name, model.predicted == labels) for model in models]
    right.sort(key=lambda item: -np.count_nonzero(item[1]))
    flips = [(a, b, count_flips(right_a, right_b)) for (a, right_a), (b, right_b) in combinations(right, 2)]
    p_values = mcnemar([found.lost for *_, found in flips], [found.gained for *_, found in flips])
    pairs = tuple(
        RankedPair(*pair, p, adjusted)
        for pair, p, adjusted in zip(flips, p_values.tolist(), holm(p_values).tolist(), strict=True)
    )
    beaten = [pair.b for pair in pairs if pair.significant]
    shares = [(name, Proportion.of(int(np.count_nonzero(hits)), len(labels))) for name, hits in right]
    ranked = [Ranked(name, 1 + beaten.count(name), accuracy) for name, accuracy in shares]
    return Ranking(tuple(sorted(ranked, key=lambda model: model.rank)), pairs)


def verdict(ranking: Ranking) -> str:
    """The ranking in a plain sentence."""
    best = [model.name for model in ranking.models if model.rank == 1]
    others = len(ranking.models) - len(best)
    if not others:
        return f"No difference between {_listed(best)} can be shown."
    rest = f"the other {others}" if others > 1 else ranking.models[-1].name
    # Each of the rest is worse than some model, and so on up to one that none is better than.
    if len(best) == 1:
        return f"{best[0]} is better than {rest}."
    shared = f"{_listed(best)} share the first rank: no difference between them can be shown"
    return f"{shared}; {rest} {'are each' if others > 1 else 'is'} worse than at least one of them."


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
