"""A network in torch behind the protocol of backends, and the proof that it is the one in the file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clsbench import Classifier, DeviceError, DeviceInfo, FeatureBackend, ModelError, OptionError, inspect
from clsbench import load_classifier as load_run
from clsbench.testing import installed

#: Images of a call by default, on a CPU and on a GPU.
CPU_BATCH, GPU_BATCH = 8, 64

#: How far a logit may be from the file's, as a part of the largest: float32 on two engines differs by some 1e-5, and
#: another epoch's weights by more than 1e-2.
TOLERANCE = 1e-3

#: Images on which run and file are compared.
COMPARED = 4


class TorchBackend(FeatureBackend):
    """A classifier in evaluation mode; see :class:`clsbench.Backend`.

    Args:
        classifier: On its device.
        device: That, and what to say about it.
        compiled: Whether to call it through ``torch.compile``. Batches are then filled up, since every size would be
            compiled anew.
        batch_size: Images a call.
    """

    streams = 1

    def __init__(self, classifier: Classifier, device: DeviceInfo, *, compiled: bool, batch_size: int) -> None:
        self.device, self.batch_size = device, batch_size
        self.shares_cores = device.device == "cpu"
        self.threads = torch.get_num_threads() if self.shares_cores else 1
        self._where = next(classifier.parameters()).device
        self._head, self._compiled = classifier.head, compiled
        self._features: Any = torch.compile(classifier.features) if compiled else classifier.features
        self._lock = threading.Lock()  # a call has all threads of torch, and compiling is for one at a time

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K)."""
        return self.with_features(images)[0]

    def with_features(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same, and features float32 (N, D)."""
        count = max(len(images), 1)  # of no images there is one part too: no logits
        step = self.batch_size if self._compiled else count
        with self._lock, torch.inference_mode():
            parts = [self._called(images[k : k + step], step) for k in range(0, count, step)]
        logits, features = (np.concatenate(part) for part in zip(*parts, strict=True))
        return logits, features

    def _called(self, images: NDArray[np.uint8], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        count = len(images)
        if self._compiled and count < size:
            images = np.concatenate([images, np.zeros((size - count, *images.shape[1:]), np.uint8)])
        features = self._features(torch.from_numpy(images).to(self._where))
        logits = self._head(features)
        return logits[:count].float().cpu().numpy(), features[:count].float().cpu().numpy()

    def close(self) -> None:
        """Let go of the network."""
        del self._features, self._head


def open_network(
    file: Path, device: str, *, run: Path | None, compiled: bool, batch_size: int | None, threads: int | None
) -> TorchBackend:
    """The network of a run as a backend; see :func:`clsbench_torch.build`."""
    for name, value in {"batch_size": batch_size, "threads": threads}.items():
        if value is not None and value < 1:
            raise OptionError(f"{name} must be at least 1", got=value)
    where, info = _device(device)
    folder = run or file.parent
    if not (folder / "run.json").is_file():
        raise ModelError(
            "there is no run beside the model file, and torch runs the network of a run", where=file,
            expected=f"{folder / 'run.json'}",
            hint="name RUN/model.onnx, or the run: --with torch.run=RUN",
        )  # fmt: skip
    classifier = load_run(folder).eval()
    check_same(classifier, file, folder)
    if threads is not None:
        torch.set_num_threads(threads)
    if where.type == "cuda":  # an oracle multiplies float32 with all of its bits
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # missing in torch's types
        torch.backends.cuda.matmul.fp32_precision = "ieee"
    size = batch_size or (CPU_BATCH if where.type == "cpu" else GPU_BATCH)
    backend = TorchBackend(classifier.to(where), info, compiled=compiled, batch_size=size)
    if compiled:
        _compile(backend, classifier)
    return backend


def _device(device: str) -> tuple[torch.device, DeviceInfo]:
    """The device that a text means, and what is said about it.

    Raises:
        OptionError: for another text.
        DeviceError: if there is no such GPU.
    """
    kind, colon, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and index.isdigit())):
        raise OptionError(
            "torch runs on one device", where="--device", got=device, expected="auto, cpu, cuda or cuda:i"
        )
    found = torch.cuda.device_count() if kind != "cpu" and torch.cuda.is_available() else 0
    number = int(index or 0)
    if kind == "cuda" and number >= found:
        raise DeviceError(
            "torch finds no such GPU", where=f"--device {device}", got=f"{found} GPUs",
            hint="update the NVIDIA driver, install torch for CUDA, or use --device cpu",
        )  # fmt: skip
    name = f"torch {torch.__version__}"
    if not found:
        reason = "torch finds no GPU" if kind == "auto" else None
        cpu = DeviceInfo(requested=device, device="cpu", provider=name, precision="float32", reason=reason)
        return torch.device("cpu"), cpu
    where = torch.device("cuda", number)
    names = (torch.cuda.get_device_name(where),)
    gpu = DeviceInfo(
        requested=device, device="cuda", indices=(number,), provider=name, precision="float32", names=names,
        pinned=False, tf32=False,
    )  # fmt: skip
    return where, gpu


def check_same(classifier: Classifier, file: Path, run: Path) -> None:
    """Hold a run's network to the file that stands for it: both must say the same of a few images.

    Args:
        classifier: On the CPU.
        file: Exported from it, as its place says.
        run: The run's directory, for messages.

    Raises:
        ModelError: if the file is of another precision or size, or says something else.
    """
    card = inspect(file).card
    if card is None or card.precision != "float32":
        raise ModelError(
            "torch runs the network of the run in float32, which this file is not", where=file,
            got=card.precision if card else "no card",
            hint="name the float32 export of the run",
        )  # fmt: skip
    if card.transform.size != classifier.transform.size:
        raise ModelError(
            "the network of the run is not that of the file", where=file,
            got="images of {}×{}".format(*card.transform.size),
            expected="{}×{}, as in {}".format(*classifier.transform.size, run),
            hint="export the run again, or name the run: --with torch.run=RUN",
        )  # fmt: skip
    random = np.random.default_rng(0)
    size = (COMPARED, *classifier.transform.size, 3)
    images = random.integers(0, 256, size, dtype=np.uint8)
    images[::2] = np.sort(images[::2], axis=1)  # from dark to bright: noise alone looks the same to many networks
    backend = installed("backend", "clsbench/onnxruntime").build(file, "cpu")
    try:
        expected = backend(images)
    finally:
        backend.close()
    with torch.inference_mode():
        found = classifier(torch.from_numpy(images)).float().numpy()
    apart = np.inf
    if found.shape == expected.shape:
        apart = float(np.abs(found - expected).max() / max(1e-6, np.abs(expected).max()))
    if not apart <= TOLERANCE:
        raise ModelError(
            "the weights of the run are not those of the file", where=file,
            got=f"logits {apart:.2g} of the largest apart from those of {run}",
            expected=f"at most {TOLERANCE:g}", hint="export the run again, or name the run: --with torch.run=RUN",
        )  # fmt: skip


def _compile(backend: TorchBackend, classifier: Classifier) -> None:
    """Make the first call, which compiles.

    Raises:
        DeviceError: if that failed, for example without a C++ compiler.
    """
    try:
        backend(np.zeros((backend.batch_size, *classifier.transform.size, 3), np.uint8))
    except Exception as error:
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise DeviceError(
            "torch.compile failed", got=said,
            hint="install a C++ compiler (apt-get install g++), or leave compile out",
        ) from error  # fmt: skip
