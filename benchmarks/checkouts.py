"""``clsbench infer`` of this checkout against that of another one, such as the commit before a change.

    git worktree add /tmp/before COMMIT
    python benchmarks/checkouts.py /tmp/before --json checkouts.json

Two jobs: 10,000 CIFAR-10 files with simple-cnn, where every microsecond an image shows, and photos
with the pretrained EfficientNet-Lite0. Both checkouts run the same model files and images in this
environment (PYTHONPATH chooses the code), with the same plan, one after the other; the order changes
from round to round. Prints images/s of both and the median of the ratios of each round, and whether
both wrote the same predictions.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import HERE, infer, median, note, print_table, write_json

#: Streams, threads and images a call: fixed, so that no checkout measures a plan of its own.
PLAN = ("--tune", "off", "--streams", 2, "--threads", 1, "--batch-size")


def compare(images: Path, model: Path, batch_size: int, checkouts: dict[str, Path], rounds: int) -> dict[str, Any]:
    """images/s of each checkout, round by round, and whether the files are the same."""
    rates: dict[str, list[float]] = {name: [] for name in checkouts}
    written: dict[str, bytes] = {}
    for number in range(rounds + 1):
        note(f"{model.stem}: round {number} of {rounds}" + ("" if number else " (not counted)"))
        for name in list(checkouts)[:: 1 if number % 2 else -1]:
            out = model.with_name(f"{name}.csv")
            environment = {"PYTHONPATH": str(checkouts[name]), "XDG_CACHE_HOME": str(model.parent / "cache")}
            facts = infer(images, model, out, *PLAN, batch_size, environment=environment)
            written[name] = out.read_bytes()
            if number:
                rates[name].append(facts["throughput"]["images_per_second"])
    ratio = median(new / old for new, old in zip(rates["this"], rates["other"], strict=True))
    return {"rates": rates, "ratio": ratio, "same": written["this"] == written["other"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the root of the other checkout")
    parser.add_argument("--photos", type=int, default=800)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    checkouts = {"this": HERE.parent, "other": given.other.resolve()}
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        note("unpacking and exporting")
        root = pictures.unpack(pictures.CIFAR10, folder / "data", below="cifar10/test/")
        tiny = sorted((root / "cifar10" / "test").rglob("*.jp*g"))
        small = pictures.hard_links(tiny[:: max(1, len(tiny) // given.small)], folder / "small", given.small)
        photos = pictures.round_robin(
            pictures.photos(pictures.HYMENOPTERA, folder / "distinct"), folder / "photos", given.photos
        )
        jobs = {
            "32×32, simple-cnn": (small, models.export_random("simple-cnn", folder, [str(k) for k in range(10)]), 32),
            "photos, Lite0": (photos[0].parent, models.export_lite0(folder), 4),
        }
        found = {job: compare(*what, checkouts, given.rounds) for job, what in jobs.items()}
    rows = [
        [
            job,
            *(f"{median(f['rates'][side]):.1f}" for side in checkouts),
            f"{f['ratio']:.3f}",
            "yes" if f["same"] else "no",
        ]
        for job, f in found.items()
    ]
    print_table(f"images/s, medians of {given.rounds} rounds", ("", *checkouts, "ratio", "same predictions"), rows)
    write_json(given.json, found)


if __name__ == "__main__":
    main()
