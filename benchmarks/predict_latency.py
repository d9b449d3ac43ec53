"""One image at a time: ``clsbench.load(model).predict(path)`` against a plain onnxruntime and Pillow call.

    python benchmarks/predict_latency.py --json latency.json

The images are hymenoptera's photos, the network an EfficientNet-Lite0 with random weights, the
device the CPU. Both sides live in this process, have been called once before, and turn a path into
the best label and its probability: ours by ``predict``, the peer by Pillow (the same crop and
resize), an onnxruntime session with default options, and softmax. They take turns on each photo,
and a different one begins in each round. Before each call a pause lets the other's spinning
threads go to sleep. Prints the median time of each and the median of the ratios of each pair.
Wanted: at most 1.3.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np
import peers
import pictures
from reporting import median, note, print_table, write_json

#: A path in, the best label and its probability out.
Predict = Callable[[str], tuple[str | None, float]]

#: Seconds before each timed call.
PAUSE = 0.1


def ours(model: Path) -> Predict:
    import clsbench

    opened = clsbench.load(model, device="cpu")

    def predict(path: str) -> tuple[str | None, float]:
        found = opened.predict(path)
        return found.label, found.confidence

    return predict


def plain(model: Path) -> Predict:
    from clsbench.model_file import read_card

    loop, classes = peers.Loop(model), read_card(model).classes

    def predict(path: str) -> tuple[str | None, float]:
        image = peers.PillowDataset([path], loop.transform)[0]
        logits = loop.session.run(None, {"images": image[None]})[0][0]
        powers = np.exp(logits - logits.max())
        best = int(logits.argmax())
        return classes[best], float(powers[best] / powers.sum())

    return predict


def timed(predict: Predict, path: str) -> tuple[float, str | None]:
    """Milliseconds, and the label."""
    time.sleep(PAUSE)
    start = time.perf_counter()
    label, _ = predict(path)
    return 1000 * (time.perf_counter() - start), label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.HYMENOPTERA, help="a tar with JPEG photos")
    parser.add_argument("--model", default=models.LITE0)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    times: dict[str, list[float]] = {"clsbench": [], "onnxruntime + Pillow": []}
    same = 0
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        note("unpacking and exporting")
        photos = [str(file) for file in pictures.photos(given.data, Path(name) / "data")]
        photos = photos[:: max(1, len(photos) // given.photos)][: given.photos]
        model = models.export_random(given.model, Path(name))
        sides = dict(zip(times, (ours(model), plain(model)), strict=True))
        for predict in sides.values():
            predict(photos[0])
        for number in range(given.rounds):
            note(f"round {number + 1} of {given.rounds}")
            order = list(sides.items())[:: 1 if number % 2 else -1]
            for photo in photos:
                labels = set()
                for side, predict in order:
                    took, label = timed(predict, photo)
                    times[side].append(took)
                    labels.add(label)
                same += len(labels) == 1
    ratio = median(mine / theirs for mine, theirs in zip(*times.values(), strict=True))
    rows = [[side, *(f"{pick(spent):.2f}" for pick in (median, min, max))] for side, spent in times.items()]
    pairs = given.rounds * len(photos)
    print_table(f"{pairs} calls of {given.model} on one photo, ms", ("", "median", "min", "max"), rows)
    print(f"\nmedian ratio {ratio:.2f} (wanted: at most 1.30); same label in {same} of {pairs} pairs")
    write_json(given.json, {"model": given.model, "photos": len(photos), "ratio": ratio, "same": same, "ms": times})


if __name__ == "__main__":
    main()
