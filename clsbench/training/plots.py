"""The plots of a finished run: curves by epoch, and how its best weights do on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from clsbench.evaluation.metrics.calibration import reliability
from clsbench.evaluation.metrics.confusion import Confusion
from clsbench.evaluation.report.plots import save_confusion, save_reliability
from clsbench.images.figures import save_figure
from clsbench.predictions.outcomes import Outcomes
from clsbench.text import printable
from clsbench.training.loop import Epoch, Trainer


def save_plots(trainer: Trainer, outcomes: Outcomes | None) -> None:
    """Draw ``curves.png``, ``confusion.png`` and ``reliability.png`` into the run's directory.

    Args:
        trainer: Finished.
        outcomes: Of its best weights on the validation split.
    """
    run = trainer.run
    save_curves(trainer.history, trainer.rates, run.curves, title=run.name)
    if outcomes is not None:
        save_confusion(Confusion.of(outcomes), run.confusion)
        save_reliability(reliability(outcomes.confidence, outcomes.predicted == outcomes.labels), run.reliability)


def save_curves(history: Sequence[Epoch], rates: Sequence[tuple[float, float]], file: Path, *, title: str) -> None:
    """Draw losses (nats), accuracies (%) and the learning rate into a PNG.

    Args:
        history: One entry an epoch; a dotted line marks where a new stage begins.
        rates: (epochs done, learning rate) at each step.
        file: The PNG.
        title: Above it all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 3.5))
    figure.subplots_adjust(left=0.06, right=0.98, top=0.82, bottom=0.15, wspace=0.25)
    FigureCanvasAgg(figure)
    losses, accuracy, rate = figure.subplots(1, 3)
    epochs = [e.epoch for e in history]
    losses.plot(epochs, [e.train_loss for e in history], marker=".", label="training")
    losses.plot(epochs, [e.val_loss for e in history], marker=".", label="validation")
    losses.set(xlabel="epoch", ylabel="cross-entropy (nats)", title="loss")
    accuracy.plot(epochs, [100 * e.train_accuracy for e in history], marker=".", label="training, augmented")
    accuracy.plot(epochs, [100 * e.val_accuracy for e in history], marker=".", label="validation")
    accuracy.set(xlabel="epoch", ylabel="top-1 (%)", title="accuracy")
    rate.plot(*zip(*rates, strict=True), color="tab:green")
    rate.set(xlabel="epoch", title="learning rate of the head")
    rate.ticklabel_format(axis="y", style="scientific", scilimits=(-2, 3))
    borders = [before.epoch for before, after in pairwise(history) if before.stage != after.stage]
    for axes in (losses, accuracy, rate):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for border in borders:
            axes.axvline(border if axes is rate else border + 0.5, color="grey", linestyle=":")
    for axes in (losses, accuracy):
        axes.legend()
    figure.suptitle(printable(title), parse_math=False)
    save_figure(figure, file, dpi=120)
