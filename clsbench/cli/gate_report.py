"""The table of a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clsbench.card import GateReport
    from clsbench.cli.terminal import Terminal


def print_gate(terminal: Terminal, report: GateReport, reference: str) -> None:
    """Print how a file compares with its reference: the trained network or the original."""
    from clsbench.cli.tables import table

    rows = [
        (str(b.batch_size), f"{b.top1_agreement:.2%}", f"{b.max_probability_difference:.2e}") for b in report.batches
    ]
    verdict = "PASSED" if report.passed else "FAILED"
    columns = ("batch size", "top-1 agreement", "largest probability difference")
    terminal.print(table(f"Parity with the {reference}: {verdict}", columns, rows, left=0))
