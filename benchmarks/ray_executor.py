"""What Ray costs on one machine, and what a billion images would take on a cluster.

    python benchmarks/ray_executor.py --json ray.json
    python benchmarks/ray_executor.py --files 600 --rounds 3
    python benchmarks/ray_executor.py --plan ray.json      # the second table alone, from the figures of such a file

The images are hymenoptera's photos, copied in turn to 2,000 files; the network is the pretrained EfficientNet-Lite0. A
round runs ``clsbench.infer`` on them in both executors, in turns, in one process that has a local Ray running, as a
cluster has; the files that they write are compared byte by byte. An uncounted round opens what stays open. Shown are
the rates of whole jobs, of which Ray's start workers that load the model, a matter of seconds whatever the images are,
and the rates after the first batch or chunk, which are those of a long job. Ratios are those of a round, and medians of
them. Wanted: 0.8 of the local executor's steady rate.

The plan takes from that measurement core-seconds of an image by stage, bytes of an image and of its row. From them it
works out, for clusters of some shapes, the hours for a billion images, which part is the limit, by what factor the next
limit lies higher, and what the network between storage and workers has to carry. Images a second of a GPU are assumed,
not measured: --gpu-rate (benchmarks/gpu.py measures it). A core costs what it costs here, and workers do not disturb
each other: they share nothing but the storage and the driver, which are parts of the table.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import models
import pictures
from reporting import median, note, print_table, write_json

WANTED = 0.8

BILLION = 1e9

#: Clusters: machines; cores, GPUs and GB/s of network (25 or 100 Gbit/s) of each.
CLUSTERS = ((1, 16, 0, 3.1), (10, 16, 0, 3.1), (100, 16, 0, 3.1), (1, 16, 1, 3.1), (10, 32, 4, 12.5),
            (10, 128, 4, 12.5), (100, 128, 8, 12.5))  # fmt: skip


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both executors, round by round."""
    from clsbench_ray.cluster import connected

    import clsbench

    note(f"unpacking, copying to {given.files} files, and exporting")
    distinct = pictures.photos(given.data, folder / "distinct")
    pictures.round_robin(distinct, folder / "photos", given.files)
    model = models.export_lite0(folder)
    rounds = []
    with connected(None):
        for number in range(given.rounds + 1):
            note(f"round {number} of {given.rounds}" + ("" if number else " (not counted)"))
            names = ["threads", "ray"] if number % 2 else ["ray", "threads"]
            rounds.append({name: _infer(clsbench, folder, model, name) for name in names})
            if not filecmp.cmp(folder / "ray.csv", folder / "threads.csv", shallow=False):
                sys.exit("the executors have written different files")
    photos = sum(file.stat().st_size for file in (folder / "photos").iterdir()) / given.files
    answer = (folder / "ray.csv").stat().st_size / given.files
    return {"rounds": rounds[1:], "photo_bytes": photos, "row_bytes": answer}


def _infer(clsbench: Any, folder: Path, model: Path, executor: str) -> dict[str, Any]:
    started = time.perf_counter()
    result = clsbench.infer(
        folder / "photos", model=model, out=folder / f"{executor}.csv", executor=executor, labels="none", device="cpu",
        overwrite=True, tune="off", fast_decode=False,
    )  # fmt: skip
    timing = result.execution.timing
    return {
        "images_per_second": timing.images / (time.perf_counter() - started),
        "steady_images_per_second": timing.steady_images_per_second,
        "core_seconds": timing.core_seconds(),
    }


def ratios(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Ray's rates over the local executor's, of each round; medians."""
    found = {"overall": "images_per_second", "steady": "steady_images_per_second"}
    return {name: median(one["ray"][key] / one["threads"][key] for one in rounds) for name, key in found.items()}


def costs(found: dict[str, Any]) -> dict[str, float]:
    """Core-seconds of an image: all of its pixels' work, the network's on the CPU, and those of the driver."""
    stages = [one["ray"]["core_seconds"] for one in found["rounds"]]
    part = {stage: median(one[stage] for one in stages) for stage in stages[0]}
    return {
        "pixels": sum(part[stage] for stage in ("read", "decode", "resize", "copy", "post")),
        "network": part["inference"],
        "driver": part["write"],
    }


def plan(found: dict[str, Any], gpu_rate: float) -> list[dict[str, Any]]:
    """For each cluster: what each of its parts allows, images a second, and the hours that the least of them takes."""
    cost, rows = costs(found), []
    for machines, cores, gpus, network in CLUSTERS:
        busy = cost["pixels"] + (0 if gpus else cost["network"])
        allowed = {
            "cores": machines * cores / busy,
            "network": machines * network * 1e9 / found["photo_bytes"],
            "driver": 1 / cost["driver"],
        } | ({"GPUs": machines * gpus * gpu_rate} if gpus else {})
        bound = min(allowed, key=lambda name: allowed[name])
        rows.append(
            {"machines": machines, "cores": cores, "gpus": gpus, "allowed": allowed, "bound": bound,
             "rate": allowed[bound], "hours": BILLION / allowed[bound] / 3600,
             "gigabytes_per_second": allowed[bound] * found["photo_bytes"] / 1e9}
        )  # fmt: skip
    return rows


def print_rates(found: dict[str, Any]) -> None:
    rounds, ratio = found["rounds"], found["ratios"]
    rows = []
    for name in ("threads", "ray"):
        keys = "images_per_second", "steady_images_per_second"
        whole, steady = (median(one[name][key] for one in rounds) for key in keys)
        parts = [f"{ratio[key]:.2f}" if name == "ray" else "1" for key in ("overall", "steady")]
        rows.append([name, f"{whole:.1f}", f"{steady:.1f}", *parts, WANTED if name == "ray" else ""])
    columns = ("executor", "images/s", "steady", "of threads, whole job", "of threads, steady", "wanted")
    print_table(f"One machine, Lite0, medians of {len(rounds)} rounds", columns, rows)


def print_plan(found: dict[str, Any], rows: list[dict[str, Any]], gpu_rate: float) -> None:
    cost, size, row_size = costs(found), found["photo_bytes"], found["row_bytes"]
    print_table(
        "A billion images cost",
        ("", "an image", "a billion"),
        [
            ["bytes read", f"{size / 1e3:.0f} kB", f"{size * BILLION / 1e12:.0f} TB"],
            ["bytes written (CSV)", f"{row_size:.0f} B", f"{row_size * BILLION / 1e9:.0f} GB"],
            *(_core_row(name, cost[part]) for name, part in (
                ("a core reads, decodes, resizes", "pixels"), ("a core runs the network", "network"),
                ("the driver takes and writes rows", "driver"))),
            [f"or a GPU of {gpu_rate:,.0f} images/s (assumed)", f"{1e3 / gpu_rate:.3f} ms",
             f"{BILLION / gpu_rate / 3600:,.0f} GPU-hours"],
            ["cores that such a GPU needs beside it", f"{gpu_rate * cost['pixels']:.0f}", ""],
        ],
    )  # fmt: skip
    cells = [
        [f"{row['machines']} × {row['cores']} cores, {row['gpus']} GPUs", f"{row['rate']:,.0f}", f"{row['hours']:,.1f}",
         f"{row['gigabytes_per_second']:.2f}", row["bound"],
         f"× {sorted(row['allowed'].values())[1] / row['rate']:.1f}"]
        for row in rows
    ]  # fmt: skip
    print_table("On a cluster", ("machines", "images/s", "hours", "GB/s read", "limit", "next limit"), cells)


def _core_row(name: str, seconds: float) -> list[str]:
    return [name, f"{1e3 * seconds:.3f} ms", f"{seconds * BILLION / 3600:,.0f} core-hours"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.HYMENOPTERA, help="a tar of photos")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gpu-rate", type=float, default=5000.0, help="assumed images/s of a GPU, network alone")
    parser.add_argument("--plan", type=Path, help="figures of an earlier run; nothing is measured")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.plan:
        found = json.loads(given.plan.read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory(prefix="clsbench-") as folder:
            found = measure(given, Path(folder))
        found["ratios"] = ratios(found["rounds"])
        print_rates(found)
    rows = plan(found, given.gpu_rate)
    print_plan(found, rows, given.gpu_rate)
    write_json(given.json, {**found, "plan": rows, "gpu_rate": given.gpu_rate})


if __name__ == "__main__":
    main()
