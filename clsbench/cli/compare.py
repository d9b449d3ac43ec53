"""``clsbench compare``: is B truly better than A, or is it noise?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clsbench.cli.evaluation_inputs import Columns, LabelsFile
from clsbench.cli.parameters import Json, Quiet

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.comparison.matching import Matched
    from clsbench.evaluation.comparison.pairwise import Comparison
    from clsbench.evaluation.comparison.ranking import Ranking

#: Classes shown: those that changed most surely.
SHOWN_CLASSES = 10


def compare(
    predictions: Annotated[list[Path], typer.Argument(metavar="A B …", help="Predictions of the same images.")],
    labels: LabelsFile = None,
    columns: Columns = None,
    margin: Annotated[
        float | None, typer.Option(metavar="POINTS", help="Two files: equivalent within so many points; 0.5.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw accuracy against throughput.")] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compare predictions of the same images: which model is better, by how much, and is it noise?"""
    from clsbench.cli.evaluation_inputs import check_output, open_table
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError
    from clsbench.evaluation.comparison.matching import match

    if len(predictions) < 2 or len({file.resolve() for file in predictions}) < len(predictions):
        raise OptionError(
            "compare needs two different files or more", got=" ".join(map(str, predictions)), expected="A B …"
        )
    if margin is not None and len(predictions) > 2:
        raise OptionError("a margin is for two files", where="--margin", got=margin)
    check_output(plot, "--plot", ".png", predictions)
    terminal = Terminal(json=json, quiet=quiet)
    names = _names(predictions)
    with ExitStack() as stack:
        tables = [
            stack.enter_context(open_table(terminal, file, columns=columns, labels=labels)) for file in predictions
        ]
        matched = match(list(zip(names, tables, strict=True)))
        speeds = {name: _speed(table.manifest) for name, table in zip(names, tables, strict=True)}
    for note in matched.notes:
        terminal.warn(note)
    facts = {"schema": 1, "files": dict(zip(names, map(str, predictions), strict=True)),
             "images": len(matched.labels), "notes": list(matched.notes), "throughput": speeds}  # fmt: skip
    facts |= _two(terminal, matched, margin, speeds) if len(names) == 2 else _many(terminal, matched, speeds)
    if plot:
        _draw(terminal, facts, speeds, plot)
    terminal.facts(facts)


def _names(files: list[Path]) -> list[str]:
    """File names without suffix, or as much of the paths as tells them apart."""
    for candidates in (
        [f.stem for f in files],
        [f"{f.resolve().parent.name}/{f.stem}" for f in files],
        [str(f) for f in files],
    ):
        if len(set(candidates)) == len(candidates):
            return candidates
    return [str(f) for f in files]


def _speed(manifest: Any) -> float | None:
    """Images a second, by the manifest."""
    found = manifest.get("throughput")
    speed = found.get("images_per_second") if isinstance(found, dict) else None
    return float(speed) if isinstance(speed, int | float) and speed > 0 else None


def _two(terminal: Terminal, matched: Matched, margin: float | None, speeds: dict[str, float | None]) -> dict[str, Any]:
    from clsbench.cli.terminal import facts_table, percent, table
    from clsbench.evaluation.comparison.equivalence import MARGIN
    from clsbench.evaluation.comparison.pairwise import compare as compare_two
    from clsbench.evaluation.comparison.pairwise import p_text, verdict

    a, b = matched.answers
    found = compare_two(matched.labels, a, b, matched.classes, margin=MARGIN if margin is None else margin)
    facts = found.to_json()
    rows = [
        (f["name"], percent(f["value"]), f"{percent(f['low'])} – {percent(f['high'])}",
         f"{f['correct']} of {f['total']}", _per_second(speeds[f["name"]]))
        for f in (facts["a"], facts["b"])
    ]  # fmt: skip
    terminal.print(table("Accuracy", ("", "top-1", "95 % interval", "correct", "images/s"), rows))
    difference, equal = facts["difference"], found.equivalence
    interval = f"{_points(difference['low'])} to {_points(difference['high'])}"
    kappa = "" if found.kappa is None else f", Cohen's kappa {found.kappa:.3f}"
    shown = "shown" if equal.equivalent else "not shown"
    lines = [
        ("difference", f"{_points(difference['value'])} points, 95 % interval {interval}"),
        ("exact McNemar", p_text(found.p_value)),
        ("flips", f"{found.flips.gained} gained, {found.flips.lost} lost"),
        ("agreement", f"{percent(found.agreement)}{kappa}"),
        (f"within {equal.margin:g} points", f"{shown}, {p_text(equal.p_value)}"),
    ]
    terminal.print(facts_table(f"{b.name} against {a.name}", lines))
    _classes(terminal, found)
    terminal.print(verdict(found))
    return facts


def _classes(terminal: Terminal, found: Comparison) -> None:
    from clsbench.cli.terminal import table
    from clsbench.text import shortened

    changed = sorted((c for c in found.classes if c.lost or c.gained), key=lambda c: (c.p_adjusted, -abs(c.delta or 0)))
    rows = [
        (shortened(c.name, 22), f"{c.recall_a:.3f}", f"{c.recall_b:.3f}", f"{c.delta:+.3f}",
         f"{c.p_adjusted:.3f}", "yes" if c.significant else "no")
        for c in changed[:SHOWN_CLASSES]
    ]  # fmt: skip
    if rows:
        more = f", {SHOWN_CLASSES} of {len(changed)} that changed" if len(changed) > SHOWN_CLASSES else ""
        columns = ("class", found.a, found.b, "change", "p (Holm)", "shown")
        terminal.print(table(f"Recall by class{more}", columns, rows))


def _many(terminal: Terminal, matched: Matched, speeds: dict[str, float | None]) -> dict[str, Any]:
    from clsbench.cli.terminal import percent, table
    from clsbench.evaluation.comparison.ranking import rank, verdict

    found: Ranking = rank(matched.labels, matched.answers)
    facts = found.to_json()
    rows = [
        (m["name"], str(m["rank"]), percent(m["value"]), f"{percent(m['low'])} – {percent(m['high'])}",
         _per_second(speeds[m["name"]]))
        for m in facts["models"]
    ]  # fmt: skip
    columns = ("", "rank", "top-1", "95 % interval", "images/s")
    terminal.print(table("Ranking: only a model shown to be better ranks before another", columns, rows))
    pairs = [
        (
            f"{d['a']} over {d['b']}",
            _points(-d["difference"]),
            f"{d['p_adjusted']:.3g}",
            "yes" if d["significant"] else "no",
        )
        for d in facts["duels"]
    ]
    terminal.print(table("Pairs (McNemar, Holm-corrected)", ("", "points", "p", "shown"), pairs))
    terminal.print(verdict(found))
    return facts


def _draw(terminal: Terminal, facts: dict[str, Any], speeds: dict[str, float | None], file: Path) -> None:
    from clsbench.errors import DataError
    from clsbench.evaluation.report.plots import save_accuracy_throughput

    models = facts.get("models") or [facts["a"], facts["b"]]
    points = [(m["name"], m["value"], m["low"], m["high"], speed) for m in models if (speed := speeds[m["name"]])]
    if not points:
        raise DataError(
            "no file has a throughput beside it", where="--plot", expected="PREDS.csv.json, as infer writes it"
        )
    save_accuracy_throughput(points, file)
    terminal.note(f"drawn: {file}")


def _points(fraction: float) -> str:
    return f"{round(100 * fraction, 2) + 0.0:+.2f}"  # + 0.0 takes the sign from a zero


def _per_second(speed: float | None) -> str:
    return "-" if speed is None else f"{speed:.1f}"
