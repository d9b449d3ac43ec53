"""The three tables of ``clsbench infer``: accuracy, per class, throughput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsbench.cli.evaluation_tables import print_metrics
from clsbench.cli.terminal import Terminal, facts_table
from clsbench.inference.timing import STAGES
from clsbench.predictions.metric import Metrics


def print_tables(terminal: Terminal, facts: Mapping[str, Any], metrics: Metrics) -> None:
    """Print what ``--json`` holds, for people."""
    print_metrics(terminal, metrics, "infer")
    terminal.print(_throughput(facts))


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
