"""What ``clsbench infer`` and ``merge`` print of predictions below a threshold."""

from __future__ import annotations

from clsbench.cli.terminal import Terminal
from clsbench.predictions.abstaining import Abstained


def print_abstained(terminal: Terminal, found: Abstained | None) -> None:
    """Print how many predictions are no decisions, where the model has a threshold."""
    if found:
        terminal.print(abstained_line(found))


def abstained_line(found: Abstained) -> str:
    """How many, as a share of the classified images.

    >>> abstained_line(Abstained(12, 200, 0.83))
    'abstained: 12 of 200 (6.0%), below 0.83'
    """
    share = 100 * found.count / max(found.classified, 1)
    return f"abstained: {found.count:,} of {found.classified:,} ({share:.1f}%), below {found.below:.6g}"
