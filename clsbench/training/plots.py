"""The plots of a finished run: curves by epoch, and how its best weights do on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.evaluation.metrics.calibration import reliability
from clsbench.evaluation.metrics.confusion import Confusion
from clsbench.evaluation.report.plots import save_confusion, save_reliability
from clsbench.images.figures import save_figure
from clsbench.predictions.outcomes import Outcomes
from clsbench.text import printable, shortened
from clsbench.training.config import TrainConfig
from clsbench.training.epochs import Epoch
from clsbench.training.loop import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def save_plots(trainer: Trainer, outcomes: Outcomes | None) -> None:
    """Draw ``curves.png``, ``confusion.png`` and ``reliability.png`` into the run's directory.

    Args:
        trainer: Finished; without an epoch there is nothing to draw.
        outcomes: Of its best weights on the validation split.
    """
    run = trainer.run
    if not trainer.history:
        return
    save_curves(trainer.history, trainer.rates, run.curves, title=run.name, config=trainer.config)
    if outcomes is not None:
        save_confusion(Confusion.of(outcomes), run.confusion, kind="validation image")
        found = reliability(outcomes.confidence, outcomes.predicted == outcomes.labels)
        save_reliability(found, run.reliability, kind="validation image")


def save_curves(
    history: Sequence[Epoch], rates: Sequence[tuple[float, float]], file: Path, *, title: str, config: TrainConfig
) -> None:
    """Draw losses (nats), accuracies (%) and the learning rate into a PNG.

    Every panel has the same axis: epoch e reaches from e - 1/2 to e + 1/2, its losses and accuracies stand at e,
    and a dotted line divides it from the first epoch of a new stage. The stages are named below, where short ones
    do not overlap.

    Args:
        history: One entry an epoch, at least one.
        rates: (epochs done, learning rate) at each step.
        file: The PNG.
        title: Above it all.
        config: What was done, for the legends.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracy, rate = figure.subplots(1, 3)
    epochs, (train, val) = [e.epoch for e in history], _legends(config)
    losses.plot(epochs, [e.train_loss for e in history], marker=".")
    losses.plot(epochs, [e.val_loss for e in history], marker=".")
    losses.set(ylabel="cross-entropy (nats)", title="loss")
    accuracy.plot(epochs, [100 * e.train_accuracy for e in history], marker=".", label=train)
    accuracy.plot(epochs, [100 * e.val_accuracy for e in history], marker=".", label=val)
    accuracy.set(ylabel="top-1 (%)", title="accuracy")
    rate.plot([done + 0.5 for done, _ in rates], [lr for _, lr in rates], color="tab:green")
    rate.set(ylabel="learning rate of the head", title=f"{config.optimizer}, {config.schedule}")
    for axes in (losses, accuracy, rate):
        _divide(axes, history)
    stages = [history[0].stage, *(after.stage for before, after in pairwise(history) if before.stage != after.stage)]
    handles, _ = accuracy.get_legend_handles_labels()
    if len(stages) > 1:
        handles.append(Line2D([], [], color="grey", linestyle=":", label=f"stages: {', '.join(stages)}"))
    # Below, where it covers no curve.
    figure.legend(handles=handles, loc="outside lower left", fontsize=8, ncols=3, frameon=False)
    accuracy.set_ylim(top=min(accuracy.get_ylim()[1], 102))
    figure.suptitle(shortened(printable(title), 100), parse_math=False)
    save_figure(figure, file, dpi=120)


def _legends(config: TrainConfig) -> tuple[str, str]:
    """What was done to the images and the loss of training, and to the weights of validation."""
    done = [f"augmentation {config.augment}"] if config.augment != "none" else ["no augmentation"]
    done += [name for name, on in (("Mixup", config.mixup), ("CutMix", config.cutmix)) if on]
    done += [f"label smoothing {config.label_smoothing:g}"] if config.label_smoothing else []
    done += ["class weights"] if config.class_weights != "none" else []
    return f"training ({', '.join(done)})", "validation" + (" (EMA weights)" if config.ema else "")


def _divide(axes: Axes, history: Sequence[Epoch]) -> None:
    """Epochs along the axis, and where stages begin."""
    from matplotlib.ticker import MaxNLocator

    axes.grid(alpha=0.3)
    axes.set(xlabel="epoch", xlim=(history[0].epoch - 0.5, history[-1].epoch + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    # Neither an offset nor a power of ten, which would stand in the title.
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    for before, after in pairwise(history):
        if before.stage != after.stage:
            axes.axvline(before.epoch + 0.5, color="grey", linestyle=":")
