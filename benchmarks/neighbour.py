"""Training a small network while another program uses the cores.

    python benchmarks/neighbour.py --json neighbour.json
    python benchmarks/neighbour.py --rounds 3 --epochs 4

Runs ``clsbench train`` through the command line: simple-cnn on the embedded digits, on the CPU.
The network is so small that each of its layers is shared out over the cores for less than a
millisecond, and all threads meet after each: the case in which a neighbour hurts most.

The neighbour is one process that counts and never sleeps. One is what a user has (a browser tab,
a second job), and with fair scheduling it takes a third of two cores from two threads, so that an
epoch may take 1.5 times as long. A neighbour on every core would halve the time of any program.

Two settings, alone and beside the neighbour, take turns in each round:

- *clsbench*: as it is, which is ``OMP_WAIT_POLICY=PASSIVE``: idle threads sleep.
- *spinning*: ``GOMP_SPINCOUNT=300000``, libgomp's own default, which clsbench leaves alone as it
  does any setting of a user's: idle threads spin for some 3 ms before they sleep.

Seconds an epoch are the median over the epochs after the first, of which the medians over the
rounds are shown; ratios are taken within a round. Wanted: clsbench beside the neighbour in at
most 2.5 times its time alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reporting import call, clsbench_command, median, note, print_table, write_json

SETTINGS = {"clsbench": {}, "spinning": {"GOMP_SPINCOUNT": "300000"}}

#: Variables that decide how threads wait: those of the caller must not reach a run.
OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

#: See the docstring.
WANTED = 2.5


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Within, so many processes keep a core busy each."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def epoch_seconds(setting: str, epochs: int) -> tuple[float, float]:
    """Seconds an epoch after the first, and the best validation accuracy."""
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        facts = Path(name, "facts.json")
        command = [*clsbench_command(), "train", "--epochs", epochs, "--device", "cpu", "--json", facts, "--quiet"]
        environment = [f"{key}={value}" for key, value in SETTINGS[setting].items()]
        unset = [word for variable in OWN for word in ("-u", variable)]
        call(["env", "-C", name, *unset, *environment, *command])
        found: dict[str, Any] = json.loads(facts.read_text(encoding="utf-8"))
    return median(epoch["seconds"] for epoch in found["history"][1:]), found["result"]["val_accuracy"]


def measure(given: argparse.Namespace) -> list[dict[str, dict[str, float]]]:
    """Setting -> seconds alone and beside, their ratio, and the accuracy; one entry a round."""
    rounds = []
    for number in range(1, given.rounds + 1):
        note(f"round {number} of {given.rounds}")
        found = {}
        for setting in SETTINGS:
            alone, accuracy = epoch_seconds(setting, given.epochs)
            with neighbours(given.neighbours):
                beside, accuracy_beside = epoch_seconds(setting, given.epochs)
            if accuracy != accuracy_beside:
                sys.exit(f"{setting}: the accuracy is {accuracy} alone and {accuracy_beside} beside a neighbour")
            found[setting] = {"alone": alone, "beside": beside, "ratio": beside / alone, "val_accuracy": accuracy}
            note(f"  {setting}: {alone:.2f} s alone, {beside:.2f} s beside")
        rounds.append(found)
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of a run, at least 2; the first is not counted")
    parser.add_argument("--neighbours", type=int, default=1, help="busy processes beside the training")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.rounds < 1 or given.epochs < 2 or given.neighbours < 1:
        parser.error("--rounds and --neighbours must be at least 1, --epochs at least 2")
    rounds = measure(given)
    keys = ("alone", "beside", "ratio", "val_accuracy")
    figures = {name: {key: median(r[name][key] for r in rounds) for key in keys} for name in SETTINGS}
    rows = [
        [name, f"{f['alone']:.2f}", f"{f['beside']:.2f}", f"{f['ratio']:.1f}", f"{f['val_accuracy']:.2%}"]
        for name, f in figures.items()
    ]
    print_table(
        f"An epoch of simple-cnn on the digits: seconds, medians of {given.rounds} rounds",
        ("", "alone", f"beside {given.neighbours} busy", "× alone", "validation"),
        rows,
    )
    ratio = figures["clsbench"]["ratio"]
    print(f"\n{ratio:.1f} × alone: {'within' if ratio <= WANTED else 'BEYOND'} {WANTED} ×")
    options = {"rounds": given.rounds, "epochs": given.epochs, "neighbours": given.neighbours}
    write_json(given.json, {"options": options, "figures": figures, "rounds": rounds})


if __name__ == "__main__":
    main()
