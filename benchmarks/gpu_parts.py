"""The parts of gpu.py: each returns rows for its table, and checks as (what, whether it holds, what was found)."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clsbench import Entry
    from clsbench.card import ModelCard
    from clsbench.inference.backend import Backend

Row = dict[str, Any]
Checks = list[tuple[str, bool, Any]]

#: The largest difference of a probability to float32 on the CPU that is right; TF32 keeps as many bits as float16.
ALLOWED = {"float32": 0.02, "float16": 0.02}

CLASSES = tuple(f"class{k}" for k in range(10))


@dataclass(frozen=True)
class Settings:
    """What is measured, and how thoroughly.

    Args:
        device: ``cuda`` or ``cpu``.
        small: Whether to take tiny networks and few images.
        folder: Where files lie between parts.
        data: A tar of photos.
    """

    device: str
    small: bool
    folder: Path
    data: Path

    @property
    def models(self) -> tuple[str, ...]:
        return ("simple-cnn",) if self.small else ("efficientnet-lite0", "resnet50")

    @property
    def seconds(self) -> float:
        """Of one measurement."""
        return 0.05 if self.small else 1.0

    def entries(self) -> list[Entry]:
        """Photos as JPEG files; crops of the two that come with scikit-learn where there is no tar."""
        from clsbench.images.entries import FileEntry

        folder = self.folder / "photos"
        if not folder.is_dir():
            if self.data.is_file() and not self.small:
                pictures.photos(self.data, folder)
            else:
                _write_crops(folder, 12 if self.small else 256)
        files = sorted(file for file in folder.rglob("*") if file.suffix == ".jpg")
        return [FileEntry(file.name, str(file)) for file in files]

    def file(self, model: str, precision: str) -> Path:
        return self.folder / f"{model}.{precision}.onnx"

    @contextmanager
    def opened(self, file: Path, device: str, **options: Any) -> Iterator[tuple[Backend, ModelCard]]:
        """A backend as ``infer`` opens it."""
        from clsbench.model_file import read_card
        from clsbench.testing import installed

        backend = installed("backend", "onnxruntime").build(file, device, **options)
        try:
            yield backend, read_card(file)
        finally:
            backend.close()


def shown(value: Any) -> str:
    """A cell of a table."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "" if value is None else str(value)


def facts(settings: Settings) -> tuple[list[Row], Checks]:
    import gpu_placement

    return gpu_placement.facts(settings)


def nodes(settings: Settings) -> tuple[list[Row], Checks]:
    import gpu_placement

    return gpu_placement.nodes(settings)


def files(settings: Settings) -> tuple[list[Row], Checks]:
    import torch
    import zoo_gate

    from clsbench.card import ModelCard, ModelSource
    from clsbench.exporting.float16 import to_float16
    from clsbench.exporting.onnx_export import to_onnx, write_model

    rows, checks = [], []
    for name in settings.models:
        torch.manual_seed(0)
        classifier, weights = _network(name)
        if weights == "random":  # answers that differ between photos
            zoo_gate.spread_out(classifier, settings.entries()[:32])
        model = to_onnx(classifier)
        for precision, made in (("float32", model), ("float16", to_float16(model))):
            card = ModelCard(
                classes=tuple(classifier.classes or CLASSES), transform=classifier.transform, precision=precision,
                feature_dim=classifier.feature_dim, model=ModelSource(name),
            )  # fmt: skip
            file = settings.file(name, precision)
            write_model(made, card, file)
            kinds = [node.op_type for node in made.graph.node]
            readers = [node.op_type for node in made.graph.node if "images" in node.input]
            checks.append((f"{file.name} begins with a Cast", readers == ["Cast"], readers))
            rows.append(
                {"model": name, "weights": weights, "precision": precision, "MB": file.stat().st_size / 1e6,
                 "nodes": len(kinds), "Gather": kinds.count("Gather"), "Cast": kinds.count("Cast")}
            )  # fmt: skip
    return rows, checks


def _network(name: str) -> tuple[Any, str]:
    """A network in evaluation mode, and whether its weights are published ones or random."""
    from clsbench.testing import installed

    if name == "efficientnet-lite0":
        try:
            return installed("model", name).build(None, pretrained=True).eval(), "published"
        except Exception:  # noqa: BLE001  the plugin is not installed here
            name = "efficientnet_b0"
    return installed("model", name).build(len(CLASSES)).eval(), "random"


def agreement(settings: Settings) -> tuple[list[Row], Checks]:
    import numpy as np

    from clsbench.images.loader import ImageLoader
    from clsbench.inference.backend import classify
    from clsbench.model_file import read_card

    rows, checks = [], []
    for name in settings.models:
        card = read_card(settings.file(name, "float32"))
        loader = ImageLoader(card.transform)
        pixels = np.stack([loader(entry) for entry in settings.entries()[:256]])

        def answers(file: Path, device: str, pixels: NDArray[np.uint8] = pixels) -> NDArray[np.float64]:
            with settings.opened(file, device, batch_size=4 if settings.small else 32) as (backend, card):
                size = backend.batch_size
                parts = [
                    classify(backend, np.ascontiguousarray(pixels[k : k + size]), len(card.classes))
                    for k in range(0, len(pixels), size)
                ]
            powers = np.exp(np.concatenate(parts).astype(np.float64))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))

        expected = answers(settings.file(name, "float32"), "cpu")
        second, best = np.sort(expected, axis=1)[:, -2:].T
        for precision, allowed in ALLOWED.items():
            got = answers(settings.file(name, precision), settings.device)
            difference, flipped = np.abs(got - expected).max(), got.argmax(1) != expected.argmax(1)
            sure = int((flipped & (best - second > 2 * allowed)).sum())
            rows.append(
                {"model": name, "precision": precision, "images": len(got), "largest difference": float(difference),
                 "other labels": int(flipped.sum()), "of those sure": sure}
            )  # fmt: skip
            where = f"{name} {precision}"
            checks.append((f"{where} is finite", bool(np.isfinite(got).all()), "NaN or infinite"))
            checks.append((f"{where} is within {allowed}", difference <= allowed, difference))
            checks.append((f"{where} has the same labels", sure == 0, f"{sure} others"))
    return rows, checks


def end_to_end(settings: Settings) -> tuple[list[Row], Checks]:
    from clsbench.images.loader import ImageLoader
    from clsbench.inference.pipeline import Pipeline
    from clsbench.machine import available_cores

    rows: list[Row] = []
    checks: Checks = []
    photos = settings.entries()
    for name in settings.models:
        for precision in ("float32", "float16"):
            with settings.opened(settings.file(name, precision), settings.device) as (backend, card):
                pipeline = Pipeline(
                    ImageLoader(card.transform), backend, classes=len(card.classes), decode_threads=available_cores()
                )
                count = 24 if settings.small else 256
                while True:  # until a run is long enough to tell what limits it; the first ones warm up
                    entries = [photos[k % len(photos)] for k in range(count)]
                    done = sum(len(block.names) for block in pipeline.run(entries))
                    timing = pipeline.timing
                    assert timing is not None
                    if settings.small or timing.seconds > 4 or count > 200_000:
                        break
                    count = int(count * min(8, 1 + 6 / timing.seconds))
                limit = timing.limit()
                fraction = timing.steady_images_per_second / limit.images_per_second
            rows.append(
                {"model": name, "precision": precision, "batch": backend.batch_size, "streams": backend.streams,
                 "images/s": timing.steady_images_per_second, "limit": limit.images_per_second, "bound": limit.bound,
                 "fraction": fraction, "cores": timing.process_seconds / timing.seconds}
            )  # fmt: skip
            checks.append((f"{name} {precision}: every image has a row", done == count, f"{done} of {count}"))
            possible = fraction <= 1.02 or timing.short
            checks.append((f"{name} {precision}: not more than the limit", possible, fraction))
    return rows, checks


def model(settings: Settings, *, brief: bool = False, kind: str | None = None) -> tuple[list[Row], Checks]:
    import numpy as np

    from clsbench.inference.backend import allocate

    sizes, streams = ((1, 4), (1, 2)) if settings.small else ((16, 64, 256, 512), (1, 2, 3))
    rows, checks = [], []
    for name in settings.models:
        for precision in ("float32", "float16"):
            for size, count in ((s, c) for s in sizes for c in streams if not brief or (s, c) == (sizes[-2], 2)):
                device = settings.device if settings.small else kind or settings.device
                file = settings.file(name, precision)
                with settings.opened(file, device, batch_size=size, streams=count) as (backend, card):
                    images = allocate(backend, (size, *card.transform.size, 3), count)
                    for batch in images:
                        batch[:] = np.random.default_rng(0).integers(0, 256, batch.shape, np.uint8)
                        finite = bool(np.isfinite(backend(batch)).all())
                    speed, cores = rate(backend, images, settings.seconds)
                rows.append(
                    {"model": name, "precision": precision, "batch": size, "streams": count, "images/s": speed,
                     "cores": cores, "provider": backend.device.provider}
                )  # fmt: skip
                checks.append((f"{name} {precision} {size} × {count} is finite", finite, "NaN or infinite"))
    return rows, checks


def rate(call: Callable[[Any], object], batches: Sequence[NDArray[np.uint8]], seconds: float) -> tuple[float, float]:
    """Images a second of as many concurrent callers as there are batches, and the cores in use meanwhile."""
    call(batches[0])
    started, busy = time.perf_counter(), time.process_time()

    def work(images: NDArray[np.uint8]) -> int:
        done = 0
        while time.perf_counter() - started < seconds:
            call(images)
            done += len(images)
        return done

    with ThreadPoolExecutor(len(batches)) as pool:
        done = sum(pool.map(work, batches))
    passed = time.perf_counter() - started
    return done / passed, (time.process_time() - busy) / passed


def decode(settings: Settings) -> tuple[list[Row], Checks]:
    from clsbench.images.entries import BytesEntry
    from clsbench.images.loader import ImageLoader
    from clsbench.inference.bench_rounds import decode_rate
    from clsbench.machine import available_cores
    from clsbench.transform import ImageTransform

    loader, tiny = ImageLoader(ImageTransform(size=(224, 224))), ImageLoader(ImageTransform(size=(16, 16)))
    small = [BytesEntry(f"{k}.jpg", _jpeg(16, k)) for k in range(64)]
    cores = available_cores()
    rows = [
        {"threads": threads, "photos/s": decode_rate(loader, settings.entries(), threads, settings.seconds),
         "16×16 JPEGs/s": decode_rate(tiny, small, threads, settings.seconds)}
        for threads in sorted({*(2**k for k in range(int(math.log2(cores)) + 1)), cores})
    ]  # fmt: skip
    return rows, [("something is decoded", all(row["photos/s"] > 0 for row in rows), rows)]


def copies(settings: Settings) -> tuple[list[Row], Checks]:
    import gpu_copies

    return gpu_copies.measured(settings)


def training(settings: Settings) -> tuple[list[Row], Checks]:
    import gpu_training

    return gpu_training.measured(settings)


def synchronise(device: Any) -> None:
    """Wait for what a GPU is doing."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _jpeg(side: int, seed: int) -> bytes:
    """A JPEG of a smooth random image."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def _write_crops(folder: Path, count: int) -> None:
    from PIL import Image

    from clsbench.exporting.gate_images import embedded_photos
    from clsbench.images.loader import ImageLoader
    from clsbench.transform import ImageTransform

    folder.mkdir()
    loader = ImageLoader(ImageTransform(size=(224, 224)))
    for k, crop in enumerate(embedded_photos(count=count)):
        Image.fromarray(loader.pixels(crop)).save(folder / f"{k:03d}.jpg", quality=90)
