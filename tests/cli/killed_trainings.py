"""Trains again and again in processes that are killed or interrupted; see test_resume_training.py.

    python killed_trainings.py '[{"options": {…}, "attempts": [{"kill_at": 7}, {"interrupt_at": 3}, {}]}]'

The first attempt of each training has the options, all others resume. Prints how each attempt ended. The processes are
forked, so that Python and torch are loaded once.
"""

import json
import os
import random
import signal
import sys
import time
import traceback

import torch

from clsbench import Observer, train
from clsbench.errors import ClsbenchError
from clsbench.training import journal, training_run


class Progress(Observer):
    """Writes a byte for every batch that is done."""

    def __init__(self, pipe):
        self.pipe = pipe

    def advance(self, count, errors=0):
        os.write(self.pipe, b"." * count)

    def warn(self, text):
        sys.stderr.write(f"{text}\n")


def attempt(options, kill_at=None, interrupt_at=None):
    """Train in a process of its own, and end it once so many images and batches are done.

    Returns:
        Its exit status, negative if it was killed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            train(**options, observer=Progress(writer))
        except KeyboardInterrupt:
            os._exit(130)
        except ClsbenchError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(1)
        except BaseException:  # noqa: BLE001  told by the exit status
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    os.close(writer)
    at, done = kill_at or interrupt_at, 0
    while (more := len(os.read(reader, 64))) and (at is None or done < at):
        done += more
    if more:
        time.sleep(random.uniform(0, 0.005))
        os.kill(child, signal.SIGKILL if kill_at else signal.SIGINT)
    while os.read(reader, 4096):
        pass
    os.close(reader)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
    training_run.save_plots = journal.save_curves = lambda *_, **__: None
    given = json.loads(sys.argv[1])
    random.seed(str(given))
    ended = []
    for training in given:
        options, name = training["options"], training["options"]["run"]
        ended.append([])
        for ending in training["attempts"]:
            begun = os.path.exists(f"runs/{name}/run.json")
            ended[-1].append(attempt({"resume": name} if begun else options, **ending))
    sys.stdout.write(json.dumps(ended))


if __name__ == "__main__":
    main()
