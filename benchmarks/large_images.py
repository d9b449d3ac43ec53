"""Peak memory of one process that loads large images in several threads at once.

    python benchmarks/large_images.py --threads 2 8 --json large.json
    PYTHONPATH=/tmp/before python benchmarks/large_images.py --threads 2

Images of 13,300 × 13,300 pixels, just below the limit, made in code: a few hundred kilobytes each. A fresh process
loads each of them as often as it has threads, to 224 × 224. Wanted: peak memory that does not grow with the threads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from reporting import note, print_table, write_json

SIDE = 13_300

#: Name -> mode, format.
MADE = {"RGB PNG": ("RGB", "PNG"), "RGBA PNG": ("RGBA", "PNG"), "grey PNG": ("L", "PNG"), "JPEG": ("RGB", "JPEG")}

#: What the fresh process does: prints seconds and peak memory, bytes.
LOAD = """
import json, resource, sys, time, warnings
from concurrent.futures import ThreadPoolExecutor
from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

warnings.simplefilter("ignore")
file, threads = sys.argv[1], int(sys.argv[2])
loader, start = ImageLoader(ImageTransform(size=(224, 224))), time.perf_counter()
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(loader, [FileEntry(file, file)] * threads))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - start, peak * (1 if sys.platform == "darwin" else 1024)]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="clsbench-") as folder:
        for name, (mode, form) in MADE.items():
            file = Path(folder) / name
            Image.new(mode, (SIDE, SIDE), 60 if mode == "L" else (200, 30, 60)).save(file, form)
            for threads in given.threads:
                note(f"{name}, {threads} threads")
                command = [sys.executable, "-c", LOAD, str(file), str(threads)]
                answer = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
                found.setdefault(name, {})[str(threads)] = answer
    columns = ("", *(f"{threads} threads" for threads in given.threads))
    rows = [(name, *(f"{peak / 1e9:.2f} GB, {s:.1f} s" for s, peak in some.values())) for name, some in found.items()]
    print_table(f"peak memory and time, {SIDE} × {SIDE} pixels", columns, rows)
    write_json(given.json, found)


if __name__ == "__main__":
    main()
