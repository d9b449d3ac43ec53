"""What ``clsbench infer`` says of the images that were not classified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.cli.tables import table
from clsbench.text import counted, on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.inference.result import InferenceResult


def failures_table(result: InferenceResult) -> Table:
    """The images that were not classified, by reason, with examples."""
    rows = []
    for reason, failure in result.failures.items():
        first, count = reason, f"{failure.count:,}"
        for name, error in failure.examples:
            rows.append((first, on_one_line(name), error, count))
            first = count = ""
    return table("Not classified", ("reason", "such as", "because", "images"), rows, left=3)


def over_budget(result: InferenceResult) -> str:
    """Why a job does not count as done well."""
    errors, total = result.counts.errors or 0, result.counts.total or 0
    if errors == total:
        first = next((error for failure in result.failures.values() for _, error in failure.examples), "")
        return f"none of {counted(total, 'image')} could be classified: {first}"
    return f"{errors:,} of {counted(total, 'image')} could not be classified, more than {result.max_failure_rate:.2%}"
