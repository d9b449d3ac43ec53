import hashlib
import re
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clsbench.errors import DataError, ModelError
from clsbench.images.entries import BytesEntry
from clsbench.images.loader import ImageLoader
from clsbench.inference import pipeline as pipeline_module
from clsbench.inference.backend import Backend, DeviceInfo
from clsbench.inference.pipeline import Pipeline
from clsbench.transform import ImageTransform

CLASSES = 3


class Means(Backend):
    """Logits are the means of the channels, so a neighbour's pixels would show."""

    def __init__(self, *, streams=2, batch_size=4, shares_cores=True, delay=lambda: None, fail_on=None):
        self.device = DeviceInfo(provider="test", device="cpu")
        self.streams, self.batch_size, self.shares_cores = streams, batch_size, shares_cores
        self._delay, self._fail_on, self._calls = delay, fail_on, 0
        self._lock, self._running, self.most = threading.Lock(), 0, 0
        self.allocated = 0

    def allocate(self, shape):
        self.allocated += 1
        return np.zeros(shape, np.uint8)

    def __call__(self, images):
        with self._lock:
            self._calls += 1
            number = self._calls
            self._running += 1
            self.most = max(self.most, self._running)
        self._delay()
        with self._lock:
            self._running -= 1
        if number == self._fail_on:
            raise RuntimeError("the device is lost")
        return images.reshape(len(images), -1, 3).mean(axis=1, dtype=np.float64).astype(np.float32)

    def close(self): ...


class Loader(ImageLoader):
    """Images by their number: bad ones cannot be read, all may take their time."""

    def __init__(self, *, bad=(), delay=lambda: None, broken=None):
        super().__init__(ImageTransform(size=(2, 2), interpolation="nearest"))
        self._bad, self._delay, self._broken = set(bad), delay, broken

    def read(self, source):
        self._delay()
        return super().read(source)

    def decode(self, data, *, fleeting=False):
        number = int(data)
        if number == self._broken:
            raise SystemExit("a decoder ended the process")
        if number in self._bad:
            raise DataError("damaged image: for the test")
        return np.full((2, 2, 3), (number % 251, number // 251, 7), np.uint8)


def samples(count):
    return [BytesEntry(f"{i}.png", str(i).encode()) for i in range(count)]


def run(loader, backend, count, sink, *, threads=2, batch_size=None, seconds=60):
    """The timing, or the exception; fails the test if the pipeline hangs or leaves threads behind."""
    before, outcome = threading.active_count(), []

    def work():
        try:
            pipeline = Pipeline(loader, backend, classes=CLASSES, decode_threads=threads, batch_size=batch_size)
            for block in pipeline.run(samples(count)):
                sink(block)
            outcome.append(pipeline.timing)
        except BaseException as error:  # noqa: BLE001
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "the pipeline hangs"
    assert threading.active_count() == before
    return outcome[0]


def rows(batches):
    """(name, red, green, error) of every row; the colours give the image's number away."""
    return [
        (name, None if error else tuple(logits[:2].tolist()), error)
        for batch in batches
        for name, logits, error in zip(batch.names, batch.logits, batch.errors, strict=True)
    ]


delays = st.sampled_from([0.0, 0.0, 0.0, 0.0005, 0.002])


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 60),
    threads=st.integers(1, 4),
    streams=st.integers(1, 3),
    batch_size=st.integers(1, 9),
    shares_cores=st.booleans(),
    bad=st.sets(st.integers(0, 59), max_size=20),
    waits=st.tuples(delays, delays, delays),
    seed=st.integers(0, 9),
)
def test_every_sample_gets_its_own_row_in_order(count, threads, streams, batch_size, shares_cores, bad, waits, seed):
    random = np.random.default_rng(seed)

    def delay(seconds):
        return lambda: time.sleep(seconds * random.random()) if seconds else None

    backend = Means(streams=streams, shares_cores=shares_cores, delay=delay(waits[1]))
    batches = []

    def sink(predictions):
        delay(waits[2])()
        batches.append(predictions)

    timing = run(Loader(bad=bad, delay=delay(waits[0])), backend, count, sink, threads=threads, batch_size=batch_size)
    expected = [
        (f"{i}.png", None, "damaged image: for the test") if i in bad else (f"{i}.png", (i % 251, i // 251), None)
        for i in range(count)
    ]
    assert rows(batches) == expected
    assert [label for batch in batches for label in batch.labels] == [-1] * count
    assert timing.images == count
    assert backend.most <= streams


@settings(max_examples=40, deadline=None)
@given(
    where=st.sampled_from(["backend", "sink", "decoder"]),
    at=st.integers(1, 8),
    threads=st.integers(1, 3),
    batch_size=st.integers(1, 5),
)
def test_a_failure_in_any_stage_ends_the_run_and_keeps_its_traceback(where, at, threads, batch_size):
    calls = []

    def sink(predictions):
        calls.extend(predictions.names)
        if where == "sink" and len(calls) >= at:
            raise OSError("the disk is full")

    backend = Means(fail_on=at if where == "backend" else None)
    loader = Loader(broken=at if where == "decoder" else None)
    error = run(loader, backend, 60, sink, threads=threads, batch_size=batch_size)
    expected = {"backend": RuntimeError, "sink": OSError, "decoder": SystemExit}[where]
    assert isinstance(error, expected)
    functions = []
    trace = error.__traceback__
    while trace:
        functions.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert {"backend": "__call__", "sink": "sink", "decoder": "decode"}[where] in functions


@pytest.mark.parametrize(
    ("delivered", "images", "batches"), [(16, 200, 12), (pipeline_module.MOST_DELIVERED, 1000, 25)]
)
def test_a_slow_writer_holds_the_decoders_back(monkeypatch, delivered, images, batches):
    monkeypatch.setattr(pipeline_module, "MOST_DELIVERED", delivered)
    decoded, written = [], []

    class Counting(Loader):
        def decode(self, data, *, fleeting=False):
            decoded.append(int(data))
            return super().decode(data)

    backend = Means(batch_size=4)

    def sink(predictions):
        time.sleep(0.01)
        written.extend(predictions.names)
        assert len(decoded) <= len(written) + backend.allocated * 4

    timing = run(Counting(), backend, images, sink)
    assert timing.images == images
    assert backend.allocated < batches


@pytest.mark.parametrize(("locked", "at_once"), [(60.0, 1), (0.0, 4)])
def test_no_more_workers_decode_than_the_interpreter_lock_lets(monkeypatch, locked, at_once):
    monkeypatch.setattr(pipeline_module, "LOCKED", locked)
    lock, decoding, most = threading.Lock(), set(), [0]

    class Watched(Loader):
        def read(self, entry):
            with lock:
                decoding.add(entry.name)
                if int(entry.name[:-4]) >= 32:  # before, nobody knows how long an image takes
                    most[0] = max(most[0], len(decoding))
            time.sleep(0.001)
            with lock:
                decoding.remove(entry.name)
            return super().read(entry)

    timing = run(Watched(), Means(batch_size=8), 200, lambda found: None, threads=4)
    assert (timing.images, most[0]) == (200, at_once)


def test_a_slow_model_hands_over_what_it_has(monkeypatch):
    blocks = []
    backend = Means(batch_size=1, streams=1, delay=lambda: time.sleep(0.06))
    run(Loader(), backend, 8, lambda found: blocks.append(len(found.names)))
    assert len(blocks) > 1


def test_an_interrupt_in_the_calling_thread_stops_the_workers():
    def sink(predictions):
        raise KeyboardInterrupt

    assert isinstance(run(Loader(), Means(), 100, sink), KeyboardInterrupt)


def test_an_unexpected_exception_costs_one_picture_only():
    class Odd(Loader):
        def decode(self, data, *, fleeting=False):
            if int(data) == 5:
                raise MemoryError("too large")
            return super().decode(data)

    batches = []
    run(Odd(), Means(), 10, batches.append)
    errors = [row for row in rows(batches) if row[2]]
    assert errors == [("5.png", None, "MemoryError: too large")]


def test_a_decoder_that_returns_no_pixels_ends_the_job():
    class Grey:
        formats = frozenset({"unknown"})

        def __call__(self, data):
            return np.zeros((2, 2), np.uint8)

    loader = ImageLoader(ImageTransform(size=(2, 2)), [Grey()])
    assert "Grey returned" in str(run(loader, Means(), 10, lambda predictions: None))


def test_logits_that_are_not_finite_are_an_error_of_their_row():
    class Overflowing(Means):
        def __call__(self, images):
            logits = super().__call__(images)
            logits[logits[:, 0] == 3] = np.inf
            return logits

    batches = []
    run(Loader(), Overflowing(), 6, batches.append)
    assert [row[0] for row in rows(batches) if row[2]] == ["3.png"]


def test_logits_of_another_shape_end_the_run():
    class Wide(Means):
        def __call__(self, images):
            return np.zeros((len(images), CLASSES + 1), np.float32)

    error = run(Loader(), Wide(), 6, lambda predictions: None)
    assert isinstance(error, ModelError)
    assert re.fullmatch(r"float32 \(\d, 4\)", error.facts["got"])
    assert re.fullmatch(r"float32 \(\d, 3\)", error.facts["expected"])


class Device(Means):
    """A GPU: one call computes at a time, and the first on each stream chooses algorithms."""

    def __init__(self, *, seconds=0.005, set_up=0.3, **others):
        super().__init__(shares_cores=False, **others)
        self._seconds, self._set_up, self._computes, self._known = seconds, set_up, threading.Lock(), set()

    def __call__(self, images):
        if self._calls < self.streams:
            time.sleep(self._set_up)
        result = super().__call__(images)
        with self._computes:
            time.sleep(self._seconds)
        return result


def test_a_device_warms_up_before_the_clock_starts_and_its_capacity_is_that_of_full_streams(monkeypatch):
    monkeypatch.setattr("clsbench.inference.timing.STEADY", 0.05)
    found = run(Loader(), Device(), 200, lambda block: None, threads=4)
    assert found.warm_up >= 0.3
    assert found.to_json()["warm_up_seconds"] == found.warm_up
    assert found.first_batch < 0.2
    assert found.limit().bound == "model"
    assert 0.6 < found.steady_images_per_second / found.limit().images_per_second <= 1.02
    assert found.images_per_second > 0.3 * 4 / 0.005


def test_a_device_that_waits_for_images_is_not_what_limits_them(monkeypatch):
    monkeypatch.setattr("clsbench.inference.timing.STEADY", 0.05)

    def decode():
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            hashlib.sha256(bytes(1 << 16))  # a core, but not Python's lock

    found = run(Loader(delay=decode), Device(seconds=0.001, set_up=0.0), 60, lambda block: None, threads=2)
    assert found.limit().bound == "decode"
    assert "% of the time" in found.verdict


def test_a_job_of_few_batches_does_not_warm_up():
    device = Device(set_up=0.0)
    assert run(Loader(), device, 8, lambda block: None).warm_up == 0.0
    assert device._calls == 2


def test_a_device_that_fails_while_it_warms_up_ends_the_job():
    error = run(Loader(), Device(set_up=0.0, fail_on=1), 100, lambda block: None)
    assert "the device is lost" in str(error)
