"""Where images come from: the same 10,000 CIFAR-10 files (32×32 JPEG) in a folder, a tar, a tar.gz and a zip.

    python benchmarks/sources.py --json sources.json

``open`` is the time until every image is known by its name, ``read`` how many are read a second by two threads after
that (no decoding), ``infer`` what the command line reaches end to end with simple-cnn and random weights, from its own
account. Every round takes all sources in turn; medians over the rounds, the file cache being warm.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import models
import pictures
from reporting import call, infer, median, note, print_table, write_json


def reading(location: Path) -> tuple[float, float]:
    """(seconds to open a source, images a second read by two threads)."""
    from clsbench.images.sources import stores
    from clsbench.images.sources.opening import open_images

    stores.forget(str(location))
    begun = time.perf_counter()
    entries = open_images(location).entries
    opened = time.perf_counter()
    parts = [entries[k : k + 500] for k in range(0, len(entries), 500)]
    with ThreadPoolExecutor(2) as pool:
        sizes = list(pool.map(lambda part: sum(len(entry.read()) for entry in part), parts))
    assert sum(sizes)
    return opened - begun, len(entries) / (time.perf_counter() - opened)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.CIFAR10, help="a tar with cifar10/test/<class>/")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        note("unpacking, packing and exporting")
        root = pictures.unpack(given.data, folder / "data", below="cifar10/test/") / "cifar10" / "test"
        classes = sorted(entry.name for entry in root.iterdir())
        files = sorted(root.rglob("*.jp*g"))
        chosen = pictures.hard_links(files[:: max(1, len(files) // given.files)], folder / "files", given.files)
        sources = {"folder": chosen}
        for suffix, flags in {"tar": "-cf", "tar.gz": "-czf"}.items():
            sources[suffix] = folder / f"files.{suffix}"
            call(["tar", "--hard-dereference", flags, sources[suffix], "-C", chosen, "."])
        sources["zip"] = Path(shutil.make_archive(str(folder / "files"), "zip", chosen))
        model = models.export_random("simple-cnn", folder, classes)
        opened, read, rate = (defaultdict[str, list[float]](list) for _ in range(3))
        for number in range(given.rounds + 1):
            note(f"round {number} of {given.rounds}" + ("" if number else " (not counted)"))
            for kind, location in sources.items():
                seconds, reads = reading(location)
                facts = infer(location, model, folder / "p.csv", environment={"XDG_CACHE_HOME": str(folder / "cache")})
                if number:
                    opened[kind].append(seconds)
                    read[kind].append(reads)
                    rate[kind].append(facts["throughput"]["images_per_second"])
    rows = [
        [kind, f"{median(opened[kind]):.2f}", f"{median(read[kind]):.0f}", f"{median(rate[kind]):.0f}",
         f"{median(rate[kind]) / median(rate['folder']):.2f}"]
        for kind in sources
    ]  # fmt: skip
    columns = ("source", "open, s", "read, images/s", "infer, images/s", "of the folder's")
    print_table(f"{given.files} images of 32×32, medians of {given.rounds} rounds", columns, rows)
    write_json(given.json, {"files": given.files, "open_seconds": opened, "read": read, "infer": rate})


if __name__ == "__main__":
    main()
