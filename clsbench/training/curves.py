"""curves.png: loss and accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clsbench.training.loop import Epoch


def save_curves(history: Sequence[Epoch], file: Path, *, title: str) -> None:
    """Draw losses (nats) and validation accuracy (%) by epoch into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracy = figure.subplots(1, 2)
    epochs = [e.epoch for e in history]
    losses.plot(epochs, [e.train_loss for e in history], marker=".", label="training")
    losses.plot(epochs, [e.val_loss for e in history], marker=".", label="validation")
    losses.set(xlabel="epoch", ylabel="cross-entropy (nats)", title="loss")
    losses.legend()
    accuracy.plot(epochs, [100 * e.val_accuracy for e in history], marker=".", color="tab:green")
    accuracy.set(xlabel="epoch", ylabel="top-1 (%)", title="validation accuracy")
    for axes in (losses, accuracy):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title)
    figure.savefig(file, dpi=120)
