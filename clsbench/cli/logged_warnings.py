"""What is logged as a warning, shown on the terminal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal


class LoggedWarnings(logging.Handler):
    """Warnings of the logger ``clsbench``, from code that has no observer, as warnings on the terminal."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        self._terminal.warn(record.getMessage())
