"""How often `export --calibrate` and `--abstain-at-precision` err: the figures behind their intervals.

    python benchmarks/calibration.py --json calibration.json

Logits are drawn whose softmax is the truth, and multiplied by a temperature; what is said of N images is compared with
20,000 others. Takes a minute on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from reporting import note, print_table, write_json
from scipy.special import softmax

from clsbench.errors import DataError, ModelError
from clsbench.exporting.abstention import choose_threshold
from clsbench.exporting.calibration import LabelledLogits, calibrate, confidences, losses
from clsbench.predictions.abstaining import abstains

CLASSES, NEW, ROUNDS = 3, 20_000, 120


def drawn(count: int, temperature: float, seed: int, *, spread: float = 3.0) -> LabelledLogits:
    """Images of a model whose best temperature is known."""
    random = np.random.default_rng(seed)
    logits = spread * random.normal(size=(count, CLASSES))
    labels = (softmax(logits, axis=1).cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return LabelledLogits((temperature * logits).astype(np.float32), labels)


def calibrations() -> list[dict[str, float]]:
    """Whether the 95 % intervals hold the truth, and how often help or harm is claimed where it is not."""
    rows = []
    for temperature in (1.0, 1.3, 2.0):
        new = drawn(NEW, temperature, seed=10**6)
        plain = losses(new.logits, new.labels, 1.0).mean()
        for count in (60, 300, 1000):
            found = []
            for seed in range(ROUNDS):
                try:
                    fitted, record = calibrate(drawn(count, temperature, seed), seed=seed)
                except (DataError, ModelError):
                    continue
                change = float(losses(new.logits, new.labels, fitted).mean() - plain)
                (low, high), (least, most) = record.temperature_interval, record.log_loss_change
                wrongly = (record.helps and change >= 0) or (record.harms and change <= 0)
                found.append((low <= temperature <= high, least <= change <= most, record.helps, wrongly))
            of_temperature, of_change, helps, wrong = np.mean(found, axis=0).tolist()
            rows.append({"temperature": temperature, "images": count, "temperature_held": of_temperature,
                         "change_held": of_change, "helps": helps, "wrong": wrong})  # fmt: skip
            note(f"temperature {temperature:g}, {count} images")
    columns = ("temperature", "images", "its interval", "interval of the change", "said to help", "said wrongly")
    names = ("temperature_held", "change_held", "helps", "wrong")
    table = [[f"{r['temperature']:g}", int(r["images"]), *(f"{r[name]:.0%}" for name in names)] for r in rows]
    print_table("The 95 % intervals of a calibration hold the truth", columns, table)
    return rows


def abstentions() -> list[dict[str, float]]:
    """The precision that is told, and that of other images."""
    rows, new = [], drawn(NEW, 1.0, seed=10**6, spread=5.0)
    sure, right = confidences(new.logits, 1.0), new.logits.argmax(axis=1) == new.labels
    for count, target in ((200, 0.9), (400, 0.95), (1000, 0.95), (1000, 0.99)):
        told, truth, held = [], [], []
        for seed in range(ROUNDS):
            try:
                below, record = choose_threshold(drawn(count, 1.0, seed, spread=5.0), target, seed=seed)
            except DataError:
                continue
            precision = float(right[~abstains(sure, below)].mean())
            low, high = record.precision_interval
            told.append(record.precision or 0.0)
            truth.append(precision)
            held.append(low <= precision <= high)
        means = [float(np.mean(values)) for values in (told, truth, held)]
        rows.append({"images": count, "target": target, "told": means[0], "truth": means[1], "held": means[2]})
    table = [[int(r["images"]), f"{r['target']:g}", *(f"{r[k]:.1%}" for k in ("told", "truth", "held"))] for r in rows]
    columns = ("images", "target", "precision told", "of other images", "its interval holds that")
    print_table("Precision of what is kept", columns, table)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    write_json(given.json, {"calibrations": calibrations(), "abstentions": abstentions()})


if __name__ == "__main__":
    main()
