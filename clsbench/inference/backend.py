"""Backend: what the pipeline needs of an inference engine, and the checks of what one gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import ModelError
from clsbench.guard import Guarded, Opener, fault


@dataclass(frozen=True, kw_only=True)
class DeviceInfo:
    """What a backend truly runs on.

    Args:
        requested: What was asked for: ``auto``, ``cuda:0``.
        device: ``cpu``, ``cuda``, ``tensorrt``, or a plugin's own word.
        indices: Numbers of the GPUs in use.
        provider: What runs the network: ``CUDAExecutionProvider``, ``onnx.reference``.
        reason: Why ``auto`` did not take a better device.
        names: Of the GPUs.
        pinned: Whether batches lie in page-locked memory, from which GPUs copy at full speed; None on a CPU.
        tf32: Whether float32 is multiplied with the 10 bits of TF32 on these GPUs; None where there is no GPU.
        precision: What the backend truly computes in: ``float32``, ``bfloat16``, ``float16`` or ``int8``; several, the
            most frequent first, as ``int8+float32``; None where it does not say.
    """

    requested: str | None = None
    device: str
    indices: tuple[int, ...] = ()
    provider: str
    reason: str | None = None
    names: tuple[str, ...] = ()
    pinned: bool | None = None
    tf32: bool | None = None
    precision: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "indices": list(self.indices), "names": list(self.names)}


#: How far ONNX Runtime rewrites a graph: all it can, or without the layouts of this processor.
GraphLevel = Literal["all", "extended"]


@dataclass(frozen=True)
class Plan:
    """How a model is run.

    Args:
        streams: Concurrent calls.
        threads: Of one call, on the CPU.
        batch_size: Images of one call.
        source: Who chose: ``rule``, ``measured``, ``cache``, ``backend`` or an executor.
        graph_level: How far ONNX Runtime rewrites the graph, where that was measured or given; ``all`` if None.
    """

    streams: int
    threads: int
    batch_size: int
    source: str = "rule"
    graph_level: GraphLevel | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        numbers = {"batch_size": self.batch_size, "streams": self.streams, "threads": self.threads}
        level = {"graph_level": self.graph_level} if self.graph_level else {}
        return {**numbers, **level, "plan": self.source}


class Backend(Protocol):
    """An inference engine with a model in it; see ``register_backends``. Subclass it for the defaults.

    One that can give the features of its images as well has the method of :class:`FeatureBackend`.

    Attributes:
        device: What it truly runs on.
        streams: How many concurrent calls it profits from.
        batch_size: The N it prefers.
        shares_cores: Whether a call occupies CPU cores that decoding could use.
        threads: How many of them one call occupies.
        own_threads: Whether these are the engine's own, while the thread that called sleeps.
        plan_source: Who chose these numbers, for the facts.
    """

    device: DeviceInfo
    streams: int
    batch_size: int
    shares_cores: bool = True
    threads: int = 1
    own_threads: bool = False
    plan_source: str = "backend"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K); safe to call from several threads.

        The logits lie in memory that later calls leave alone.
        """

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Memory for a batch: uint8 zeros of that shape, wherever calls read it fastest."""
        return np.zeros(shape, np.uint8)

    def interrupt(self) -> None:
        """End the calls under way in other threads soon, with any error; later calls work. May do nothing."""
        return

    def close(self) -> None:
        """Free what the backend holds."""


class FeatureBackend(Backend, Protocol):
    """A backend that gives what goes into the network's head as well."""

    def with_features(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K) and features float32 (N, D); otherwise as a call of the backend.

        Called for files whose card has a ``feature_dim``, D, and only where features were asked for.
        """


@contextmanager
def open_backend(opener: Opener, model: Path, device: str) -> Iterator[Backend]:
    """A backend with a model in it; closed at the end, whatever happens.

    Raises:
        ClsbenchError: if it cannot be opened, or what was built cannot be used.
    """
    backend: Backend = opener(model, device)
    try:
        check_backend(backend)
        yield backend
    except BaseException:
        with suppress(Exception):  # the failure under way says more
            backend.close()
        raise
    backend.close()


def check_backend(backend: Backend) -> None:
    """Hold what a backend says about itself to :class:`Backend`.

    Raises:
        PluginError: if it is a plugin's and wrong.
        ModelError: if it is built in and wrong.
    """
    if not isinstance(backend.device, DeviceInfo):
        raise fault(backend, "has an unusable device", repr(backend.device), "a clsbench.DeviceInfo", ModelError)
    for name in ("streams", "batch_size", "threads"):
        value = getattr(backend, name)
        if not isinstance(value, int | np.integer) or value < 1:
            raise fault(backend, f"has unusable {name}", repr(value), "a whole number above 0", ModelError)


def classify(backend: Backend, images: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """Call a backend and check what it returns.

    Args:
        backend: With the model in it.
        images: uint8 (N, h, w, 3).
        classes: K.

    Returns:
        float32 (N, K); values that are not finite are left to the caller.

    Raises:
        PluginError: if a plugin's backend returns something else.
        ModelError: if a built-in one does.
    """
    return _checked(backend, backend(images), (len(images), classes), "logits")


def classify_with_features(
    backend: Backend, images: NDArray[np.uint8], classes: int, feature_dim: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same with features: logits float32 (N, K) and features float32 (N, D).

    Args:
        backend, images, classes: As for :func:`classify`.
        feature_dim: D.

    Raises:
        PluginError, ModelError: as :func:`classify` and :func:`require_features`.
    """
    returned = require_features(backend).with_features(images)
    if not isinstance(returned, tuple) or len(returned) != 2:
        got = _described(returned)
        raise fault(backend, "returned something other than two arrays", got, "logits and features", ModelError)
    logits = _checked(backend, returned[0], (len(images), classes), "logits")
    return logits, _checked(backend, returned[1], (len(images), feature_dim), "features")


def require_features(backend: Backend) -> FeatureBackend:
    """The backend, as one that gives features.

    Raises:
        PluginError: if it is a plugin's and has no method for that.
        ModelError: if a built-in one has none.
    """
    if not hasattr(backend, "with_features"):
        raise fault(backend, "gives no features", "no method with_features", "clsbench.FeatureBackend", ModelError)
    return cast("FeatureBackend", backend)


def _checked(backend: Backend, values: object, shape: tuple[int, int], what: str) -> NDArray[np.float32]:
    """What a backend returned, if it is float32 of that shape."""
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.shape != shape:
        raise fault(
            backend, f"returned something other than {what}", _described(values), f"float32 {shape}", ModelError
        )
    return values.copy() if isinstance(backend, Guarded) else values  # it may use its memory again


def allocate(backend: Backend, shape: tuple[int, ...], count: int) -> list[NDArray[np.uint8]]:
    """Memory for several batches, checked.

    Raises:
        PluginError: if a plugin's backend gives memory that cannot be used, or the same twice.
        ModelError: if a built-in one does.
    """
    made: list[NDArray[np.uint8]] = []
    for _ in range(count):
        memory = backend.allocate(shape)
        usable = isinstance(memory, np.ndarray) and memory.dtype == np.uint8 and memory.shape == shape
        usable = usable and memory.flags.writeable and memory.flags.c_contiguous
        if not usable or any(np.may_share_memory(memory, other) for other in made):
            got = "the same memory twice" if usable else _described(memory)
            expected = f"uint8 {shape}, contiguous, writable, new at each call"
            raise fault(backend, "allocated memory that cannot be used", got, expected, ModelError)
        made.append(memory)
    return made


def _described(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
