"""Where the time of an inference run went, and how far the run was from its limit.

The limit comes from the run's own busy times. Where the model shares the cores with the
decoders, an image costs the sum of its core-seconds, and no overlap can beat
``cores / sum``. Where the model has a device of its own, the slower side sets the limit: of the device,
what it does with every stream in use. What the first calls set up, such as algorithms and engines, is over
before the clock starts and told apart, since it says nothing about the images to come.

Both are measured, so a run at its limit may come out above it: then all of it was reached. A short
run is mostly start and end, and says neither what limits it nor how far it was from that.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from clsbench.text import counted

#: Stages in the order an image passes them; ``wait`` is a worker with nothing to do.
STAGES = ("read", "decode", "resize", "copy", "inference", "post", "write", "wait")

#: Stages that occupy a core whatever the device.
HOST_STAGES = ("read", "decode", "resize", "copy", "post", "write")

#: What limits a run -> what it means.
BOUNDS = {
    "decode": "decode-bound: most of the work is reading and decoding images",
    "model": "model-bound: most of the work is the network",
    "write": "write-bound: most of the work is writing predictions",
}

#: Seconds after the first batch that a run needs to say what limits it.
STEADY = 1.0

#: Seconds of a core that an image takes outside of the network, below which Python's own work may be the limit.
SMALL = 0.001

#: Why a limit is not known where a decoder takes several images at once.
APART = "the decoder may use a device, whose time is not measured"

Mark = tuple[float, float]


@dataclass
class StageClock:
    """Seconds by stage, of one thread; clocks of several threads are added up.

    ``busy`` is time on a core, ``wall`` the time that passed, which is longer where a
    thread waited for a core, the interpreter lock or a device.
    """

    busy: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @staticmethod
    def mark() -> Mark:
        """Now, by both clocks."""
        return time.perf_counter(), time.thread_time()

    def lap(self, stage: str, since: Mark) -> Mark:
        """Count the time since ``since`` under ``stage``; returns now."""
        now = time.perf_counter(), time.thread_time()
        self.wall[stage] += now[0] - since[0]
        self.busy[stage] += now[1] - since[1]
        return now

    def share(self, since: Mark, timed: StageClock) -> float:
        """Count the time since ``since`` under the stages of a clock that timed a part of it, in its proportions.

        Returns the seconds in which a core was used, or something was read and waited for.
        """
        now, before = self.mark(), self.wall["read"] - self.busy["read"]
        for mine, theirs, seconds in (
            (self.wall, timed.wall, now[0] - since[0]),
            (self.busy, timed.busy, now[1] - since[1]),
        ):
            total = sum(theirs.values())
            for name, part in theirs.items() if total else [("read", 1.0)]:
                mine[name] += seconds * part / (total or 1.0)
        waited = self.wall["read"] - self.busy["read"] - before
        return now[1] - since[1] + max(0.0, waited)

    def add(self, other: StageClock) -> None:
        """Take over another thread's seconds."""
        for mine, theirs in ((self.busy, other.busy), (self.wall, other.wall)):
            for name, seconds in theirs.items():
                mine[name] += seconds


class CallMeter:
    """Seconds that all calls of the model have taken, those under way included; under its user's lock."""

    def __init__(self) -> None:
        self.running = 0
        self.seconds = self._counted = 0.0

    def change(self, by: int) -> None:
        """A call begins (1), or has ended (-1)."""
        now = time.perf_counter()
        self.seconds += self.running * (now - self._counted)
        self._counted, self.running = now, self.running + by


@dataclass(frozen=True)
class Limit:
    """What the stages allow, images a second, and which of them sets it."""

    images_per_second: float
    bound: str


@dataclass
class Timing:
    """The times of one run.

    Args:
        seconds: From the first image's claim to the last row written.
        images: How many images.
        clock: Seconds by stage, all threads together.
        first_batch: When the first batch was done, seconds after the start.
        first_batch_images: How many images were in it.
        workers: Threads that decoded and ran the model.
        cores: That this process may use.
        shares_cores: Whether the model ran on them too.
        model_threads: Threads of one call to the model, where it shares the cores.
        own_threads: Whether the model computes in other threads than the one that calls it.
        device_seconds: Of all calls to a model with a device of its own, over its streams, after the first batch: how
            long it takes for the images after that batch with every stream in use.
        warm_up: Seconds of the first calls on such a device, before the clock started.
        batch_size: Images of one call; a part of the advice.
        device, precision: Of the model, such as ``cuda`` and ``float16``: what need not be advised.
        process_seconds: Core-seconds of the whole process.
        large_jpegs: Whether the images are JPEGs that ``fast_decode``, which was off, would decode smaller.
        decoded_apart: Whether a decoder took several images at once, perhaps on a device whose time nobody measures:
            then the limit of the stages is none.
    """

    seconds: float
    images: int
    clock: StageClock
    first_batch: float
    first_batch_images: int
    workers: int
    cores: int = 1
    shares_cores: bool = True
    model_threads: int = 1
    own_threads: bool = False
    device_seconds: float = 0.0
    warm_up: float = 0.0
    batch_size: int = 0
    device: str = ""
    precision: str = ""
    process_seconds: float = 0.0
    large_jpegs: bool = False
    decoded_apart: bool = False

    def joined(self, other: Timing) -> Timing:
        """The sum of two parts of a job; ``seconds``, ``workers`` and ``cores`` are for who knows how the parts ran."""
        both, added = replace(self, clock=StageClock()), ("images", "device_seconds", "warm_up", "process_seconds")
        both.clock.add(self.clock)
        both.clock.add(other.clock)
        sums = {name: getattr(self, name) + getattr(other, name) for name in added}
        return replace(both, large_jpegs=self.large_jpegs or other.large_jpegs, **sums)

    @property
    def images_per_second(self) -> float:
        """Overall."""
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def steady_images_per_second(self) -> float:
        """After the first batch; overall where there was only one."""
        rest = self.images - self.first_batch_images
        seconds = self.seconds - self.first_batch
        return rest / seconds if rest and seconds > 0 else self.images_per_second

    def core_seconds(self) -> dict[str, float]:
        """Seconds an image occupies a core, by stage."""
        count = max(self.images, 1)
        costs = {stage: self.clock.busy[stage] / count for stage in HOST_STAGES}
        if self.shares_cores:
            busy = self.clock.busy["inference"]
            if self._elsewhere:  # the engine's own threads: whatever else the process used
                busy = max(busy, self.process_seconds - sum(self.clock.busy[stage] for stage in HOST_STAGES))
            costs["inference"] = busy / count
        return costs

    @property
    def _elsewhere(self) -> bool:
        """Whether the clocks of the calling threads miss a part of the model's work."""
        return self.own_threads or self.model_threads > 1

    def limit(self) -> Limit:
        """What the measured stages allow on this machine."""
        costs = self.core_seconds()
        shares = {
            "decode": sum(costs[stage] for stage in ("read", "decode", "resize", "copy")),
            "write": costs["post"] + costs["write"],
        }
        if self.shares_cores:
            shares["model"] = costs["inference"]
            total = sum(shares.values())
            return Limit(self.cores / total if total else 0.0, max(shares, key=lambda name: shares[name]))
        host = self.cores / sum(shares.values()) if sum(shares.values()) else 0.0
        steady = self.images - self.first_batch_images
        device = steady / self.device_seconds if self.device_seconds else 0.0
        if device and device <= host:
            return Limit(device, "model")
        return Limit(host, max(shares, key=lambda name: shares[name]))

    @property
    def waited_for_cores(self) -> float:
        """The part of the stages' time in which their threads had no core, 0 to 1."""
        names = [*HOST_STAGES, "inference"] if self.shares_cores and not self._elsewhere else list(HOST_STAGES)
        wall, busy = (sum(clock[name] for name in names) for clock in (self.clock.wall, self.clock.busy))
        return max(0.0, 1 - busy / wall) if wall else 0.0

    @property
    def short(self) -> bool:
        """Whether the run is too short to say what limits it."""
        return self.seconds - self.first_batch < STEADY or self.images <= self.first_batch_images

    @property
    def fraction_of_limit(self) -> float | None:
        """The steady rate over what the stages allow, at most 1; None where the run is too short, or decoded apart."""
        limit, known = self.limit().images_per_second, not (self.short or self.decoded_apart)
        return min(1.0, self.steady_images_per_second / limit) if limit and known else None

    @property
    def limit_text(self) -> str:
        """What the stages allow, and how much of it was reached."""
        reached = self.fraction_of_limit
        if reached is None:
            return f"not known: {APART if self.decoded_apart else 'the run is too short'}"
        return f"{self.limit().images_per_second:.1f} images/s, of which {reached:.0%} was reached"

    @property
    def verdict(self) -> str:
        """One sentence: what limits the run, and what would help."""
        reached = self.fraction_of_limit
        if self.decoded_apart:
            return f"what limits the run is not known: {APART}"
        if reached is None:
            done = f"{counted(self.images, 'image')} in {self.seconds:.1f} s"
            needed = f"that takes several batches, and {STEADY:g} s after the first"
            return f"the run was too short to tell what limits it: {done}; {needed}"
        bound = self.limit().bound
        advice = f"{BOUNDS[bound]}; {self._remedy(bound)}{self._idle_device(bound)}"
        if reached >= 0.9:
            return advice
        reason = "the rest of the time was spent outside of the stages"
        if self.waited_for_cores > 0.1:
            reason = "threads waited for a core: the machine has other work"
            if sum(self.clock.busy[stage] for stage in HOST_STAGES) < SMALL * self.images:
                reason += ", or the images are so small that Python itself is the limit"
        return f"{advice}. The run reached {reached:.0%} of its limit: {reason}"

    def _idle_device(self, bound: str) -> str:
        """How busy a device is that waits for the cores."""
        if self.shares_cores or bound == "model":
            return ""
        busy = min(1.0, self.device_seconds / (self.seconds - self.first_batch))
        return f"; the device is busy {busy:.0%} of the time"

    def _remedy(self, bound: str) -> str:
        """What would help against a limit, of what is not done yet."""
        if bound == "decode":
            return f"try {'--fast-decode on, smaller copies of the images or ' if self.large_jpegs else ''}more cores"
        if bound == "model" and self.shares_cores:
            return "try a smaller network or a GPU"
        if bound == "model":
            larger = f"a larger --batch-size than {self.batch_size}" if self.batch_size else "a larger --batch-size"
            fp16 = "export --precision fp16, " if self.precision in ("", "float32") else ""
            tensorrt = "--device tensorrt, " if self.device in ("", "cuda") else ""
            return f"try {larger}, {fp16}{tensorrt}a smaller network or a faster GPU"
        return "try .parquet, or fewer columns"

    def to_json(self) -> dict[str, Any]:
        """The facts of the throughput table."""
        limit, count = self.limit(), max(self.images, 1)
        facts: dict[str, Any] = {
            "images_per_second": self.images_per_second,
            "steady_images_per_second": self.steady_images_per_second,
            "limit": limit.images_per_second,
            "fraction_of_limit": self.fraction_of_limit,
            "bound": limit.bound,
            "seconds": self.seconds,
            "first_batch_seconds": self.first_batch,
            "warm_up_seconds": self.warm_up,
            "workers": self.workers,
            "cores": self.cores,
            "waited_for_cores": self.waited_for_cores,
            "process_core_ms_per_image": 1000 * self.process_seconds / count,
            "core_ms_per_image": {stage: 1000 * s for stage, s in self.core_seconds().items()},
        }
        facts |= {f"{stage}_ms_per_image": 1000 * self.clock.wall[stage] / count for stage in STAGES}
        return {**facts, "verdict": self.verdict}
