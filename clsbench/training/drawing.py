"""The images of a finished run: curves, and how its best weights do on the validation split."""

from __future__ import annotations

import numpy as np

from clsbench.evaluation.metrics.calibration import reliability
from clsbench.evaluation.metrics.confusion import Confusion
from clsbench.evaluation.report.plots import save_confusion, save_reliability
from clsbench.predictions.block import Predictions
from clsbench.predictions.outcomes import OutcomeCollector
from clsbench.training.curves import save_curves
from clsbench.training.loop import Trainer
from clsbench.training.recipes import stages
from clsbench.training.setup import Setup
from clsbench.training.steps import predict
from clsbench.training.threads import fitting_threads


def save_pictures(setup: Setup, trainer: Trainer, classes: tuple[str, ...]) -> None:
    """Draw ``curves.png``, ``confusion.png`` and ``reliability.png`` into the run's directory.

    Args:
        setup: With the best weights in its classifier.
        trainer: Finished.
        classes: K names.
    """
    run, classifier = trainer.run, setup.classifier
    save_curves(trainer.history, trainer.rates, run.curves, title=run.name)
    _, val, features = setup.batches(stages(classifier, setup.config)[-1])
    classifier.to(setup.device)
    with fitting_threads(classifier, setup.example, val.batch_size):
        logits = predict(classifier.head if features else classifier, val)
    classifier.to("cpu")
    rows = setup.val.indices
    collector = OutcomeCollector(classes)
    names = [setup.val.samples[row].name for row in rows]
    collector.add(Predictions(names, logits, [None] * len(rows), setup.val.labels[rows]))
    outcomes = collector.outcomes()
    if outcomes is not None and np.isfinite(logits).all():
        save_confusion(Confusion.of(outcomes), run.confusion)
        save_reliability(reliability(outcomes.confidence, outcomes.predicted == outcomes.labels), run.reliability)
