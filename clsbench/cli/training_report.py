"""What ``train`` prints at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.text import counted

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.cli.terminal import Terminal
    from clsbench.training.epochs import Epoch
    from clsbench.training.training_run import TrainingResult

#: The share of the time that steps wait for their images from which on that is worth advice.
SLOW_DATA = 0.3


def report_training(terminal: Terminal, result: TrainingResult) -> None:
    """Print how it went, what the best weights are worth, and what to do next."""
    from clsbench.cli.evaluation_tables import display_table

    if terminal.quiet or not terminal.notes_beside_results:
        terminal.print(_table(result))  # else its lines stand above already
    trained = [epoch for epoch in result.history if epoch.images_per_second]
    if trained:
        last = trained[-1]
        data = "; --cache ram, or more cores, would help" if last.waited >= SLOW_DATA else ""
        speed = f"speed: {last.images_per_second:,.0f} images/s in the last epoch"
        terminal.note(f"{speed}, of which steps waited {last.waited:.0%} of the time for their images{data}")
    if result.stopped:
        terminal.print(f"stopped early: {result.stopped}")
    best, total = result.best, result.record.counts.get("val", 0)
    of = f" (of {best.val_images:,} of {counted(total, 'image')})" if best.val_images < total else ""
    terminal.print(
        f"best: {best.val_accuracy:.2%} validation accuracy{of} in epoch {best.epoch}, written to {result.run.path}"
    )
    if result.test_accuracy is not None:
        terminal.print(f"test: {result.test_accuracy:.2%} with these weights{_interval(result)}")
    if result.held_out:
        split = {"test": "test", "val": "validation"}[result.held_out.split]
        for display in result.held_out.metrics.shown("infer", "table"):
            name, colon, many = display.title.partition(":")
            terminal.print(display_table(display, terminal, title=f"{name} ({split} split){colon}{many}"))
    judged = "validation" if result.test_accuracy is None else "test"
    terminal.next("evaluate", result.run.path, why=f"exports it, then judges its {judged} split")
    terminal.next("export", result.run.path)


def epoch_line(result: Epoch, epochs: int) -> str:
    """How an epoch went; a star marks the best so far."""
    number = f"{result.epoch:>{len(str(epochs))}}/{epochs}"
    return (
        f"epoch {number} {result.stage:<10}  loss {result.train_loss:z.4f}  "
        f"val loss {result.val_loss:z.4f}  accuracy {result.val_accuracy:7.2%}  {result.seconds:.1f} s"
        + (" *" if result.best else "")
    )


def _interval(result: TrainingResult) -> str:
    """How far the accuracy of the test split can be relied on."""
    from clsbench.evaluation.metrics.per_class import PerClass
    from clsbench.predictions.values import Proportion

    scores = result.held_out.metrics.find("per_class", PerClass) if result.held_out else None
    if not isinstance(scores, PerClass) or result.test_accuracy is None:
        return ""
    total = sum(row.support for row in scores.present)
    share = Proportion.of(round(result.test_accuracy * total), total)
    return f" ({share.correct:,} of {total:,}, 95% interval {share.low:.2%} – {share.high:.2%})"


def _table(result: TrainingResult) -> Table:
    from clsbench.cli.tables import table

    rows = [
        (
            f"{e.epoch}{' *' if e.epoch == result.best.epoch else ''}",
            e.stage,
            f"{e.train_loss:z.4f}",
            f"{e.train_accuracy:.2%}",
            f"{e.val_loss:z.4f}",
            f"{e.val_accuracy:.2%}",
            f"{e.seconds:.1f}",
        )
        for e in result.history
    ]
    columns = ("epoch", "stage", "training loss", "accuracy", "validation loss", "accuracy", "seconds")
    return table("Training (* best)", columns, rows, left=2)
