import dataclasses
import io
import pickle
import threading
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image

from clsbench import builtin
from clsbench.errors import ModelError, PluginError
from clsbench.guard import Opener
from clsbench.images.entries import FileEntry
from clsbench.inference.backend import Backend, DeviceInfo, Plan
from clsbench.inference.executors import SerialExecutor, ThreadsExecutor, open_job
from clsbench.inference.job import JobSpec, run_job
from clsbench.inference.onnxruntime_backend import build
from clsbench.model_file import read_card
from clsbench.predictions.writers import CsvWriter
from clsbench.registry import Registry

BUILT_IN = (ThreadsExecutor, SerialExecutor)


class Recorded(Backend):
    """Logits are the means of the channels; what happens to the backend is kept in ``log``."""

    device, streams, batch_size = DeviceInfo(provider="test", device="cpu"), 2, 2

    def __init__(self, log, fail=None):
        self.log, self._fail = log, fail

    def __call__(self, images):
        if self._fail:
            raise self._fail
        return images.reshape(len(images), -1, 3).mean(axis=1, dtype=np.float32)

    def close(self):
        self.log.append("closed")


def spec_of(model, backend, owner=None, **more):
    opener = Opener(lambda file, device: backend, {}, "acme/odd", owner, "backend")
    return JobSpec(model=model, card=read_card(model), backend=opener, device="cpu", **more)


@pytest.fixture
def spec(tiny_onnx):
    opener = Opener(build, {"batch_size": 3, "streams": 2}, "clsbench/onnxruntime", None, "backend")
    return JobSpec(model=tiny_onnx, card=read_card(tiny_onnx), backend=opener, device="cpu")


@pytest.fixture
def samples(photos):
    (photos / "train" / "red" / "9.jpg").write_bytes(b"not an image")
    files = sorted(photos.rglob("*.*"))
    return [FileEntry(file.relative_to(photos).as_posix(), str(file)) for file in files]


@pytest.fixture
def distribution(fake_distribution):
    """distribution(source): the registry of a process in which a plugin ``acme`` is installed."""

    def install(source):
        fake_distribution("clsbench-acme", dedent(source))
        return Registry(builtin)

    return install


def written(executor, spec, samples, file):
    with CsvWriter(file, spec.card, topk=2, probabilities=True) as writer:
        for block in run_job(executor, spec, samples):
            writer.write(block)
    return file.read_bytes()


@pytest.mark.parametrize("executor", BUILT_IN)
def test_device_and_plan_are_known_with_the_first_block_and_timing_after_the_last(executor, spec, samples):
    running = executor()
    blocks = running.run(spec, samples)
    assert running.execution is None
    next(blocks)
    assert running.execution.device.provider == "CPUExecutionProvider"
    assert running.execution.plan in (Plan(2, 1, 3, "rule"), Plan(1, 1, 1, "serial"))
    assert running.execution.timing is None
    list(blocks)
    facts = running.execution.timing.to_json()
    assert running.execution.timing.images == len(samples)
    assert facts["decode_ms_per_image"] > 0
    assert facts["write_ms_per_image"] >= 0


@pytest.mark.parametrize("executor", BUILT_IN)
def test_timing_knows_what_need_not_be_advised(executor, spec, samples):
    half = dataclasses.replace(spec, card=dataclasses.replace(spec.card, precision="float16"))
    executor = executor()
    list(executor.run(half, samples))
    assert (executor.execution.timing.device, executor.execution.timing.precision) == ("cpu", "float16")


def test_time_between_blocks_counts_as_writing(spec, samples):
    running, waits = ThreadsExecutor(), []
    for _ in running.run(spec, samples):
        threading.Event().wait(0.05)
        waits.append(0.05)
    assert running.execution.timing.clock.wall["write"] >= sum(waits)


@pytest.mark.parametrize("executor", BUILT_IN)
@pytest.mark.parametrize("end", ["exhausted", "closed", "dropped", "backend fails", "caller fails", "interrupt"])
def test_the_backend_is_closed_whatever_happens(executor, end, tiny_onnx, samples):
    log, before = [], threading.active_count()
    backend = Recorded(log, fail=RuntimeError("the device is lost") if end == "backend fails" else None)
    blocks = executor().run(spec_of(tiny_onnx, backend), samples)
    if end == "exhausted":
        list(blocks)
    elif end == "closed":
        next(blocks)
        blocks.close()
    elif end == "dropped":
        next(blocks)
        del blocks
    elif end == "backend fails":
        with pytest.raises(RuntimeError, match="device is lost"):
            list(blocks)
    else:
        error = KeyboardInterrupt if end == "interrupt" else OSError
        del blocks  # as in a caller that holds the iterator in its loop only

        def stop():
            for _ in executor().run(spec_of(tiny_onnx, backend), samples):
                raise error

        with pytest.raises(error):
            stop()
    assert log == ["closed"]
    assert threading.active_count() == before


@pytest.mark.parametrize("executor", BUILT_IN)
def test_a_backend_that_cannot_be_used_is_closed_too(executor, tiny_onnx, samples):
    log = []
    backend = Recorded(log)
    backend.streams = 0  # no call would ever begin
    with pytest.raises(ModelError, match="unusable streams"):
        list(executor().run(spec_of(tiny_onnx, backend), samples))
    assert log == ["closed"]


def test_a_failing_close_does_not_hide_the_failure_of_the_run(tiny_onnx, samples):
    backend = Recorded([], fail=RuntimeError("the device is lost"))
    backend.close = lambda: 1 / 0
    with pytest.raises(RuntimeError, match="device is lost"):
        list(ThreadsExecutor().run(spec_of(tiny_onnx, backend), samples))


WRONG_LOGITS = {
    "float64": lambda logits: logits.astype(np.float64),
    "float16": lambda logits: logits.astype(np.float16),
    "transposed": lambda logits: np.zeros((3, len(logits) + 1), np.float32),
    "flat": lambda logits: logits.ravel(),
    "short": lambda logits: logits[:0],
    "list": lambda logits: logits.tolist(),
    "nothing": lambda logits: None,
}


@pytest.mark.parametrize("executor", BUILT_IN)
@pytest.mark.parametrize("owner", [None, "distribution clsbench-acme 1.0"])
@pytest.mark.parametrize("wrong", WRONG_LOGITS)
def test_what_is_not_float32_logits_ends_the_job(executor, owner, wrong, tiny_onnx, samples):
    class Odd(Recorded):
        def __call__(self, images):
            return WRONG_LOGITS[wrong](super().__call__(images))

    with pytest.raises(PluginError if owner else ModelError, match="returned something other than logits") as caught:
        list(executor().run(spec_of(tiny_onnx, Odd([]), owner), samples))
    assert caught.value.facts["expected"] in ("float32 (1, 3)", "float32 (2, 3)")
    assert caught.value.facts["where"] == owner


@pytest.mark.parametrize("executor", BUILT_IN)
def test_rows_that_are_not_finite_are_errors_of_their_own(executor, tiny_onnx, photos, paint):
    class Overflowing(Recorded):
        def __call__(self, images):
            logits = super().__call__(images)
            logits[logits.argmax(axis=1) == 2] = np.inf
            return logits

    files = sorted((photos / "val").rglob("*.*"))
    entries = [FileEntry(str(file), str(file)) for file in files]
    blocks = list(executor().run(spec_of(tiny_onnx, Overflowing([])), entries))
    errors = {n: e for block in blocks for n, e in zip(block.names, block.errors, strict=True) if e}
    assert errors == {str(f): "the model returned logits that are not finite" for f in files if "blue" in str(f)}


@pytest.mark.parametrize(
    "memory",
    [
        lambda shape: np.zeros(shape, np.float32),
        lambda shape: np.zeros(shape[1:], np.uint8),
        lambda shape: np.zeros(shape[::-1], np.uint8).T,
        lambda shape: np.broadcast_to(np.uint8(0), shape),
        lambda shape, kept=np.zeros(1 << 12, np.uint8): kept[: np.prod(shape)].reshape(shape),
        lambda shape: bytearray(int(np.prod(shape))),
    ],
    ids=["float", "shape", "not contiguous", "read-only", "the same twice", "no array"],
)
def test_memory_that_cannot_hold_a_batch_is_refused(memory, tiny_onnx, samples):
    backend = Recorded([])
    backend.allocate = memory
    with pytest.raises(PluginError, match="acme/odd allocated memory that cannot be used"):
        list(ThreadsExecutor().run(spec_of(tiny_onnx, backend, "distribution clsbench-acme 1.0"), samples))


def test_a_backend_of_a_plugin_may_use_its_memory_for_logits_again(tiny_onnx, samples, spec):
    class Reusing(Recorded):
        streams, kept = 1, np.zeros((2, 3), np.float32)

        def __call__(self, images):
            self.kept[: len(images)] = super().__call__(images)
            return self.kept[: len(images)]

    used = spec_of(tiny_onnx, Reusing([]), "distribution clsbench-acme 1.0")
    found, right = (np.concatenate([block.logits for block in ThreadsExecutor().run(s, samples)]) for s in (used, spec))
    np.testing.assert_allclose(found, right, rtol=1e-5)


@pytest.mark.parametrize("raised", ["SystemExit(0)", "MemoryError()", "ValueError('odd')", "GeneratorExit()"])
@pytest.mark.parametrize("where", ["__init__", "__call__", "allocate", "close"])
@pytest.mark.parametrize("executor", BUILT_IN)
def test_whatever_a_plugins_backend_raises_names_its_distribution(
    distribution, executor, raised, where, tiny_onnx, samples
):
    registry = distribution(f"""
        import numpy as np
        from clsbench import Backend, Component, DeviceInfo, hookimpl

        class Odd(Backend):
            device, streams, batch_size = DeviceInfo(provider="odd", device="cpu"), 1, 2
            def __init__(self, model_path, device): self.at("__init__")
            def at(self, place):
                if place == {where!r}: raise {raised}
            def allocate(self, shape):
                self.at("allocate")
                return np.zeros(shape, np.uint8)
            def __call__(self, images):
                self.at("__call__")
                return np.zeros((len(images), 3), np.float32)
            def close(self): self.at("close")

        @hookimpl
        def register_backends():
            yield Component("odd", Odd)
    """)
    opener = registry.resolve("backend", "acme/odd").opener()
    spec = JobSpec(model=tiny_onnx, card=read_card(tiny_onnx), backend=opener, device="cpu")
    with pytest.raises(PluginError, match="acme/odd failed") as caught:
        list(executor().run(spec, samples))
    assert caught.value.facts["where"] == "distribution clsbench-acme 1.0"
    assert caught.value.exit_code == 1


def test_an_exit_in_a_plugins_backend_is_not_a_job_done(fake_distribution, cli, tiny_onnx, photos):
    fake_distribution("clsbench-acme", """
        from clsbench import Backend, Component, DeviceInfo, hookimpl

        class Odd(Backend):
            device, streams, batch_size = DeviceInfo(provider="odd", device="cpu"), 1, 2
            def __call__(self, images): raise SystemExit(0)
            def close(self): ...

        @hookimpl
        def register_backends():
            yield Component("odd", lambda model_path, device: Odd())
    """)  # fmt: skip
    done = cli("infer", photos / "val", "--model", tiny_onnx, "--backend", "acme/odd", "--out", "p.csv")
    assert done.code == 1
    assert "acme/odd failed" in done.stderr
    assert "distribution clsbench-acme 1.0" in done.stderr


def test_a_plugins_decoder_costs_an_image_by_an_exception_and_the_job_by_an_exit(distribution, spec, samples):
    registry = distribution("""
        from clsbench import Component, hookimpl

        class Raising:
            formats = frozenset({"jpeg"})
            def __init__(self, *, how: str = "ValueError"): self.how = how
            def __call__(self, data):
                raise {"SystemExit": SystemExit(0), "MemoryError": MemoryError()}.get(self.how, ValueError("odd"))

        @hookimpl
        def register_decoders():
            yield Component("raising", Raising)
    """)
    found = registry.resolve("decoder", "raising")
    tolerant = dataclasses.replace(spec, decoders=(found.opener(),))
    assert [name for block in SerialExecutor().run(tolerant, samples) for name in block.names] == [
        sample.name for sample in samples
    ]
    for how in ("SystemExit", "MemoryError"):
        for executor in BUILT_IN:
            with pytest.raises(PluginError, match="acme/raising failed"):
                list(executor().run(dataclasses.replace(spec, decoders=(found.opener(how=how),)), samples))


POOL = """
    import multiprocessing
    from clsbench import Component, hookimpl

    def work(spec, entries, queue):
        from clsbench.inference.executors import ThreadsExecutor
        executor = ThreadsExecutor()
        for block in executor.run(spec, entries):
            queue.put(block)
        queue.put(executor.execution)

    class Pool:
        '''Two processes, each with a half of the images.'''

        execution = None

        def run(self, spec, entries):
            context = multiprocessing.get_context("spawn")
            half = len(entries) // 2
            parts = [(entries[:half], context.Queue(4)), (entries[half:], context.Queue(4))]
            processes = [context.Process(target=work, args=(spec, *part)) for part in parts]
            for process in processes:
                process.start()
            for process, (_, queue) in zip(processes, parts):
                while not hasattr(block := queue.get(), "plan"):
                    yield block
                self.execution = block
                process.join()

    @hookimpl
    def register_executors():
        yield Component("two-processes", Pool, "two processes")
"""


def test_three_executors_write_the_same_file(distribution, spec, samples, tmp_path):
    found = distribution(POOL).resolve("executor", "two-processes")
    assert found.qualified == "acme/two-processes"
    pool = found.build()
    files = [written(executor, spec, samples, tmp_path / f"{k}.csv") for k, executor in enumerate(
        (ThreadsExecutor(), SerialExecutor(), pool)
    )]  # fmt: skip
    assert files[0].count(b"\n") == len(samples) + 1
    assert b"not an image" in files[0]
    assert files == [files[0]] * 3
    assert pool.execution.device.provider == "CPUExecutionProvider"


def test_a_job_survives_pickling(spec):
    assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("yield from list(blocks)[1:]", "yielded other rows than the next ones"),
        ("yield from list(blocks)[:-1]", "left images out"),
        ("yield from list(blocks)[::-1]", "yielded other rows"),
        ("yield next(blocks).names", "yielded something other than predictions"),
        ("yield from blocks; yield from SerialExecutor().run(spec, entries[:1])", "yielded other rows"),
        ("yield from blocks; raise SystemExit(0)", "acme/odd failed"),
        ("yield from blocks; self.execution = None", "does not say on what it ran"),
        ("yield replace(next(blocks), logits=np.zeros((1, 2), np.float32))", "yielded logits of another shape"),
    ],
)
def test_an_executor_of_a_plugin_is_held_to_one_row_an_image_in_order(distribution, spec, samples, body, message):
    registry = distribution(f"""
        from dataclasses import replace
        import numpy as np
        from clsbench import Component, hookimpl
        from clsbench.inference.executors import SerialExecutor

        class Odd:
            execution = None
            def run(self, spec, entries):
                serial = SerialExecutor()
                blocks = serial.run(spec, entries)
                self.execution = "unknown"
                {body}

        @hookimpl
        def register_executors():
            yield Component("odd", Odd)
    """)
    with pytest.raises(PluginError, match=message) as caught:
        list(run_job(registry.resolve("executor", "acme/odd").build(), spec, samples))
    assert caught.value.facts["where"] == "distribution clsbench-acme 1.0"


class Together:
    """A decoder that takes several images at once; it cannot read large ones."""

    formats = frozenset({"jpeg"})

    def __call__(self, data):
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def decode_batch(self, data, geometries, out, *, interpolation):
        return [self(one) if len(one) % 3 else ValueError("not by me") for one in data]


@pytest.mark.parametrize("executor", BUILT_IN)
def test_a_decoder_of_several_images_at_once_gives_the_same_rows_and_is_counted(executor, tiny_onnx, samples):
    entries = samples * 7
    job, plain = (spec_of(tiny_onnx, Recorded([]), decoders=decoders) for decoders in ((Together,), ()))
    runner = executor()
    blocks, expected = list(runner.run(job, entries)), list(executor().run(plain, entries))
    assert [name for block in blocks for name in block.names] == [entry.name for entry in entries]
    assert [e for block in blocks for e in block.errors] == [e for block in expected for e in block.errors]
    np.testing.assert_array_equal(*(np.concatenate([block.logits for block in found]) for found in (blocks, expected)))
    data = [entry.read() for entry in entries]
    jpegs = [one for one in data if one.startswith(b"\xff\xd8")]
    decoded = runner.execution.decoded
    assert runner.execution.timing.decoded_apart
    assert decoded.images == sum(bool(len(one) % 3) for one in jpegs) > 0
    assert (decoded.images + decoded.on_cpu, decoded.images + decoded.failed) == (len(data), len(jpegs))


def test_an_open_job_runs_several_parts_with_one_backend(tiny_onnx, samples):
    log = []
    spec = spec_of(tiny_onnx, Recorded(log))
    whole = list(ThreadsExecutor().run(spec, samples))
    log.clear()
    with open_job(spec) as job:
        plan = job.execution.plan
        parts = [block for part in (samples[:2], samples[2:]) for block in job.run(part)]
        assert job.execution.plan == plan
        assert job.execution.timing.images == len(samples) - 2
        assert not log
    assert log == ["closed"]
    assert [name for block in parts for name in block.names] == [sample.name for sample in samples]
    logits = [np.concatenate([block.logits for block in blocks]) for blocks in (parts, whole)]
    np.testing.assert_array_equal(*logits)
