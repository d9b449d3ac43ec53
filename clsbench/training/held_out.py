"""How the final weights do on the images that were held out: outcomes, and the scores of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from clsbench.evaluation.metrics import per_class
from clsbench.predictions.block import Predictions
from clsbench.predictions.metric import Metrics, run_metrics
from clsbench.predictions.outcomes import OutcomeCollector, Outcomes, joined
from clsbench.training.batches import Batches
from clsbench.training.hardware import fitting_threads
from clsbench.training.recipes import stages
from clsbench.training.setup import Setup
from clsbench.training.validation import predict


@dataclass(frozen=True)
class HeldOut:
    """The scores of each class on a split that was held out.

    Args:
        split: ``test``, or ``val`` where there is no test split.
        metrics: What the metric ``per-class`` gave.
    """

    split: Literal["test", "val"]
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"split": self.split, **self.metrics.to_json()}


def outcomes_of(setup: Setup, split: Literal["test", "val"], classes: tuple[str, ...]) -> Outcomes | None:
    """What the classifier says of a split; None without readable images, or where a logit is not finite.

    Args:
        setup: With the final weights in its classifier, which is left on the CPU.
        split: ``test``, which training has not seen, or ``val``.
        classes: K names.
    """
    images = setup.val if split == "val" else setup.test
    if images is None:
        return None
    classifier = setup.classifier
    if split == "val":
        _, batches, features = setup.batches(stages(classifier, setup.config)[-1])
    else:
        batches, features = Batches(images, setup.config.batch_size, setup.device, processes=setup.processes), False
    classifier.to(setup.device)
    collector, finite = OutcomeCollector(classes), True
    with fitting_threads(classifier, setup.example, batches.batch_size):
        for logits, rows in predict(classifier.head if features else classifier, batches):
            finite = finite and bool(np.isfinite(logits).all())
            if finite:
                names = [images.samples[row].name for row in rows]
                collector.add(Predictions(names, logits, [None] * len(rows), images.labels[rows]))
    classifier.to("cpu")
    found = setup.processes.union({str(setup.processes.rank): (finite, collector.outcomes())}).values()
    return joined([part for _, part in found if part]) if all(finite for finite, _ in found) else None


def held_out(val: Outcomes | None, test: Outcomes | None) -> HeldOut | None:
    """The scores of the test split or, without one, of the validation split; None where neither has outcomes."""
    outcomes = val if test is None else test
    if outcomes is None:
        return None
    return HeldOut("val" if test is None else "test", run_metrics(outcomes, [("per-class", per_class.build())]))
