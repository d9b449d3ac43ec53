"""The tables of ``evaluate``: what ``--json`` holds, for people, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clsbench.cli.terminal import Terminal, facts_table, percent, table
from clsbench.evaluation.absence import reason_of
from clsbench.text import shortened

#: With more classes than this the table shows the worst and the best.
SHOWN, WORST, BEST = 20, 10, 5

#: Rows of the shorter tables.
FEW = 5


def print_evaluation(terminal: Terminal, facts: Mapping[str, Any]) -> None:
    """Print the facts of :func:`clsbench.evaluation.judging.evaluate`."""
    metrics = facts["metrics"]
    terminal.print(_accuracy(metrics), _summary(metrics))
    terminal.print(per_class_table(metrics["per_class"], metrics["macro"]))
    pairs = metrics["confused_pairs"]
    if pairs["pairs"]:
        rows = [(p["label"], p["predicted"], str(p["count"]), percent(p["share"])) for p in pairs["pairs"][:FEW]]
        title = f"Most confused ({pairs['found']} pairs of at least {pairs['min_count']})"
        terminal.print(table(title, ("label", "taken for", "images", "of its class"), _short(rows, 2), left=2))
    terminal.print(_coverage(metrics))
    losses = metrics["top_losses"]
    if losses and not reason_of(losses):
        lost = [
            (loss["name"], loss["label"], loss["predicted"], _number(loss["loss"]), _percent(loss["probability"]))
            for loss in losses[:FEW]
        ]
        terminal.print(
            table("Top losses", ("image", "label", "predicted", "loss", "confidence"), _short(lost, 3), left=3)
        )
    errors = metrics["label_errors"]
    if not reason_of(errors) and errors["images"]:
        rows = [(e["name"], e["label"], e["suggested"], percent(e["probability"])) for e in errors["images"][:FEW]]
        title = f"Suspected label errors: {errors['found']} of the images, {percent(errors['share'])}"
        terminal.print(table(title, ("image", "label", "rather", "sure"), _short(rows, 3), left=3))
    others = [(name, f"{value:.4g}") for name, value in metrics.items() if isinstance(value, int | float)
              and name not in _SUMMARY]  # fmt: skip
    if others:
        terminal.print(facts_table("Other metrics", others))


def _accuracy(metrics: Mapping[str, Any]) -> Any:
    rows = [
        (name, percent(m["value"]), f"{percent(m['low'])} – {percent(m['high'])}", f"{m['correct']} of {m['total']}")
        for name, m in metrics.items()
        if isinstance(m, dict) and {"value", "low", "high", "correct", "total"} <= m.keys()
    ]
    return table("Accuracy", ("", "value", "95 % interval", "correct"), rows)


_SUMMARY = {
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss (nats)",
    "brier": "Brier score (0 to 2)",
    "ece": "calibration error (ECE)",
    "roc_auc": "ROC-AUC (macro)",
}


def _summary(metrics: Mapping[str, Any]) -> Any:
    rows = [
        (
            f"{kind} precision / recall / F1",
            " / ".join(f"{metrics[kind][k]:.3f}" for k in ("precision", "recall", "f1")),
        )
        for kind in ("macro", "weighted")
    ]
    for name, words in _SUMMARY.items():
        value = metrics[name]
        rows.append((words, reason_of(value) or (percent(value) if name == "balanced_accuracy" else f"{value:.4f}")))
    return facts_table("Summary", rows)


def per_class_table(classes: Mapping[str, Mapping[str, Any]], macro: Mapping[str, float]) -> Any:
    """Precision, recall with its interval, F1 and support; beyond 20 classes the worst 10 and the best 5."""
    present = sorted(((n, row) for n, row in classes.items() if row["support"]), key=lambda item: item[1]["f1"])
    title = "Per class, worst F1 first"
    if len(present) > SHOWN:
        title = f"Per class: the {WORST} worst and {BEST} best of {len(present)} by F1 (all: --json, --html)"
        shown: list[tuple[str, Mapping[str, Any]] | None] = [*present[:WORST], None, *present[-BEST:]]
    else:
        shown = [*present]
    rows = []
    for item in shown:
        if item is None:
            rows.append(("…", "", "", "", "", ""))
            continue
        name, row = item
        interval = f"{row['recall_low']:.3f} – {row['recall_high']:.3f}"
        rows.append((shortened(name, 22), f"{row['precision']:.3f}", f"{row['recall']:.3f}", interval,
                     f"{row['f1']:.3f}", f"{row['support']}"))  # fmt: skip
    rows.append(("macro mean", f"{macro['precision']:.3f}", f"{macro['recall']:.3f}", "", f"{macro['f1']:.3f}", ""))
    return table(title, ("class", "precision", "recall", "95 % interval", "F1", "support"), rows)


def _coverage(metrics: Mapping[str, Any]) -> Any:
    if reason := reason_of(metrics["coverage"]):
        return facts_table("Coverage", [("", reason)])
    rows = [
        (
            f"{row['threshold']:.2f}",
            percent(row["coverage"]),
            "-" if row["accuracy"] is None else percent(row["accuracy"]),
        )
        for row in metrics["coverage"]
    ]
    return table("Coverage at a confidence", ("at least", "of the images", "accuracy"), rows, left=0)


def _short(rows: Iterable[Sequence[str]], texts: int) -> list[tuple[str, ...]]:
    """Texts cut so that a row fits the terminal; paths keep their ends."""
    widths = {2: (24, 24), 3: (20, 14, 14)}[texts]
    return [(*(shortened(cell, width) for cell, width in zip(row, widths, strict=False)), *row[texts:]) for row in rows]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else percent(value)
