"""Ctrl-C while a network computes: ONNX Runtime is told to stop at its next node.

Python handles a signal only once its main thread is back from a library, which for a call of an endless graph is never.
Where the main thread itself is in the call, Python's wakeup descriptor tells a thread of ours; where it waits for a
worker, it is free to call :meth:`Calls.stop`.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

_MAIN = threading.main_thread().ident


class Calls:
    """The calls of a backend that are under way, each with a RunOptions of its own."""

    def __init__(self) -> None:
        import onnxruntime as ort

        self._options: Callable[[], Any] = ort.RunOptions
        self._running: set[Any] = set()

    def run(self, call: Callable[[Any], Any]) -> Any:
        """Call with options that can end it; KeyboardInterrupt ends it in the main thread too."""
        options = self._options()
        self._running.add(options)
        try:
            return _watched(call, options) if threading.get_ident() == _MAIN else call(options)
        finally:
            self._running.discard(options)

    def stop(self) -> None:
        """End every call under way with an error."""
        for options in list(self._running):
            options.terminate = True


class _Watch:
    """A thread that is told of signals as they arrive."""

    def __init__(self) -> None:
        self._heard, self.told = socket.socketpair()
        self.told.setblocking(False)
        self.options: Any = None
        threading.Thread(target=self._listen, name="clsbench-interrupts", daemon=True).start()

    def _listen(self) -> None:
        while data := self._heard.recv(64):
            if (options := self.options) is not None and any(map(_ends, data)):
                options.terminate = True


_watch: _Watch | None = None


def _watched(call: Callable[[Any], Any], options: Any) -> Any:
    """Call in the main thread, unless somebody else, such as asyncio, listens to signals there."""
    global _watch
    _watch = watch = _watch or _Watch()
    before = signal.set_wakeup_fd(watch.told.fileno(), warn_on_full_buffer=False)
    try:
        if before != -1:
            signal.set_wakeup_fd(before)
        watch.options = options
        return call(options)
    finally:
        watch.options = None
        signal.set_wakeup_fd(before)


def _ends(number: int) -> bool:
    """Whether a signal's handler raises what ends the program: Python's own, or that of our command line."""
    handler = signal.getsignal(number)
    ours = str(getattr(handler, "__module__", "")).startswith("clsbench.")
    return handler is signal.default_int_handler or ours


def _forget() -> None:
    """In a forked process: the thread is not there."""
    global _watch
    _watch = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
