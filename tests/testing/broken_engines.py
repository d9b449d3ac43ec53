"""Backends and executors that keep every rule, and for each rule one that breaks it alone."""

import dataclasses
import itertools
import threading
import time
from contextlib import suppress

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from clsbench import Backend, Component, DeviceError, DeviceInfo, ModelError, read_card
from clsbench.errors import DataError
from clsbench.images.entries import in_memory
from clsbench.inference import reference_backend
from clsbench.inference.executors import SerialExecutor

# Backends


class Evaluator(Backend):
    """ONNX's evaluator behind the interface of a plugin."""

    streams, batch_size = 1, 4

    def __init__(self, model_path, device, *, slow: bool = False):
        self.owner = threading.get_ident()
        self.device = DeviceInfo(device=self.settle(device), provider="kit")
        self.inner = reference_backend.build(model_path, "cpu")

    def settle(self, device):
        if device not in ("cpu", "auto"):
            raise DeviceError("there is no such device", got=device)
        return "cpu"

    def __call__(self, images):
        return self.inner(images)

    def with_features(self, images):
        return self.inner.with_features(images)

    def close(self): ...


class Unopened(Evaluator):
    def __init__(self, model_path, device):
        raise RuntimeError("cannot")


class NoStreams(Evaluator):
    streams = 0


class AnyDevice(Evaluator):
    def settle(self, device):
        return "cpu"


class Off(Evaluator):
    def __call__(self, images):
        return self.inner(images) + np.float32(0.1)


class NotEmpty(Evaluator):
    def __call__(self, images):
        if not len(images):
            raise ValueError("no images")
        return self.inner(images)


class Reusing(Evaluator):
    memory = np.zeros((64, 3), np.float32)

    def __call__(self, images):
        self.memory[: len(images)] = self.inner(images)
        return self.memory[: len(images)]


class OneThread(Evaluator):
    def __call__(self, images):
        return self.inner(images) + np.float32(threading.get_ident() != self.owner)


class SameMemory(Evaluator):
    memory = np.zeros(1 << 12, np.uint8)

    def allocate(self, shape):
        return self.memory[: np.prod(shape)].reshape(shape)


class OtherFeatures(Evaluator):
    def with_features(self, images):
        logits, features = self.inner.with_features(images)
        return logits, features + np.float32(1)


class Untyped(Evaluator):
    def __init__(self, model_path, device):
        try:
            super().__init__(model_path, device)
        except ModelError as error:
            raise ValueError(str(error)) from error


class Trusting(Evaluator):
    """Does not hold the graph to its card."""

    def __init__(self, model_path, device):
        read_card(model_path)
        self.device = DeviceInfo(device=self.settle(device), provider="kit")
        self.inner, self.evaluator = self, ReferenceEvaluator(onnx.load(model_path))

    def __call__(self, images):
        return self.with_features(images)[0]

    def with_features(self, images):
        if not len(images):
            return np.zeros((0, 3), np.float32), np.zeros((0, 4), np.float32)
        return tuple(self.evaluator.run(["logits", "features"], {"images": images}))


BACKEND = Component("kit", Evaluator, "ONNX's evaluator")
BACKEND_INPUTS = {}

BACKENDS = [
    (rule, Component("kit", build, "ONNX's evaluator"))
    for rule, build in {
        "builds": Unopened,
        "says-how-to-be-called": NoStreams,
        "device-is-the-truth": AnyDevice,
        "agrees-with-the-reference": Off,
        "empty-batch": NotEmpty,
        "logits-stay": Reusing,
        "threads-share-it": OneThread,
        "memory-can-be-used": SameMemory,
        "features-agree-too": OtherFeatures,
        "rubbish-is-a-model-error": Untyped,
        "a-wrong-card-is-a-model-error": Trusting,
    }.items()
]


# Executors


class Changed(SerialExecutor):
    """The built-in one, its blocks changed."""

    def change(self, block):
        return block

    def run(self, spec, entries):
        for block in super().run(spec, entries):
            yield self.change(block)


class Idle:
    execution = None


class Backwards(Changed):
    def run(self, spec, entries):
        yield from list(super().run(spec, entries))[::-1]


class OffBlocks(Changed):
    def change(self, block):
        return dataclasses.replace(block, logits=block.logits + 1)


class OwnErrors(Changed):
    def change(self, block):
        return dataclasses.replace(block, errors=[error and "bad image" for error in block.errors])


class Remembering(Changed):
    """Gives the rows of the last job on the same file."""

    def run(self, spec, entries):
        known = getattr(self, "known", {})
        if (spec.model, spec.features) not in known:
            self.known = {(spec.model, spec.features): list(super().run(spec, entries))}
        yield from self.known[(spec.model, spec.features)]


class AlwaysABlock(Changed):
    def run(self, spec, entries):
        if not entries:
            yield None
        yield from super().run(spec, entries)


class Silent(Changed):
    def run(self, spec, entries):
        for block in super().run(spec, entries):
            self.execution = None
            yield block
        self.execution = None


class Forgiving(Changed):
    def run(self, spec, entries):
        try:
            yield from super().run(spec, entries)
        except ModelError:
            return


class Endless(Changed):
    """Its iterator cannot be closed."""

    def run(self, spec, entries):
        return itertools.chain(super().run(spec, entries))


class Lingering(Changed):
    """Goes on reading when it was closed."""

    def run(self, spec, entries):
        def read():
            with suppress(FileNotFoundError):  # the job's folder has gone at last
                for entry in entries:
                    entry.read()
                    time.sleep(0.1)

        if len(entries) > 100:
            threading.Thread(target=read, daemon=True).start()
        yield from super().run(spec, entries)


class Greedy(Changed):
    """Reads everything before the first block."""

    def run(self, spec, entries):
        held = []
        for entry in entries:
            try:
                held.append(in_memory(entry.name, entry.read()))
            except (DataError, RuntimeError):
                held.append(entry)
        yield from super().run(spec, held)


EXECUTOR = Component("kit", Changed, "serial")
EXECUTOR_INPUTS = {"many": 300}

EXECUTORS = [
    (rule, Component("kit", build, "serial"))
    for rule, build in {
        "builds": Idle,
        "rows-in-order": Backwards,
        "logits-of-serial": OffBlocks,
        "failures-are-rows": OwnErrors,
        "runs-again": Remembering,
        "no-images-are-no-rows": AlwaysABlock,
        "says-where-it-ran": Silent,
        "a-failing-backend-ends-the-job": Forgiving,
        "can-be-cancelled": Endless,
        "memory-is-bounded": Greedy,
    }.items()
]
EXECUTORS.append(("can-be-cancelled", Component("kit", Lingering, "serial")))
