"""Heatmaps: what each method costs, whether they agree, and whether what they mark matters to the model.

    python benchmarks/heatmaps.py --json heatmaps.json

The network is the pretrained EfficientNet-Lite0, the images are hymenoptera's photos, the device is the CPU; each
method explains the class predicted. Prints

- the runs of the model and the seconds an image, median over the photos, with the file open;
- how much of the probability is lost when the fifth of the pixels that a map marks most is hidden, and when
  a random square of that size is hidden instead: a map that marks what matters loses more;
- for each two methods the correlation of their maps (Pearson, median), and in how many photos the peak of the
  one lies in the top fifth of the other; by chance that would be one photo in five.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import models
import numpy as np
import pictures
from numpy.typing import NDArray
from reporting import median, note, print_table, write_json

METHODS: tuple[Literal["cam", "occlusion", "rise"], ...] = ("cam", "occlusion", "rise")

#: The part of the pixels that is hidden, and in which a peak counts as found.
TOP = 0.2


def top(heatmap: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The pixels that a map marks most."""
    return np.asarray(heatmap >= np.quantile(heatmap, 1 - TOP))


def random_square(shape: tuple[int, ...], chance: np.random.Generator) -> NDArray[np.bool_]:
    side = round((TOP * shape[0] * shape[1]) ** 0.5)
    row, column = (int(chance.integers(0, length - side + 1)) for length in shape)
    mask = np.zeros(shape, bool)
    mask[row : row + side, column : column + side] = True
    return mask


def lost(model: Any, pixels: NDArray[np.uint8], label: str, hidden: NDArray[np.bool_]) -> float:
    """The part of a class's probability that is gone when some pixels get the colour that normalises to zero."""
    k = model.classes.index(label)
    covered = np.where(hidden[..., None], np.array(model.transform.mean_color), pixels).astype(np.uint8)
    before, after = (float(model.predict(image).probabilities[k]) for image in (pixels, covered))
    return 1 - after / before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.HYMENOPTERA, help="a tar with JPEG photos")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    import clsbench

    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    falls: dict[str, list[float]] = {name: [] for name in (*METHODS, "a random square")}
    pairs = list(itertools.combinations(METHODS, 2))
    correlations: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    found: dict[tuple[str, str], int] = dict.fromkeys(pairs, 0)
    runs: dict[str, int] = {}
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        note("unpacking and exporting")
        photos = sorted(pictures.photos(given.data, Path(name) / "data"))
        photos = photos[:: max(1, len(photos) // given.photos)][: given.photos]
        with clsbench.load(models.export_lite0(Path(name)), device="cpu") as model:
            for method in METHODS:
                model.explain(photos[0], method=method)  # opens what it needs
            for number, photo in enumerate(photos, 1):
                note(f"photo {number} of {len(photos)}")
                maps = {}
                for method in METHODS:
                    start = time.perf_counter()
                    made = maps[method] = model.explain(photo, method=method)
                    seconds[method].append(time.perf_counter() - start)
                    runs[method] = made.runs
                    falls[method].append(lost(model, made.pixels, made.label, top(made.heatmap)))
                square = random_square(made.heatmap.shape, chance)
                falls["a random square"].append(lost(model, made.pixels, made.label, square))
                for one, other in pairs:
                    flat = [maps[method].heatmap.ravel() for method in (one, other)]
                    correlations[one, other].append(float(np.asarray(np.corrcoef(flat))[0, 1]))
                    found[one, other] += int(top(maps[one].heatmap)[maps[other].peak])
    rows = [
        [name, runs.get(name, ""), f"{median(seconds[name]):.3f}" if name in seconds else "", f"{median(fall):.0%}"]
        for name, fall in falls.items()
    ]
    title = f"{len(photos)} photos, {models.LITE0}"
    print_table(title, ("hidden: the top fifth of", "runs", "s an image", "probability lost"), rows)
    agreeing = [
        [f"{one}, {other}", f"{median(correlations[one, other]):.2f}", f"{found[one, other]} of {len(photos)}"]
        for one, other in pairs
    ]
    print_table("agreement", ("maps", "correlation", "peak in the top fifth"), agreeing)
    told = {f"{one}, {other}": correlations[one, other] for one, other in pairs}
    peaks = {f"{one}, {other}": found[one, other] for one, other in pairs}
    facts = {"runs": runs, "seconds": seconds, "lost": falls, "correlations": told, "peaks": peaks}
    write_json(given.json, {"model": models.LITE0, "photos": len(photos), **facts})


if __name__ == "__main__":
    main()
