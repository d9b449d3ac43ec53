"""Launching: processes of one program that train together, started by this one or by ``accelerate launch``.

What tells a process its place are the variables of the environment that ``torchrun`` sets, and ``accelerate launch``
by it: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.errors import ClsbenchError, OptionError
from clsbench.machine import available_cores, processes_here

if TYPE_CHECKING:
    from torch.multiprocessing.spawn import ProcessContext

    from clsbench.training.processes import Processes

#: Seconds: to be ready to connect, until a process that has ended is known to have, and to end when told to.
READY, NOTICED, ENDING = 300.0, 5.0, 5.0


def launched() -> int:
    """How many processes were started together with this one, on all machines; 1 where it is alone.

    Raises:
        OptionError: if what the environment says of it makes no sense.
    """
    if "RANK" not in os.environ or (size := os.environ.get("WORLD_SIZE", "1")) == "1":
        return 1
    rank = os.environ["RANK"]
    if not (rank.isdecimal() and size.isdecimal() and int(rank) < int(size)):
        got = f"RANK={rank!a}, WORLD_SIZE={size!a}"
        raise _wrong("the environment names no process among others", got, "RANK from 0, below WORLD_SIZE")
    if "MASTER_ADDR" not in os.environ:
        raise _wrong("the environment does not say where the first process is", f"RANK={rank} of {size}", "MASTER_ADDR")
    return int(size)


def _wrong(what: str, got: str, expected: str) -> OptionError:
    hint = "start with accelerate launch -m clsbench train, or unset RANK to train in one process"
    return OptionError(what, got=got, expected=expected, hint=hint)


def secondary() -> bool:
    """Whether this process trains with others and is not the first of them, which alone prints and writes."""
    return launched() > 1 and os.environ["RANK"] != "0"


def join(device: str, who_ended: Callable[[], str | None] = lambda: None) -> Processes:
    """Meet the processes that were started together with this one.

    Args:
        device: ``cpu`` or ``cuda``.
        who_ended: Which of the others has ended, if that is known.
    """
    from clsbench.training.processes import Processes

    if launched() == 1:
        return Processes(device)
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # of an earlier training, perhaps on another device
    ready()
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))  # Accelerate warns where there is none
    state = PartialState(cpu=device == "cpu")
    return Processes(
        state.device,
        rank=state.process_index,
        count=state.num_processes,
        local_count=processes_here(),
        who_ended=who_ended,
    )


class Others:
    """The further processes, seen from the first.

    Args:
        context: torch's.
        folder: Where each leaves a file when it is ready, and the text of its error.
    """

    def __init__(self, context: ProcessContext, folder: Path) -> None:
        self._context, self._folder, self._count = context, folder, len(context.processes) + 1

    def wait_until_ready(self) -> None:
        """Wait until all of them can be connected to.

        Raises:
            ClsbenchError: if one of them ends, or takes too long.
        """
        end = time.monotonic() + READY
        while any(not (self._folder / f"{rank}.ready").exists() for rank in range(1, self._count)):
            if ended := self.who_ended(0):
                raise ClsbenchError(ended)
            if time.monotonic() > end:
                raise ClsbenchError("a process does not start", where="--devices", got=f"nothing after {READY:.0f} s")
            time.sleep(0.02)

    def who_ended(self, within: float = NOTICED) -> str | None:
        """Which process ended of itself, and how; None if none did within so many seconds."""
        end = time.monotonic() + within
        while True:
            failed = [k for k, process in enumerate(self._context.processes, 1) if process.exitcode not in (None, 0)]
            if failed:
                return self._describe(failed[0], self._context.processes[failed[0] - 1].exitcode or 0)
            if time.monotonic() >= end:
                return None
            time.sleep(0.02)

    def _describe(self, rank: int, code: int) -> str:
        told = self._folder / f"{rank}.error"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        text = f"process {rank} of {self._count} {how}"
        return f"{text}: {told.read_text(encoding='utf-8')}" if told.is_file() else text

    def end(self) -> None:
        """End those that are still there."""
        for act in ("terminate", "kill"):
            for process in self._context.processes:
                if process.is_alive():
                    getattr(process, act)()
            deadline = time.monotonic() + ENDING
            for process in self._context.processes:
                process.join(max(0.0, deadline - time.monotonic()))

    def finish(self) -> None:
        """Wait for those that have the same to do as this one, which is done."""
        deadline = time.monotonic() + ENDING
        for process in self._context.processes:
            process.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def beside(count: int, target: Callable[..., object], arguments: Mapping[str, object]) -> Iterator[Others]:
    """Within, ``count - 1`` further processes run ``target(**arguments)``, and this one is the first of them.

    They print nothing, ignore Ctrl-C, which this process answers, and end with it.

    Args:
        count: Of all processes.
        target: An importable function; it has to :func:`join`.
        arguments: Of the function; they can be pickled.
    """
    from accelerate.utils import patch_environment
    from torch.multiprocessing.spawn import start_processes

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    threads = os.environ.get("OMP_NUM_THREADS", max(1, available_cores() // count))
    with (
        tempfile.TemporaryDirectory(prefix="clsbench-") as folder,
        patch_environment(**place, RANK=0, LOCAL_RANK=0, OMP_NUM_THREADS=threads),
    ):
        context = start_processes(  # type: ignore[no-untyped-call]
            _run, args=(target, dict(arguments), folder, os.getpid()), nprocs=count - 1, join=False, daemon=True,
            start_method="spawn",
        )  # fmt: skip
        others = Others(context, Path(folder))
        try:
            others.wait_until_ready()
            yield others
            others.finish()
        finally:
            others.end()
            leave()
            for file in context.error_files:  # of torch, for its join
                Path(file).unlink(missing_ok=True)


def leave() -> None:
    """Part from the other processes; a training in this program can begin anew."""
    import torch.distributed
    from accelerate.state import AcceleratorState

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def ready() -> None:
    """Tell the first process that this one is about to join it."""
    if folder := os.environ.get("CLSBENCH_TOGETHER"):
        Path(folder, f"{os.environ['RANK']}.ready").touch()


def _run(index: int, target: Callable[..., object], arguments: dict[str, object], folder: str, parent: int) -> None:
    """One of the further processes: it fails with its error, whose text it leaves, but not with that of another."""
    rank = str(index + 1)
    os.environ.update(RANK=rank, LOCAL_RANK=rank, CLSBENCH_TOGETHER=folder)
    signal.signal(signal.SIGINT, lambda *_: os._exit(1) if os.getppid() != parent else None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)  # the first process's results alone stand there
    from clsbench.training.processes import LostProcess

    try:
        target(**arguments)
    except LostProcess:
        return  # it ends because another did, which is the one to tell of
    except Exception as error:
        text = error.one_line() if isinstance(error, ClsbenchError) else f"{type(error).__name__}: {error}"
        Path(folder, f"{rank}.error").write_text(text, encoding="utf-8")
        raise  # torch makes an exit code of it, and keeps the traceback
