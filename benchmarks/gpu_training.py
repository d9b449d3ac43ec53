"""Training steps on a device, for gpu.py: as clsbench takes them, and in a plain torch loop with what it might do."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from gpu_parts import Checks, Row, Settings

    from clsbench.datasets.dataset import Dataset
    from clsbench.training.setup import Setup


#: Name -> options of training.
OURS: dict[str, dict[str, Any]] = {
    "clsbench": {"augment": "basic"},
    "clsbench, EMA": {"augment": "basic", "ema": 0.999},
    "clsbench, RandAugment": {"augment": "rand"},
}


def measured(settings: Settings) -> tuple[list[Row], Checks]:
    """Images a second of clsbench with and without EMA, and of the plain loop by layout and precision."""
    import torch

    name = "simple-cnn" if settings.small else "resnet50"
    side, batch, count = (16, 4, 12) if settings.small else (224, 64, 1024)
    data, device = _images(count, side), torch.device(settings.device)
    rows: list[Row] = []
    checks: Checks = []
    for label, options in OURS.items():
        runs = [_ours(name, data, side, batch, settings.device, options) for _ in range(2)]
        rows.append({"loop": label, "images/s": runs[0][0], "loss": runs[0][1]})
        checks.append((f"{label}: the loss is finite", runs[0][1] == runs[0][1], runs[0][1]))
        rows[-1]["same weights again"] = runs[0][2] == runs[1][2]
        if settings.device == "cpu":  # cuDNN promises this for some of its algorithms only
            checks.append((f"{label}: equal seeds give equal weights", runs[0][2] == runs[1][2], "others"))
    pinned = ["pinned"] if device.type == "cuda" else []
    ways = [(layout, precision, "") for layout in ("NCHW", "NHWC") for precision in ("float32", "bfloat16")]
    for layout, precision, memory in [*ways, *(("NHWC", "bfloat16", kind) for kind in ("ordinary", *pinned))]:
        rate, loss = _plain(name, side, batch, device, layout, precision, memory, settings.seconds)
        label = f"plain, {layout} weights, {precision}" + (f", images in {memory} memory" if memory else "")
        rows.append({"loop": label, "images/s": rate, "loss": loss})
        checks.append((f"{label}: the loss is finite", loss == loss, loss))
    return rows, checks


def _images(count: int, side: int) -> Dataset:
    import numpy as np

    from clsbench.datasets.dataset import Dataset, Sample
    from clsbench.images.entries import PixelsEntry

    random = np.random.default_rng(0)

    def samples(split: str, count: int) -> list[Sample]:
        pixels = random.integers(0, 256, (count, side, side, 3), np.uint8)
        return [Sample(PixelsEntry(f"{split}/{k}", image), k % 10) for k, image in enumerate(pixels)]

    classes = tuple(f"class{k}" for k in range(10))
    return Dataset(classes=classes, splits={"train": samples("train", count), "val": samples("val", 10)})


def _network(name: str, side: int) -> Any:
    import torch

    from clsbench.testing import installed

    torch.manual_seed(0)
    return installed("model", name).build(10, size=side)


def _ours(
    name: str, data: Dataset, side: int, batch: int, device: str, options: dict[str, Any]
) -> tuple[float, float, bytes]:
    """Images a second of the second epoch, its loss, and the weights after it."""
    import hashlib
    import math

    from clsbench.api.observer import Observer
    from clsbench.training.config import TrainConfig
    from clsbench.training.recipes import Stage
    from clsbench.training.setup import set_up
    from clsbench.training.steps import Steps

    config = TrainConfig(epochs=2, lr=0.001, batch_size=batch, device=device, **options)
    with tempfile.TemporaryDirectory() as folder:
        setup: Setup = set_up(_network(name, side), data, config, Observer(), Path(folder))[0]
        stage = Stage("everything", 2, 0, 0.001, 1.0)
        batches, _, _ = setup.batches(stage)
        steps = Steps(setup.classifier, stage, config, len(batches), features=False, class_weights=None, mix=None)
        for number in (1, 2):
            started = time.perf_counter()
            loss, _ = steps.train(batches, number, lambda _: None, lambda *_: None, lambda: False)
            seconds = time.perf_counter() - started
        digest = hashlib.sha256()
        for tensor in steps.state().values():
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        setup.close()
    return len(batches) * batch / seconds, loss if math.isfinite(loss) else math.nan, digest.digest()


def _plain(
    name: str, side: int, batch: int, device: torch.device, layout: str, precision: str, memory: str, seconds: float
) -> tuple[float, float]:
    """Images a second of forward, backward and AdamW on a batch on the device or in ``memory``, and the last loss."""
    import torch
    from gpu_parts import synchronise

    network = _network(name, side).to(device).train()
    if layout == "NHWC":
        network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001, fused=True)
    given = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8)
    given = given.pin_memory() if memory == "pinned" else given if memory else given.to(device)
    labels = torch.arange(batch, device=device) % 10

    def step() -> torch.Tensor:
        images = given.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    each = 4 if seconds > 0.5 else 1  # steps between two looks at the clock
    for _ in range(each):
        loss = step()
    synchronise(device)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < 2 * seconds:
        for _ in range(each):
            loss = step()
        synchronise(device)
        done += each * batch
    return done / (time.perf_counter() - started), float(loss)
