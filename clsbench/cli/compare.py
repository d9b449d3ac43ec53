"""``clsbench compare``: is one model truly better than another, or is it noise?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.evaluation_parameters import Columns, LabelsFile, Top
from clsbench.cli.parameters import Json, Quiet

if TYPE_CHECKING:
    from clsbench.api.compare import ComparedFiles
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.comparison.pairwise import Comparison
    from clsbench.evaluation.comparison.ranking import Ranking


def compare(
    predictions: Annotated[list[Path], typer.Argument(metavar="PREDS", help="Predictions of the same images.")],
    labels: LabelsFile = None,
    columns: Columns = None,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="With two files: count them as equivalent within this many percentage points. Default: 0.5.",
        ),
    ] = None,
    top: Top = 10,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw accuracy against throughput.")] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compare predictions of the same images: which model is better, by how much, and is it noise?"""
    from clsbench.api.compare import compare as compare_files
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.comparison.pairwise import Comparison

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = compare_files(
            *predictions, labels=labels, columns=columns, margin=margin, plot=plot, observer=observer
        )
    if isinstance(result.found, Comparison):
        _two(terminal, result, result.found, top)
    else:
        _many(terminal, result, result.found)
    terminal.write_json(result.to_json())
    better = max(result.found.accuracies.items(), key=lambda named: named[1].value)[0]
    terminal.next("report", result.files[better])


def _two(terminal: Terminal, result: ComparedFiles, found: Comparison, top: int) -> None:
    from clsbench.cli.tables import facts_table, percent, table
    from clsbench.evaluation.comparison.pairwise import p_text, verdict

    rows = [
        (name, percent(a.value), f"{percent(a.low)} – {percent(a.high)}", f"{a.correct} of {a.total}",
         _per_second(result.throughput[name]))
        for name, a in found.accuracies.items()
    ]  # fmt: skip
    terminal.print(table("Accuracy", ("", "top-1", "95% interval", "correct", "images/s"), rows))
    equal, points = found.equivalence, _points(found.flips.difference)
    kappa = "" if found.kappa is None else f", Cohen's kappa {found.kappa:z.3f}"
    lines = [
        ("difference", f"{points} points, 95% interval {_points(found.low)} to {_points(found.high)}"),
        ("exact McNemar", p_text(found.p_value)),
        ("flips", f"{found.flips.gained} gained, {found.flips.lost} lost"),
        ("agreement", f"{percent(found.agreement)}{kappa}"),
        (f"within {equal.margin:g} points", f"{'' if equal.equivalent else 'not '}shown, {p_text(equal.p_value)}"),
    ]
    terminal.print(facts_table(f"{found.b} against {found.a}", lines))
    _classes(terminal, found, top)
    terminal.print(verdict(found))


def _classes(terminal: Terminal, found: Comparison, top: int) -> None:
    from clsbench.cli.tables import first_rows, table
    from clsbench.text import shortened

    changed = sorted((c for c in found.classes if c.lost or c.gained), key=lambda c: (c.p_adjusted, -abs(c.delta or 0)))
    rows = [
        (shortened(c.name, 22) if terminal.limited else c.name, f"{c.recall_a:.3f}", f"{c.recall_b:.3f}",
         f"{c.delta or 0:+z.3f}", f"{c.p_adjusted:.3f}", "yes" if c.significant else "no")
        for c in changed[:top]
    ]  # fmt: skip
    if rows:
        title = first_rows("Recall of the classes that changed", len(rows), len(changed), "--top")
        terminal.print(table(title, ("class", found.a, found.b, "change", "p (Holm)", "shown"), rows))


def _many(terminal: Terminal, result: ComparedFiles, found: Ranking) -> None:
    from clsbench.cli.tables import percent, table
    from clsbench.evaluation.comparison.ranking import verdict

    rows = [
        (m.name, str(m.rank), percent(m.accuracy.value), f"{percent(m.accuracy.low)} – {percent(m.accuracy.high)}",
         _per_second(result.throughput[m.name]))
        for m in found.models
    ]  # fmt: skip
    columns = ("", "rank", "top-1", "95% interval", "images/s")
    terminal.print(table("Ranking: only a model shown to be better ranks before another", columns, rows))
    pairs = [
        (f"{p.a} over {p.b}", _points(-p.flips.difference), f"{p.p_adjusted:.3g}", "yes" if p.significant else "no")
        for p in found.pairs
    ]
    terminal.print(table("Pairs (McNemar, Holm-corrected)", ("", "points", "p", "shown"), pairs), verdict(found))


def _points(fraction: float) -> str:
    return f"{100 * fraction:+z.2f}"


def _per_second(speed: float | None) -> str:
    return "-" if speed is None else f"{speed:.1f}"
