"""The three tables of ``clsbench infer``: accuracy, per class, throughput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsbench.cli.terminal import Terminal, facts_table, table
from clsbench.inference.timing import STAGES

#: With more classes than this the table shows the worst ones.
SHOWN_CLASSES = 20


def print_tables(terminal: Terminal, facts: Mapping[str, Any]) -> None:
    """Print what ``--json`` holds, for people."""
    metrics = facts["metrics"]
    if "top1" in metrics:
        rows = [
            (
                name,
                f"{m['value']:.2%}",
                f"{m['low']:.2%} – {m['high']:.2%}",
                f"{m['correct']} of {m['total']}",
            )
            for name, m in metrics.items()
            if isinstance(m, dict) and {"value", "low", "high", "total"} <= m.keys()
        ]
        terminal.print(table("Accuracy", ("", "value", "95 % interval", "correct"), rows))
        terminal.print(_per_class(metrics["per_class"], metrics["macro"]))
    others = [(name, f"{value:.4g}") for name, value in metrics.items() if isinstance(value, int | float)]
    if others:
        terminal.print(facts_table("Other metrics", others))
    terminal.print(_throughput(facts))


def _per_class(classes: Mapping[str, Mapping[str, Any]], macro: Mapping[str, float]) -> Any:
    present = [(name, row) for name, row in classes.items() if row["support"]]
    title = "Per class"
    if len(present) > SHOWN_CLASSES:
        present = sorted(present, key=lambda item: item[1]["f1"])[:SHOWN_CLASSES]
        title = f"Per class: the {SHOWN_CLASSES} worst by F1; all of them in the JSON"
    rows = [
        (name, f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}", f"{row['support']}")
        for name, row in present
    ]
    mean = ("macro mean", f"{macro['precision']:.3f}", f"{macro['recall']:.3f}", f"{macro['f1']:.3f}", "")
    return table(title, ("class", "precision", "recall", "F1", "support"), [*rows, mean])


def _throughput(facts: Mapping[str, Any]) -> Any:
    speed, counts, device, plan = (facts[name] for name in ("throughput", "counts", "device", "options"))
    errors = f", {counts['errors']} with errors" if counts["errors"] else ""
    stages = " · ".join(f"{stage} {speed[f'{stage}_ms_per_image']:.2f}" for stage in STAGES)
    where = device["device"] + "".join(f" {index}" for index in device.get("indices", []))
    steady = f"{speed['steady_images_per_second']:.1f} in steady state"
    rows = [
        ("images", f"{counts['total']}{errors} in {speed['seconds']:.1f} s"),
        ("images/s", f"{speed['images_per_second']:.1f} overall, {steady}"),
        ("limit", f"{speed['limit']:.1f} images/s, of which {speed['fraction_of_limit']:.0%} was reached"),
        ("ms an image", stages),
        ("device", f"{where} ({device['provider']})"),
        ("plan", "{streams} streams × {threads} threads, batches of {batch_size} ({plan})".format(**plan)),
        ("verdict", speed["verdict"]),
    ]
    return facts_table("Throughput", rows)
