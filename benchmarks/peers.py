"""What a user would run instead of clsbench, each behind one interface; throughput.py runs them.

    python benchmarks/peers.py --peer loader-2 --model lite0.onnx --files list.txt --json out.json

A peer is built once (not timed) and then turns a list of files into class indices, batch by
batch. ``measure`` times the loop after a short warm-up: overall, and in steady state (after
the first batch, as clsbench counts it). All but ultralytics run the same graph with the same
preprocessing; ultralytics brings its own resizing (shortest side to 224, bilinear), so its
labels differ. Prints images/s; writes labels and rates as JSON.

| peer | is |
|---|---|
| loop | Pillow, resize of the box that survives, onnxruntime, batches of 32 |
| loader-W | the same in a torch DataLoader with W worker processes |
| timm | PyTorch eager, timm's transforms, DataLoader with 2 workers, batches of 32 |
| ultralytics-B | YOLO(...).predict on the same network in ONNX, batches of B |
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image

Files = Sequence[str]

BATCH = 32


class Measured(NamedTuple):
    """Labels in the order of the files, and how long they took."""

    labels: list[int]
    seconds: float
    images_per_second: float
    steady_images_per_second: float


class Peer(Protocol):
    """One way to label images."""

    def batches(self, files: Files) -> Iterator[list[int]]:
        """Class indices, batch by batch, in the order of the files."""


def measure(peer: Peer, files: Files, *, warm_up: int = 2 * BATCH) -> Measured:
    """Time a peer over the files, after it has labelled the first few once."""
    for _ in peer.batches(files[:warm_up]):
        pass
    labels: list[int] = []
    started = time.perf_counter()
    first = (started, 0)
    for number, batch in enumerate(peer.batches(files)):
        labels += batch
        if number == 0:
            first = (time.perf_counter(), len(batch))
    ended = time.perf_counter()
    seconds, rest = ended - started, len(labels) - first[1]
    overall = len(labels) / seconds
    return Measured(labels, seconds, overall, rest / (ended - first[0]) if rest else overall)


class PillowDataset:
    """A map-style dataset for torch's DataLoader: uint8 (h, w, 3)."""

    def __init__(self, files: Files, transform: Any) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        with Image.open(self.files[index]) as image:
            geometry = self.transform.geometry(image.width, image.height)
            resample = Image.Resampling[self.transform.interpolation.upper()]
            return np.asarray(image.convert("RGB").resize(geometry.size[::-1], resample, geometry.box))


class Loop:
    """Pillow and onnxruntime, one after the other, as in the tutorials."""

    def __init__(self, model: Path) -> None:
        import onnxruntime as ort

        from clsbench.model_file import read_card

        self.transform = read_card(model).transform
        self.session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    def batches(self, files: Files) -> Iterator[list[int]]:
        pictures = PillowDataset(files, self.transform)
        for start in range(0, len(files), BATCH):
            stop = min(start + BATCH, len(files))
            yield self.labels(np.stack([pictures[k] for k in range(start, stop)]))

    def labels(self, images: np.ndarray) -> list[int]:
        best: list[int] = self.session.run(None, {"images": images})[0].argmax(1).tolist()
        return best


class Loader(Loop):
    """torch's DataLoader with worker processes, and onnxruntime."""

    def __init__(self, model: Path, workers: int) -> None:
        super().__init__(model)
        self.workers = workers

    def batches(self, files: Files) -> Iterator[list[int]]:
        from torch.utils.data import DataLoader

        dataset: Any = PillowDataset(files, self.transform)  # a map-style dataset by its methods
        for images in DataLoader(dataset, batch_size=BATCH, num_workers=self.workers):
            yield self.labels(images.numpy())


class TimmDataset:
    """Images through a torchvision pipeline: float32 (3, h, w)."""

    def __init__(self, files: Files, transform: Any) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        with Image.open(self.files[index]) as image:
            return self.transform(image.convert("RGB"))


class Timm:
    """PyTorch eager with timm's preprocessing, as timm's inference.py does it."""

    def __init__(self, model: Path, workers: int = 2) -> None:
        from models import LITE0, pretrained
        from timm.data import create_transform

        self.classifier, self.workers = pretrained(LITE0), workers
        spec = self.classifier.transform
        self.transform = create_transform(
            (3, *spec.size), is_training=False, interpolation=spec.interpolation, crop_pct=spec.crop_fraction,
            mean=spec.mean, std=spec.std,
        )  # fmt: skip

    def batches(self, files: Files) -> Iterator[list[int]]:
        import torch
        from torch.utils.data import DataLoader

        dataset: Any = TimmDataset(files, self.transform)
        with torch.inference_mode():
            for images in DataLoader(dataset, batch_size=BATCH, num_workers=self.workers):
                logits = self.classifier.head(self.classifier.backbone(images))
                yield logits.argmax(1).tolist()


class Ultralytics:
    """YOLO's predict on a classification network in ONNX."""

    def __init__(self, model: Path, batch: int) -> None:
        from ultralytics import YOLO

        self.yolo, self.batch = YOLO(str(model), task="classify"), batch

    def batches(self, files: Files) -> Iterator[list[int]]:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:  # a list of paths would all be opened at once
            listing.write("\n".join(files))
            listing.flush()
            results = self.yolo.predict(
                listing.name, batch=self.batch, imgsz=224, device="cpu", stream=True, verbose=False
            )
            labels: list[int] = []
            for result in results:
                labels.append(result.probs.top1)
                if len(labels) == self.batch:
                    yield labels
                    labels = []
            if labels:
                yield labels


#: Name -> how to build it from the model file.
PEERS: dict[str, Callable[[Path], Peer]] = {
    "loop": Loop,
    "loader-1": lambda model: Loader(model, 1),
    "loader-2": lambda model: Loader(model, 2),
    "loader-4": lambda model: Loader(model, 4),
    "timm": Timm,
    "ultralytics-1": lambda model: Ultralytics(model, 1),
    "ultralytics-32": lambda model: Ultralytics(model, 32),
}


def missing(name: str) -> str | None:
    """What a peer needs and is not installed."""
    needed = {"loader": "torch", "timm": "timm", "ultralytics": "ultralytics"}.get(name.partition("-")[0])
    return needed if needed and importlib.util.find_spec(needed) is None else None


def keep_offline() -> None:
    """ultralytics: no downloads, no installs, no reports, settings of its own."""
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    if "YOLO_CONFIG_DIR" not in os.environ:
        os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="ultralytics-")
    if importlib.util.find_spec("ultralytics"):
        from ultralytics import settings

        settings.update({"sync": False})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--model", type=Path, required=True, help="for ultralytics the file of models.py ultralytics")
    parser.add_argument("--files", type=Path, required=True, help="a text file with a path a line")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if needed := missing(given.peer):
        parser.exit(3, f"{given.peer} needs {needed}: pip install -r {Path(__file__).with_name('requirements.txt')}\n")
    if given.peer.startswith("ultralytics"):
        keep_offline()
    found = measure(PEERS[given.peer](given.model), given.files.read_text(encoding="utf-8").splitlines())
    print(f"{given.peer}: {found.images_per_second:.1f} images/s, {found.steady_images_per_second:.1f} in steady state")
    if given.json:
        given.json.write_text(json.dumps(found._asdict()), encoding="utf-8")


if __name__ == "__main__":
    main()
