"""Ctrl-C and SIGTERM during a training: exceptions at once, or after the step that is under way.

A step changes weights, optimizer, schedule and random numbers one after the other. A signal in the midst of it waits
until all of them fit together, so that the state can be saved; a second one does not wait.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clsbench.errors import Terminated

Handler = Callable[[int, Any], None] | signal.Handlers


class Interrupts:
    """What the signals of a training become: KeyboardInterrupt and Terminated."""

    def __init__(self) -> None:
        #: Whether a step is under way, so that the state is that of no moment between two steps.
        self.held = False
        self._pending: BaseException | None = None

    def hold(self) -> None:
        """A step begins."""
        self.held = True

    def release(self) -> None:
        """A step is done.

        Raises:
            KeyboardInterrupt, Terminated: if a signal came meanwhile.
        """
        self.held = False
        if self._pending:
            error, self._pending = self._pending, None
            raise error

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within, Ctrl-C and SIGTERM come to this object, unless the program has handlers of its own."""
        ctrl_c = _on(signal.SIGINT, self._heard, signal.default_int_handler)
        with ctrl_c, _on(signal.SIGTERM, self._heard, signal.SIG_DFL):
            yield

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Within, SIGTERM is ignored: a process of a group may be sent it twice."""
        with _on(signal.SIGTERM, signal.SIG_IGN, self._heard):
            yield

    def _heard(self, number: int, _: object) -> None:
        error = KeyboardInterrupt() if number == signal.SIGINT else Terminated(128 + number)
        if not self.held or self._pending:
            raise error
        self._pending = error


@contextmanager
def _on(number: signal.Signals, action: Handler, usual: Handler) -> Iterator[None]:
    """Within, a signal does this, unless it does something else than usual before."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(number) != usual:
        yield
        return
    signal.signal(number, action)
    try:
        yield
    finally:
        signal.signal(number, usual)
