"""Progress of a training on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from clsbench.cli.terminal import Terminal
    from clsbench.datasets.data_check import DataCheck
    from clsbench.training.loop import Epoch


class TrainingProgress:
    """One bar at a time: reading, features, then each stage with loss, accuracy and remaining time.

    Args:
        terminal: Where the bar and warnings go.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal, self._progress = terminal, terminal.progress("loss", "accuracy")
        self._task: TaskID | None = None

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def checked(self, check: DataCheck) -> None:
        """The images have been read: warn before they are trained on."""
        for finding in check.findings:
            self._terminal.warn(finding.message)

    def stage(self, name: str, total: int) -> None:
        """Something long begins."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total, loss="", accuracy="")

    def advance(self, count: int) -> None:
        """So many images or batches are done."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def loss(self, epoch: int, loss: float) -> None:
        """The running mean loss."""
        if self._task is not None:
            self._progress.update(self._task, loss=f"epoch {epoch} loss {loss:.4f}")

    def epoch(self, result: Epoch) -> None:
        """An epoch is done."""
        if self._task is not None:
            self._progress.update(self._task, accuracy=f"val {result.val_accuracy:.2%}")
