"""The tables of ``clsbench bench``: rates, latencies and answers of the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.api.engines import short_label
from clsbench.cli.tables import percent, table
from clsbench.text import counted, on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.api.bench import BenchResult
    from clsbench.cli.terminal import Terminal
    from clsbench.inference.bench import Benchmark, Figure

#: What the last columns of the latencies are.
OPENING = "open: opening the model, and tuning it the first time; first: the first call."

#: What the limit is, and how exact.
LIMIT = (
    "The limit is what model and decoding, measured alone, allow together. Windows\n"
    "may differ by 10%, so 90% and 100% of it cannot be told apart."
)


def print_result(terminal: Terminal, result: BenchResult) -> None:
    """Print the tables, what their columns mean, and the rows without figures."""
    several = len(result.measured) > 1
    judged = several or any(row.accuracy for row in result.measured)
    terminal.print(_rates(result), _latencies(result), *([_answers(result)] if judged else []))
    if several:
        order = "in turns" if result.together else "one after the other"
        terminal.print(f"Rows are measured {order}; ratio and agreement are to the first.")
    terminal.print(OPENING, f"{_decoding(result)}\n{LIMIT}")
    for row in result.benchmarks:
        if row.failure:
            terminal.warn(f"{' '.join(_labels(result, row))} was not measured: {on_one_line(row.failure.one_line())}")
    for row in result.at_odds:
        if row.agreement:
            other = f"{row.agreement.total - row.agreement.correct} of {counted(row.agreement.total, 'image')}"
            terminal.warn(f"{' '.join(_labels(result, row))} gives {other} another label than the first row")
    if not result.stable:
        terminal.print("~ unstable: no three windows in a row agreed within 10%; do not rely on it")


def _told(result: BenchResult) -> tuple[str, ...]:
    """What tells the rows apart, as columns: the model where there is one engine, or several models; the engine."""
    models, engines = ({getattr(row, name) for row in result.benchmarks} for name in ("model", "engine"))
    return (*(("model",) if len(engines) == 1 or len(models) > 1 else ()), *(("backend",) if len(engines) > 1 else ()))


def _labels(result: BenchResult, row: Benchmark) -> list[str]:
    cells = {"model": _model(result, row), "backend": short_label(row.engine)}
    return [cells[name] for name in _told(result)]


def _model(result: BenchResult, row: Benchmark) -> str:
    return on_one_line(result.names[row.model].removesuffix(".onnx"))


def _title(result: BenchResult, text: str) -> str:
    """With the model where no column names it."""
    return text if "model" in _told(result) else f"{_model(result, result.benchmarks[0])}: {text}"


def _rates(result: BenchResult) -> Table:
    told, rows, several = _told(result), [], len(result.benchmarks) > 1
    for row in result.benchmarks:
        cells = ["-"] * 5
        if not row.failure:
            ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
            reached = f"{row.fraction:.0%}{'' if row.stable else ' ~'}"
            cells = [_rate(row.model_only), _rate(row.end_to_end), ratio, _rounded(row.limit), reached]
        if not several:
            del cells[2]
        rows.append([*_labels(result, row), str(row.batch_size or "-"), *cells])
    columns = (*told, "batch", "alone", "end to\nend", *(("ratio",) if several else ()), "limit", "reached")
    return table(_title(result, f"images a second, {result.scenario}"), columns, rows, left=len(told))


def _rate(figure: Figure) -> str:
    return f"{_rounded(figure.value)}{'' if figure.stable else ' ~'}"


def _rounded(rate: float) -> str:
    """As exact as windows within 10% allow; tables of several rows have little room."""
    return f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def _latencies(result: BenchResult) -> Table:
    told = _told(result)
    rows = [
        [*_labels(result, row), str(row.batch_size), *(f"{row.percentile(p):.1f}" for p in (50, 90, 99)),
         *(f"{1000 * seconds:.0f}" for seconds in row.warm_up)]
        for row in result.measured
    ]  # fmt: skip
    columns = (*told, "batch", "p50", "p90", "p99", "open", "first")
    return table(_title(result, "milliseconds a call"), columns, rows, left=len(told))


def _answers(result: BenchResult) -> Table:
    """Agreement with the first row, and accuracy where there are labels."""
    told, judged, rows = _told(result), any(row.accuracy for row in result.measured), []
    for row in result.measured:
        cells = [percent(row.agreement.value if row.agreement else None)]
        if judged:
            found = row.accuracy
            cells += [percent(found.value), f"{percent(found.low)} – {percent(found.high)}"] if found else ["-", "-"]
        rows.append([*_labels(result, row), str(row.batch_size), *cells])
    columns = (*told, "batch", "agreement", *(("top-1", "95% interval") if judged else ()))
    return table(_title(result, f"answers for {counted(result.judged, 'image')}"), columns, rows, left=len(told))


def _decoding(result: BenchResult) -> str:
    """Decoding alone, which rows with the same preprocessing share."""
    rates = {id(row.decode_only): row.decode_only for row in result.measured}
    told = ", ".join(map(_rate, rates.values()))
    return f"Decoding alone: {told} images/s."
