"""What takes the blocks of an inference job: the predictions file, and whoever else wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from clsbench.inference.result import Tally
    from clsbench.predictions.block import Predictions
    from clsbench.predictions.manifest import Manifest


class Sink(Protocol):
    """Takes the blocks of a job, in order and with their labels."""

    def write(self, predictions: Predictions, /) -> None:
        """Take the next block."""


class Sinks:
    """All of them together.

    Args:
        writers: Open the predictions file; called for the first block, when the model is known to run.
        others: What else takes the blocks.
        labels: Of all images of the job, -1 where unknown.
        tally: Counts them.
        files: Closes the predictions file.
    """

    def __init__(
        self,
        writers: Sequence[Callable[[], AbstractContextManager[Any]]],
        others: Sequence[Sink],
        labels: Sequence[int],
        tally: Tally,
        files: ExitStack,
    ) -> None:
        import numpy as np

        self._writers, self._others, self._tally, self._files = writers, others, tally, files
        self._labels = np.array(labels, np.int64)
        self._opened: list[Sink] | None = None

    def open(self) -> list[Sink]:
        """All that take blocks, opened if they are not."""
        if self._opened is None:
            self._opened = [*(self._files.enter_context(build()) for build in self._writers), *self._others]
        return self._opened

    def take(self, block: Predictions) -> int:
        """Give a block its labels, and hand it on; returns how many of its images failed."""
        block = block.labelled(self._labels[self._tally.total : self._tally.total + len(block.names)])
        for sink in self.open():
            sink.write(block)
        return self._tally.add(block)

    def describe(self, manifest: Manifest) -> None:
        """Keep in the file itself, where its format has a place for it, what is the same each time the job is run."""
        for sink in self.open():
            if describe := getattr(sink, "describe", None):
                describe(manifest.lasting())
