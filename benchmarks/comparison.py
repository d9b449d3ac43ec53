"""How often `clsbench compare` errs: every rate behind its tests and intervals.

    python benchmarks/comparison.py --json comparison.json

A pair of models is described by the share of images that flip between right and wrong and by
the true difference of their accuracies. Rates of the tests are exact, summed over all
outcomes; the coverage of the bootstrap interval is simulated. Takes two minutes on one core.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from reporting import note, print_table, write_json
from scipy.stats import binom

from clsbench.evaluation.comparison.equivalence import MARGIN, deviation, score
from clsbench.evaluation.comparison.paired import LEVEL, Flips, bootstrap_interval, mcnemar

Counts = NDArray[np.int64]
QUANTILE = NormalDist().inv_cdf(LEVEL)

#: Of images that flip.
SHARES = (0.01, 0.02, 0.04, 0.1, 0.2, 0.4)


def outcomes(total: int, flips: float, difference: float) -> tuple[Counts, Counts, NDArray[np.float64]]:
    """All outcomes but the most unlikely: int lost (L, 1), gained (1, G), their probability (L, G)."""
    loss, gain = (flips - difference) / 2, (flips + difference) / 2
    lost, gained = (np.arange(*_reach(total, share)) for share in (loss, gain))
    left = np.maximum(total - lost, 0)[:, None]
    chance = binom.pmf(lost, total, loss)[:, None] * binom.pmf(gained[None], left, gain / (1 - loss))
    return lost[:, None], gained[None], chance


def _reach(total: int, share: float) -> tuple[int, int]:
    width = 7 * (total * share * (1 - share)) ** 0.5 + 20
    return max(0, int(total * share - width)), min(total, int(total * share + width)) + 1


def called_different(total: int, flips: float, difference: float) -> float:
    """The chance that one model is called better than the other."""
    lost, gained, chance = outcomes(total, flips, difference)
    return float(chance[mcnemar(lost, gained) < LEVEL].sum())


def called_equivalent(
    total: int, flips: float, difference: float, margin: float = MARGIN / 100, *, corrected: bool = True
) -> float:
    """The chance that they are called equivalent; uncorrected: without the half flip of caution."""
    lost, gained, chance = outcomes(total, flips, difference)
    both = (score(lost, gained, total, margin), score(gained, lost, total, margin))
    if not corrected:
        away = 0.5 / deviation(lost, gained, total, margin), 0.5 / deviation(gained, lost, total, margin)
        both = (both[0] - away[0], both[1] - away[1])
    return float(chance[np.maximum(*both) < QUANTILE].sum())


def coverage(total: int, flips: float, difference: float, *, plain: bool = False, rounds: int = 2000) -> float:
    """How often the interval holds the true difference; plain: without the imaginary flips."""
    random = np.random.default_rng(0)
    shares = [(flips - difference) / 2, 1 - flips, (flips + difference) / 2]
    cases, times = np.unique(random.multinomial(total, shares, size=rounds), axis=0, return_counts=True)
    covered = 0
    for (lost, same, gained), count in zip(cases.tolist(), times.tolist(), strict=True):
        if plain:
            drawn = random.multinomial(total, np.array([lost, same, gained]) / total, size=2000)
            low, high = np.quantile(drawn[:, 2] - drawn[:, 0], [LEVEL / 2, 1 - LEVEL / 2]) / total
        else:
            low, high = bootstrap_interval(Flips(same, lost, gained, 0), resamples=2000)
        covered += count * (low - 1e-12 <= difference <= high + 1e-12)
    return covered / rounds


def equal_models() -> list[dict[str, float]]:
    """What is said of two models of which neither is better."""
    rows = [
        {"total": n, "flips": f, "different": called_different(n, f, 0.0), "equivalent": called_equivalent(n, f, 0.0)}
        for n, f in itertools.product((200, 1000, 10_000, 100_000), SHARES)
    ]
    print_table(
        "Equal models called different, and equivalent within 0.5 points",
        ("images", "flips", "different", "equivalent"),
        [[r["total"], f"{r['flips']:.1%}", f"{r['different']:.2%}", f"{r['equivalent']:.2%}"] for r in rows],
    )
    return rows


def one_point() -> list[dict[str, float]]:
    """How often 10,000 images show that a model is better by a point."""
    rows = [{"flips": f, "found": called_different(10_000, f, 0.01)} for f in SHARES]
    table = [[f"{r['flips']:.1%}", f"{r['found']:.2%}"] for r in rows]
    print_table("A difference of 1 point found in 10,000 images", ("flips", "found"), table)
    return rows


def at_the_margin() -> list[dict[str, float]]:
    """The worst chance, over N, to pass as equivalent models that differ by the margin."""
    spread = np.geomspace(200, 100_000, 28)
    rows = []
    for margin, share in itertools.product((0.0025, 0.005, 0.01, 0.02, 0.05), (0.0, *SHARES)):
        if share and share <= margin:
            continue
        flips = max(share, margin)
        # Whole counts weigh most where the margin is a few images: there many N are tried.
        close = np.linspace(2, 12, 60) / margin
        totals = np.unique(np.concatenate([spread, close[close >= 200]]).round().astype(int)).tolist()
        rate, total = max((called_equivalent(n, flips, margin, margin), n) for n in totals)
        bare = max(called_equivalent(n, flips, margin, margin, corrected=False) for n in totals)
        rows.append({"margin": margin, "flips": flips, "rate": rate, "total": total, "uncorrected": bare})
        note(f"equivalence within {margin:.2%}, {flips:.1%} flip")
    table = [
        [f"{r['margin']:.2%}", f"{r['flips']:.2%}", f"{r['rate']:.2%}", r["total"], f"{r['uncorrected']:.2%}"]
        for r in rows
    ]
    print_table(
        "Models that differ by the margin called equivalent: the worst N from 200 to 100,000",
        ("margin", "flips", "worst", "at N", "without the half flip"),
        table,
    )
    return rows


def intervals() -> list[dict[str, float]]:
    """Whether the 95 % interval holds the true difference in 95 % of cases."""
    rows = []
    for n, f, lean in itertools.product((200, 1000, 10_000), (0.002, 0.01, 0.04, 0.1), (0.0, 0.5, 1.0)):
        rates = {"ours": coverage(n, f, lean * f), "plain": coverage(n, f, lean * f, plain=True)}
        rows.append({"total": n, "flips": f, "difference": lean * f, **rates})
        note(f"coverage at {n} images, {f:.1%} flip")
    table = [
        [r["total"], f"{r['flips']:.1%}", f"{r['difference']:.2%}", f"{r['ours']:.1%}", f"{r['plain']:.1%}"]
        for r in rows
    ]
    columns = ("images", "flips", "difference", "ours", "plain bootstrap")
    print_table("The 95 % bootstrap interval holds the true difference", columns, table)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    facts = {"equal_models": equal_models(), "one_point": one_point()}
    write_json(given.json, facts | {"at_the_margin": at_the_margin(), "intervals": intervals()})


if __name__ == "__main__":
    main()
