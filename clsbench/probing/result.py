"""What a probe found: a ranking of backbones, those that failed, and the one to go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clsbench.errors import ClsbenchError, DataError
from clsbench.evaluation.comparison.pairwise import Answers
from clsbench.evaluation.comparison.ranking import Ranking, rank
from clsbench.predictions.values import Proportion
from clsbench.probing.candidate import Candidate, Probed, Row
from clsbench.probing.pool import Pool
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa

#: How much faster a model of the first rank has to be than the most accurate one to be named.
FASTER = 1.2


@dataclass(frozen=True, kw_only=True)
class ProbeResult(Tabular):
    """Backbones by rank.

    Args:
        rows: By rank, then accuracy of the linear head.
        ranking: The tests that the ranks rest on; only a backbone shown to be better ranks before another.
        failures: Name -> why a backbone is not in the ranking.
        classes: K names.
        images: How many were judged.
        unreadable: Names of images that were left out, with the reason.
        folds, views, seed, device: As they were used.
        cache: The folder of kept features; None where nothing was kept.
        notes: What was pooled and left out.
    """

    rows: tuple[Row, ...]
    ranking: Ranking
    failures: Mapping[str, ClsbenchError]
    classes: tuple[str, ...]
    images: int
    unreadable: Mapping[str, str]
    folds: int
    views: int
    seed: int
    device: str
    cache: Path | None
    notes: tuple[str, ...]

    @property
    def best(self) -> Row:
        """The most accurate; between equals the faster."""
        first = [row for row in self.rows if row.rank == 1]
        return max(first, key=lambda row: (row.linear.value, row.probed.speed.images_per_second))

    @property
    def faster(self) -> Row | None:
        """The fastest of those that are not shown to be worse than the best, if it is notably faster."""
        beaten = {pair.b for pair in self.ranking.pairs if pair.significant and pair.a == self.best.name}
        tied = [row for row in self.rows if row.rank == 1 and row.name not in beaten]
        fastest = max(tied, key=lambda row: row.probed.speed.images_per_second)
        bound = FASTER * self.best.probed.speed.images_per_second
        return fastest if fastest.probed.speed.images_per_second > bound else None

    @property
    def complete(self) -> bool:
        """Whether every backbone is in the ranking."""
        return not self.failures

    @property
    def candidate(self) -> Candidate:
        """Of the best."""
        return self.best.probed.candidate

    def to_arrow(self) -> pa.Table:
        """One row a backbone, by rank."""
        import pyarrow as pa

        return pa.Table.from_pylist([
            {
                "rank": row.rank,
                "name": row.name,
                "linear": row.linear.value,
                "low": row.linear.low,
                "high": row.linear.high,
                "knn": row.neighbours.value,
                "parameters": row.probed.parameters,
                "images_per_second": row.probed.speed.images_per_second,
                "feature_seconds": row.probed.feature_seconds,
                "head_seconds": row.probed.head_seconds,
                "evaluated": row.probed.evaluated,
            }
            for row in self.rows
        ])  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``probe --json`` writes them."""
        ranked = self.ranking.to_json()
        return {
            "schema": 1,
            "models": [row.to_json() for row in self.rows],
            "failures": {name: error.one_line() for name, error in self.failures.items()},
            "duels": ranked["duels"],
            "verdict": ranked["verdict"],
            "best": self.best.name,
            "train": list(self.candidate.words),
            "images": self.images,
            "classes": list(self.classes),
            "unreadable": dict(self.unreadable),
            "folds": self.folds,
            "views": self.views,
            "seed": self.seed,
            "device": self.device,
            "cache": str(self.cache) if self.cache else None,
            "notes": list(self.notes),
        }


def ranked(
    found: Sequence[Probed],
    failures: Mapping[str, ClsbenchError],
    pool: Pool,
    *,
    unreadable: Mapping[str, str],
    folds: int,
    views: int,
    seed: int,
    device: str,
    cache: Path | None,
) -> ProbeResult:
    """Rank backbones by their linear heads, on the images that all of them could read.

    Raises:
        DataError: if there is no such image.
    """
    judged = np.flatnonzero(np.all([probed.linear >= 0 for probed in found], axis=0))
    if not len(judged):
        raise DataError("no image was read for every model")
    labels = pool.labels[judged]
    ranking = rank(labels, [Answers(probed.candidate.name, probed.linear[judged]) for probed in found])
    by_name = {probed.candidate.name: probed for probed in found}
    rows = []
    for model in ranking.models:
        probed = by_name[model.name]
        near = int(np.count_nonzero(probed.neighbours[judged] == labels))
        rows.append(
            Row(rank=model.rank, linear=model.accuracy, neighbours=Proportion.of(near, len(labels)), probed=probed)
        )
    missed = {name: reason for probed in found for name, reason in probed.unreadable.items()}
    return ProbeResult(
        rows=tuple(rows), ranking=ranking, failures=dict(failures), classes=pool.classes, images=len(judged),
        unreadable={**unreadable, **missed}, folds=folds, views=views, seed=seed, device=device, cache=cache,
        notes=pool.notes,
    )  # fmt: skip
