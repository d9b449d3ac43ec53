"""``compare``: is one model truly better than another, or is it noise?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.predictions import Columns, open_table
from clsbench.errors import DataError, OptionError
from clsbench.tabular import Tabular
from clsbench.text import distinct_names

if TYPE_CHECKING:
    import pyarrow as pa

    from clsbench.evaluation.comparison.pairwise import Comparison
    from clsbench.evaluation.comparison.ranking import Ranking


@dataclass(frozen=True, kw_only=True)
class ComparedFiles(Tabular):
    """What was found about several predictions files.

    Args:
        files: Name of each model -> its file, in the order given.
        images: Labelled images that all files have.
        notes: What was left out.
        throughput: Name -> images a second by its manifest, None where unknown.
        found: A :class:`Comparison` of two models, or a :class:`Ranking` of more.
    """

    files: Mapping[str, Path]
    images: int
    notes: tuple[str, ...]
    throughput: Mapping[str, float | None]
    found: Comparison | Ranking

    def to_arrow(self) -> pa.Table:
        """One row a class for two models, one row a model for more."""
        return self.found.to_arrow()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "files": {name: str(file) for name, file in self.files.items()},
            "images": self.images,
            "notes": list(self.notes),
            "throughput": dict(self.throughput),
            **self.found.to_json(),
        }


def compare(
    *predictions: str | Path,
    labels: str | Path | None = None,
    columns: Columns = None,
    margin: float | None = None,
    plot: str | Path | None = None,
    observer: Observer | None = None,
) -> ComparedFiles:
    """Compare predictions of the same images, matched by path and class name.

    Args:
        predictions: Two files, the reference first, or more to be ranked.
        labels, columns: As in :func:`clsbench.evaluate`.
        margin: Two files: the points of accuracy within which they count as equivalent; 0.5 if left out.
        plot: A PNG of accuracy against throughput.
        observer: Hears notes, warnings and progress.

    Raises:
        OptionError: for fewer than two different files, or a margin beside more than two.
        DataError: if files cannot be read or have nothing in common.
    """
    from clsbench.evaluation.comparison.equivalence import MARGIN
    from clsbench.evaluation.comparison.matching import match
    from clsbench.evaluation.comparison.pairwise import compare as compare_two
    from clsbench.evaluation.comparison.ranking import rank
    from clsbench.predictions.manifest import manifest_path

    observer, files = observer or Observer(), [Path(file) for file in predictions]
    if len(files) < 2 or len({file.resolve() for file in files}) < len(files):
        raise OptionError("compare needs two different files or more", got=" ".join(map(str, files)), expected="A B …")
    if margin is not None and len(files) > 2:
        raise OptionError("a margin is for two files", where="--margin", got=margin)
    chart = Path(plot) if plot is not None else None
    outputs = Outputs(observer)
    outputs.add(chart, "--plot", "the plot", ".png")
    outputs.refuse(*files, *map(manifest_path, files))
    names = distinct_names([file.with_suffix("") for file in files])
    if len(set(names)) < len(names):
        names = [str(file) for file in files]
    with ExitStack() as stack:
        tables = [
            stack.enter_context(open_table(file, columns=columns, labels=labels, outputs=outputs, observer=observer))
            for file in files
        ]
        matched = match(list(zip(names, tables, strict=True)))
        speeds = {name: table.manifest.images_per_second for name, table in zip(names, tables, strict=True)}
    for note in matched.notes:
        observer.warn(note)
    found: Comparison | Ranking
    if len(files) == 2:
        a, b = matched.answers
        found = compare_two(matched.labels, a, b, matched.classes, margin=MARGIN if margin is None else margin)
    else:
        found = rank(matched.labels, matched.answers)
    if chart:
        _draw(found, speeds, chart, observer)
    return ComparedFiles(
        files=dict(zip(names, files, strict=True)),
        images=len(matched.labels),
        notes=tuple(matched.notes),
        throughput=speeds,
        found=found,
    )


def _draw(found: Comparison | Ranking, speeds: Mapping[str, float | None], file: Path, observer: Observer) -> None:
    from clsbench.evaluation.report.plots import save_accuracy_throughput

    points = [(name, a.value, a.low, a.high, speed) for name, a in found.accuracies.items() if (speed := speeds[name])]
    if not points:
        raise DataError(
            "no file has a manifest with a throughput", where="--plot", expected="PREDS.csv.json, as infer writes it"
        )
    save_accuracy_throughput(points, file)
    observer.note(f"drawn: {file}")
