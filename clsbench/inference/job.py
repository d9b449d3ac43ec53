"""An inference job as a value, and what runs one: see ``register_executors``."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clsbench.card import ModelCard
from clsbench.guard import Guarded, Opener
from clsbench.images.batch_decoders import Decoded
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, DeviceInfo, Plan, open_backend, require_features
from clsbench.inference.timing import Timing
from clsbench.predictions.block import Predictions
from clsbench.text import counted


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Everything about an inference job but its images; can be pickled.

    Args:
        model: The .onnx file.
        card: Of it.
        backend: Builds the backend from the file and the device.
        device: ``auto``, ``cpu``, ``cuda[:i,j]``, ``tensorrt[:i,j]``, ``ep:NAME[:i]``, or a backend's own.
        decoders: Build the decoders to try before the built-in ones.
        batch_size: Images of one call; the backend's choice if None.
        decode_threads: How many threads decode; as many as there are cores if None.
        fast_decode: Decode large JPEGs smaller; see :class:`clsbench.images.loader.ImageLoader`.
        max_pixels: Larger images are not decoded; Pillow's limit if None.
        features: Whether the blocks have features, of which the card says how many there are.
    """

    model: Path
    card: ModelCard
    backend: Opener
    device: str = "auto"
    decoders: tuple[Opener, ...] = ()
    batch_size: int | None = None
    decode_threads: int | None = None
    fast_decode: bool = False
    max_pixels: int | None = None
    features: bool = False

    @property
    def feature_dim(self) -> int | None:
        """D of the features in the blocks; None where they have none."""
        return self.card.feature_dim if self.features else None


@dataclass(frozen=True)
class Execution:
    """On what and how a job ran.

    Args:
        device: What the backend truly runs on.
        plan: How the model is called.
        timing: Where the time went; None until the job has ended.
        decoded: Who decoded the images, once it has ended; None where no decoder took several at once.
    """

    device: DeviceInfo
    plan: Plan
    timing: Timing | None = None
    decoded: Decoded | None = None


class Executor(Protocol):
    """Runs jobs, one at a time; see ``register_executors``.

    Attributes:
        execution: Of the last job; ``device`` and ``plan`` are known from its first block on,
            ``timing`` when its iterator is exhausted.
    """

    execution: Execution | None

    def run(self, spec: JobSpec, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Consecutive blocks in the order of the entries, one row an entry, without labels.

        Memory is bounded: work waits until the blocks are taken. The backend is closed when
        the iterator is exhausted or closed, or fails.
        """


@contextmanager
def opened(spec: JobSpec) -> Iterator[tuple[ImageLoader, Backend]]:
    """The loader and the backend of a job; the backend is closed at the end, whatever happens."""
    decoders = [opener() for opener in spec.decoders]
    loader = ImageLoader(spec.card.transform, decoders, fast_decode=spec.fast_decode, max_pixels=spec.max_pixels)
    with open_backend(spec.backend, spec.model, spec.device) as backend:
        if spec.features:
            require_features(backend)
        yield loader, backend


def run_job(executor: Executor, spec: JobSpec, entries: Sequence[Entry]) -> Generator[Predictions, None, None]:
    """Run a job, and hold a plugin's executor to one row an entry, in order.

    Raises:
        PluginError: if rows are missing, or not those of the entries.
    """
    blocks = executor.run(spec, entries)
    if isinstance(executor, Guarded) and not isinstance(blocks, Iterator):
        blocks = executor.iterate(blocks)
    yield from _checked(executor, spec, entries, blocks) if isinstance(executor, Guarded) else blocks


def _checked(
    executor: Guarded, spec: JobSpec, entries: Sequence[Entry], blocks: Iterator[Predictions]
) -> Iterator[Predictions]:
    done, classes = 0, len(spec.card.classes)
    for block in blocks:
        if not isinstance(block, Predictions):
            raise executor.fault("yielded something other than predictions", repr(block), "clsbench.Predictions")
        names = [entry.name for entry in entries[done : done + len(block.names)]]
        if block.names != names:
            raise executor.fault("yielded other rows than the next ones", block.names, names or "no further row")
        if block.logits.shape != (len(names), classes):
            raise executor.fault("yielded logits of another shape", block.logits.shape, (len(names), classes))
        found = None if block.features is None else block.features.shape
        if spec.feature_dim and found != (len(names), spec.feature_dim):
            raise executor.fault("yielded no features, or of another shape", found, (len(names), spec.feature_dim))
        done += len(names)
        yield block
    if done != len(entries):
        raise executor.fault("left images out", counted(done, "row"), counted(len(entries), "row"))
    execution = getattr(executor, "execution", None)
    parts = (execution.device, execution.plan) if isinstance(execution, Execution) else (None, None)
    if not (isinstance(parts[0], DeviceInfo) and isinstance(parts[1], Plan)):
        raise executor.fault("does not say on what it ran", repr(execution), "clsbench.Execution")
