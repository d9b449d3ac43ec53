"""What a GPU does with clsbench, in one call of at most eight minutes: is it used, is it right, how fast is it?

    python benchmarks/gpu.py --data hymenoptera.tar --json gpu.json
    python benchmarks/gpu.py --device cpu --small        # the same parts in small on a CPU: proves the script itself

The parts, each in a table; one that fails is reported, and the next begins. Parts for which no time is left are named.

    doctor      every finding of ``clsbench doctor``
    copies      GB/s from pinned and from pageable memory to the device, and back (torch)
    model       images/s of the model alone: networks, precision, TF32, TensorRT, by batch size and streams
    waiting     cores that are busy while the streams wait for the device
    agreement   largest difference of a probability from the CPU's, and labels that differ, on photos
    decoding    images/s by threads, of photos and of 16×16 JPEGs: does Python's lock cap it?
    job         ``infer`` from files to predictions: images/s, fraction of its limit, device and pinned memory
    training    images/s of full fine-tuning with and without EMA, and whether two equal seeds end equally

Checked on the way: numbers are finite, fractions of a limit at most 1.02, labels the CPU's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import models
import numpy as np
import pictures
from numpy.typing import NDArray
from reporting import call, clsbench_command, infer, note, print_table, write_json

#: Rows of a part: plain values, all with the same keys.
Rows = list[dict[str, Any]]

#: The most of its limit that a job can reach: beyond it the limit is wrong.
MOST = 1.02

#: The largest difference of a probability from the CPU's: TF32 and float16 keep ten bits.
TOLERANCE = {"fp32": 0.01, "tf32 off": 1e-3, "fp16": 0.02}


class Machine:
    """What all parts share: models, photos, and how much there is to do.

    Args:
        given: The command line.
        folder: For files made on the way.
    """

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.device, self.small, self.folder = given.device, given.small, folder
        self.seconds = 0.05 if given.small else 1.0
        self.photos = _photos(given, folder)
        names = ("simple-cnn",) if given.small else ("resnet50", models.LITE0)
        note(f"exporting {', '.join(names)}")
        self.models = {name: self._export(name) for name in names}

    def _export(self, name: str) -> Path:
        if name == models.LITE0:
            return models.export_lite0(self.folder)
        return models.export_random(name, self.folder, ["a", "b", "c"] if self.small else None)

    def half(self, name: str) -> Path:
        """The same model in float16, by the exporter's own conversion."""
        import onnx

        from clsbench.card import METADATA_KEY
        from clsbench.exporting.float16 import to_float16

        model = onnx.load(self.models[name])
        card = next(entry.value for entry in model.metadata_props if entry.key == METADATA_KEY)
        half, file = to_float16(model), self.folder / f"{name}.fp16.onnx"
        if not any(entry.key == METADATA_KEY for entry in half.metadata_props):
            half.metadata_props.add(key=METADATA_KEY, value=card)
        onnx.save(half, file)
        return file

    def backend(self, file: Path, **options: Any) -> Any:
        """The model file on the device."""
        from clsbench.inference.onnxruntime_backend import build

        return build(file, options.pop("device", self.device), **options)

    def batch(self, file: Path, count: int) -> NDArray[np.uint8]:
        """``count`` photos as the network takes them: uint8 (count, h, w, 3)."""
        from clsbench.images.entries import FileEntry
        from clsbench.images.loader import ImageLoader
        from clsbench.model_file import read_card

        loader = ImageLoader(read_card(file).transform)
        kept = [loader(FileEntry(each.name, str(each))) for each in self.photos[: min(count, 64)]]
        return np.stack([kept[k % len(kept)] for k in range(count)])


def doctor(machine: Machine) -> Rows:
    found = json.loads(call([*clsbench_command(), "doctor", "--json", "-"]))
    return [{"part": each["name"], "status": each["status"], "found": each["found"]} for each in found["checks"]]


def copies(machine: Machine) -> Rows:
    """Of 64 MB, by torch's events; none on a CPU."""
    if machine.device == "cpu":
        return []
    import torch

    rows, event = [], getattr(torch.cuda, "Event")  # noqa: B009  its type says nothing
    for pinned in (True, False):
        host = torch.empty(64 << 20, dtype=torch.uint8, pin_memory=pinned)
        device = torch.empty_like(host, device="cuda")
        for name, target, source in (("to the device", device, host), ("back", host, device)):
            begin, end = event(enable_timing=True), event(enable_timing=True)
            target.copy_(source, non_blocking=True)
            begin.record()
            for _ in range(20):
                target.copy_(source, non_blocking=True)
            end.record()
            torch.cuda.synchronize()
            memory = "pinned" if pinned else "pageable"
            rows.append({"memory": memory, "way": name, "GB/s": 20 * host.nbytes / 1e6 / begin.elapsed_time(end)})
    return rows


def _kinds(machine: Machine, name: str) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """(precision, file, options of the backend) of a network on this device."""
    from clsbench.inference.devices import missing_for

    file = machine.models[name]
    yield "fp32", file, {}
    if machine.device != "cpu":
        yield "tf32 off", file, {"tf32": False}
    yield "fp16", machine.half(name), {}
    if machine.device == "cuda" and not missing_for("tensorrt"):
        yield "tensorrt", file, {"device": "tensorrt"}


def model(machine: Machine) -> Rows:
    from clsbench.inference.tuning import throughput

    sizes, streams = ((2,), (1, 2)) if machine.small else ((16, 64, 128, 256, 512), (1, 2, 3))
    rows = []
    for name in machine.models:
        for kind, file, options in _kinds(machine, name):
            for size, many in itertools.product(sizes, streams):
                backend = machine.backend(file, batch_size=size, streams=many, **options)
                rate = throughput(backend, machine.batch(file, size), many, machine.seconds)
                backend.close()
                rows.append({"network": name, "precision": kind, "batch": size, "streams": many, "images/s": rate})
    return rows


def waiting(machine: Machine) -> Rows:
    from clsbench.inference.tuning import throughput

    name, file = next(iter(machine.models.items()))
    rows = []
    for many in (1, 2, 3):
        backend = machine.backend(file, batch_size=2 if machine.small else 256, streams=many)
        batch = machine.batch(file, backend.batch_size)
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        throughput(backend, batch, many, 2 * machine.seconds)
        after, passed = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
        backend.close()
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows.append({"network": name, "streams": many, "busy cores": busy / passed})
    return rows


def agreement(machine: Machine) -> Rows:
    from scipy.special import softmax

    rows = []
    for name in machine.models:
        batch = machine.batch(machine.models[name], 16)
        cpu = machine.backend(machine.models[name], device="cpu")
        expected = softmax(np.concatenate([cpu(batch[k : k + 4]) for k in range(0, 16, 4)]), axis=1)
        for kind, file, options in _kinds(machine, name):
            backend = machine.backend(file, batch_size=16, **options)
            found = softmax(backend(batch), axis=1)
            backend.close()
            difference = float(np.abs(found - expected).max())
            flips = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
            allowed = TOLERANCE.get(kind, TOLERANCE["fp32"])
            _check(difference <= allowed, f"{name} {kind}: probabilities differ by {difference:.2g} from the CPU's")
            rows.append({"network": name, "precision": kind, "largest difference": difference, "other labels": flips})
    return rows


def decoding(machine: Machine) -> Rows:
    from PIL import Image

    from clsbench.images.entries import FileEntry
    from clsbench.images.loader import ImageLoader
    from clsbench.inference.bench import decode_rate
    from clsbench.machine import available_cores
    from clsbench.transform import ImageTransform

    tiny = machine.folder / "tiny.jpg"
    Image.fromarray(machine.batch(next(iter(machine.models.values())), 1)[0][:16, :16]).save(tiny)
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= available_cores()]
    rows = []
    for what, files, size in (("photos", machine.photos, 224), ("16x16 JPEGs", [tiny], 16)):
        loader = ImageLoader(ImageTransform(size=(size, size)))
        entries = [FileEntry(file.name, str(file)) for file in files]
        for threads in counts:
            rate = decode_rate(loader, entries, threads, machine.seconds)
            rows.append({"images": what, "threads": threads, "images/s": rate, "a thread": rate / threads})
    return rows


def job(machine: Machine) -> Rows:
    many = pictures.hard_links(machine.photos, machine.folder / "many", 40 if machine.small else 20_000)
    rows = []
    for name, file in machine.models.items():
        environment = {"XDG_CACHE_HOME": str(machine.folder / "cache")}
        out = machine.folder / f"{name}.csv"
        facts = infer(many, file, out, "--device", machine.device, "--overwrite", environment=environment)
        speed = facts["throughput"]
        fraction = speed["images_per_second"] / speed["limit"] if speed["limit"] else None
        _check(fraction is None or fraction <= MOST, f"{name}: {fraction} of the limit")
        _check(facts["counts"]["errors"] == 0, f"{name}: {facts['counts']['errors']} images failed")
        _check(facts["device"]["device"] == machine.device, f"{name} ran on {facts['device']['device']}")
        rows.append({
            "network": name, "images/s": speed["images_per_second"], "fraction of the limit": fraction,
            "provider": facts["device"]["provider"], "pinned": facts["device"].get("pinned"),
            "batch": facts["options"]["batch_size"], "streams": facts["options"]["streams"],
        })  # fmt: skip
    return rows


def training(machine: Machine) -> Rows:
    network = "simple-cnn" if machine.small else "resnet18"
    count, rows = (24, []) if machine.small else (1024, [])
    for k in range(2):
        pictures.round_robin(machine.photos[k::2], machine.folder / "train" / "ab"[k], count // 2)
    for kind, options in (("plain", ()), ("plain again", ()), ("EMA", ("--ema", "0.99"))):
        out = machine.folder / "train.json"
        words = ["train", machine.folder / "train", "--model", network, "--epochs", 2, "--recipe", "scratch"]
        words += ["--device", machine.device, "--run", f"gpu-{kind.replace(' ', '-')}", "--json", out, "--quiet"]
        began = time.perf_counter()
        call([*clsbench_command(), *words, *options], {"CLSBENCH_RUNS": str(machine.folder / "runs")})
        last = json.loads(out.read_text(encoding="utf-8"))["history"][-1]
        _check(np.isfinite(last["train_loss"]), f"training ({kind}): loss {last['train_loss']}")
        rows.append({
            "training": f"{network}, {kind}", "images/s": 0.8 * count / last["seconds"], "loss": last["train_loss"],
            "seconds in all": time.perf_counter() - began,
        })  # fmt: skip
    _check(rows[0]["loss"] == rows[1]["loss"], f"two equal seeds: losses {rows[0]['loss']} and {rows[1]['loss']}")
    return rows


PARTS: dict[str, Callable[[Machine], Rows]] = {
    each.__name__: each for each in (doctor, copies, agreement, job, model, waiting, decoding, training)
}

_wrong: list[str] = []


def _check(right: bool, what: str) -> None:
    if not right:
        _wrong.append(what)
        note(f"WRONG: {what}")


def _photos(given: argparse.Namespace, folder: Path) -> list[Path]:
    """The photos of an archive; without one the two that scikit-learn ships."""
    if given.data.is_file():
        return pictures.photos(given.data, folder / "photos")
    from clsbench.images.samples import sample_photos

    return sorted(sample_photos().glob("*.jpg"))


def _show(name: str, rows: Rows) -> None:
    if rows:
        cells = [[f"{value:.4g}" if isinstance(value, float) else value for value in row.values()] for row in rows]
        print_table(name, list(rows[0]), cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/hymenoptera.tar"), help="archive of photos")
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins later")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    began, found = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(given, Path(folder))
        for name in given.parts.split(","):
            if time.monotonic() - began > 60 * given.minutes:
                _check(False, f"no time was left for {name}")
                continue
            note(f"{name} …")
            try:
                found[name] = PARTS[name](machine)
            except Exception as error:  # noqa: BLE001  one part never ends the others
                _check(False, f"{name} failed: {type(error).__name__}: {error}")
                continue
            _show(name, found[name])
            write_json(given.json, {"device": given.device, "parts": found, "wrong": _wrong})
    write_json(given.json, {"device": given.device, "parts": found, "wrong": _wrong})
    print("\n".join(["everything was right" if not _wrong else "WRONG:", *_wrong]))
    sys.exit(bool(_wrong))


if __name__ == "__main__":
    main()
