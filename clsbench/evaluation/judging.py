"""From a prediction table and metrics to facts: what ``evaluate --json`` holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clsbench import __version__
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.table import PredictionTable

Metric = Callable[[Outcomes], Mapping[str, Any]]

#: The version of the facts.
SCHEMA = 1

#: The built-in metrics, in the order of a report.
METRICS = (
    "accuracy",
    "averages",
    "probability",
    "roc-auc",
    "coverage",
    "per-class",
    "confusion",
    "top-losses",
    "label-errors",
)


def evaluate(table: PredictionTable, metrics: Iterable[tuple[str, Metric]]) -> dict[str, Any]:
    """Judge a predictions file.

    Args:
        table: The file.
        metrics: Name and metric, in order. One that fails costs its own values only: its
            name and reason stand under ``metric_errors``.

    Returns:
        Plain values for JSON; the keys are stable, see README.

    Raises:
        DataError: if there is no image to judge.
    """
    outcomes = table.outcomes()
    values: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name, metric in metrics:
        try:
            found = dict(metric(outcomes))
            json.dumps(found, allow_nan=False)
        except Exception as error:  # noqa: BLE001  a plugin's metric must not lose the others
            failed[name] = f"{type(error).__name__}: {error}"
            continue
        taken = sorted(key for key in found if key in values and values[key] != found[key])
        if taken:
            failed[name] = f"gives {', '.join(taken)}, which another metric has given already"
        values |= {key: value for key, value in found.items() if key not in values}
    classified = table.predicted >= 0
    manifest = table.manifest.to_json()
    return {
        "schema": SCHEMA,
        "clsbench": __version__,
        "predictions": str(table.file),
        "images": manifest.get("images"),
        "model": manifest.get("model"),
        "classes": list(table.classes),
        "counts": {
            "total": len(table.names),
            "ok": int(classified.sum()),
            "errors": int((~classified).sum()),
            "labelled": int((table.labels >= 0).sum()),
            "judged": len(outcomes.labels),
        },
        "metrics": values,
        "metric_errors": failed,
        "notes": list(table.notes),
        "device": manifest.get("device"),
        "throughput": manifest.get("throughput"),
    }
