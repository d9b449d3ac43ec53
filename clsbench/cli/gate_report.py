"""What the gate found, as export and verify print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.text import counted, on_one_line, printable

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.gate_report import GateReport

#: How many images with another top-1 are named; JSON has some more.
NAMED = 3

#: What it means that a stage is to blame.
MEANINGS = {
    "decode": "the same files become other pixels",
    "resize": "size, resize, crop_fraction, interpolation or padding are others",
    "normalise": "mean, std, range or the order of channels are others",
    "graph": "the same input gives other scores: other weights or operations, or another order of the classes",
    "resize and graph": "the two take images of different sizes, so that nothing more can be told",
    "precision": "weights of fewer bits give other scores",
    "temperature": "the scores are divided by another temperature",
    "batch": "several images in a call get other scores than one by one",
    "reference": "the reference itself gives numbers that are not finite",
}


def print_gate(terminal: Terminal, title: str, report: GateReport) -> None:
    """Agreement by batch size, of a failure what each stage moves, and the verdict in colour."""
    from rich.text import Text

    from clsbench.cli.tables import table

    rows = [
        (str(b.batch_size), f"{b.images or report.images:,}", f"{b.top1_agreement:.2%}",
         f"{b.max_probability_difference:.3g}")
        for b in report.batches
    ]  # fmt: skip
    columns = ("batch size", "images", "top-1 agreement", "largest probability difference")
    terminal.print(table(title, columns, rows, left=0))
    if report.stages:
        moved = [
            (stage.stage, f"{stage.difference:.3g}", "to blame" if stage.stage == report.blamed else "")
            for stage in report.stages
        ]
        terminal.print(table("How far each stage moves a probability", ("stage", "at most", ""), moved))
    for line in _facts(report):
        terminal.print(line)
    word = Text(
        "PASSED: " if report.passed else f"FAILED [{report.code}]: ",
        style="bold green" if report.passed else "bold red",
    )
    terminal.print(word + Text(printable(_verdict(report))))


def _facts(report: GateReport) -> list[str]:
    """What the table does not say."""
    lines = []
    if report.device:
        tf32 = ", which computed float32 as TF32" if report.tf32 else ""
        lines.append(f"the file ran on {on_one_line(report.device)}{tf32}")
    if report.accuracy is not None and report.reference_accuracy is not None:
        lines.append(f"top-1 accuracy: {report.accuracy:.2%}, of the reference {report.reference_accuracy:.2%}")
    if report.expected_drop is not None:
        lines.append(f"no labels: by the reference's own probabilities {report.expected_drop:.2f} points are lost")
    if report.unreadable:
        lines.append(f"{counted(report.unreadable, 'image')} could not be read and left out")
    if report.near_ties:
        lines.append(f"{counted(report.near_ties, 'near tie')} with another top-1, not counted as flips")
    if report.pixel_difference is not None and report.network_difference is not None:
        lines.append(
            f"decoding and resizing move at most {report.pixel_difference:.3g} (allowed: {report.pixel_tolerance:g})"
        )
    if report.flipped:
        more = ", …" if (report.flips or 0) > NAMED else ""
        lines.append(f"another top-1: {', '.join(map(on_one_line, report.flipped[:NAMED]))}{more}")
    return lines


def _verdict(report: GateReport) -> str:
    flips = "" if report.flips is None else f"{counted(report.flips, 'flip')}, "
    allowed = "any difference is allowed" if report.tolerance is None else f"allowed: {report.tolerance:.3g}"
    if report.max_drop is not None and report.tolerance is None:
        allowed = f"any is allowed, and a loss of {report.max_drop:g} points of accuracy"
    apart = report.network_difference is not None
    most = report.network_difference if report.network_difference is not None else report.max_probability_difference
    differ = f"{flips}probabilities{' on the same pixels' if apart else ''} differ by at most {most:.3g} ({allowed})"
    if report.passed:
        return differ
    needed = report.required_tolerance
    least = "no tolerance would pass" if needed is None else f"the smallest tolerance that would pass is {needed:.3g}"
    meaning = f": {MEANINGS[report.blamed]}" if report.blamed in MEANINGS else ""
    return f"{differ}\n  to blame: {report.blamed}{meaning}\n  {least}"
