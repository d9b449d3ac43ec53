"""Runs one job again and again in processes that are killed, or that may write small files only; see test_resume.py.

    python killed_jobs.py '{"job": {…}, "attempts": [{"kill_at": 200}, {"largest_file": 20000}, {}], "feature_dim": 6}'

Prints for each attempt how it ended, and how many rows the ledger has. The processes are forked, so that Python and
its packages are loaded once.
"""

import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import onnxruntime  # noqa: F401  here and not in each process
import pyarrow.parquet  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.metrics  # noqa: F401

from clsbench import Observer
from clsbench.api.infer import infer
from clsbench.errors import ClsbenchError
from clsbench.inference import pipeline
from clsbench.predictions import ledger

# Small blocks, recorded often: a job can be cut off in many places.
ledger.INTERVAL, pipeline.MOST_DELIVERED = 0.005, 16


class Progress(Observer):
    """Writes a byte for every image that is done."""

    def __init__(self, pipe):
        self.pipe = pipe

    def advance(self, count, errors=0):
        os.write(self.pipe, b"." * count)


def attempt(job, kill_at=None, largest_file=None):
    """Run the job in a process of its own, and kill it once so many images are done.

    Returns:
        Its exit status, negative if it was killed.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            if largest_file:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
            infer(**job, keep_rows=False, observer=Progress(writer))
        except ClsbenchError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(1)
        except BaseException:  # noqa: BLE001  told by the exit status
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    os.close(writer)
    done = 0
    while (more := len(os.read(reader, 64))) and (kill_at is None or done < kill_at):
        done += more
    if more:
        time.sleep(random.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def rows(job, feature_dim):
    """How many rows are safe."""
    file = ledger.ledger_path(Path(job["out"]))
    found = ledger.Ledger(file, [], np.empty((0, 2), np.int64), classes=3, feature_dim=feature_dim)
    return found.rows if file.exists() else None


def main():
    given = json.loads(sys.argv[1])
    job, dim = given["job"], given.get("feature_dim")
    ended = [(attempt(job, **options), rows(job, dim)) for options in given["attempts"]]
    sys.stdout.write(json.dumps(ended))


if __name__ == "__main__":
    main()
