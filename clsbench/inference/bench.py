"""What a benchmark of a model found: rates in windows that must agree, latencies, and whether the answers are right.

A figure counts only when three windows in a row agree within 10 % (as in NVIDIA's
perf_analyzer). :mod:`clsbench.inference.bench_rounds` measures them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from clsbench.errors import ClsbenchError
from clsbench.inference.backend import DeviceInfo
from clsbench.machine import available_cores
from clsbench.predictions.values import Proportion

Scenario = Literal["offline", "single-stream"]

#: Windows that must agree, within what, and after how many rounds to give up.
AGREEING, SPREAD, MAX_ROUNDS = 3, 0.10, 10


@dataclass
class Figure:
    """A rate, images a second, window by window."""

    windows: list[float] = field(default_factory=list)

    @property
    def stable(self) -> bool:
        """Whether three windows in a row agree."""
        return self._agreeing() is not None

    @property
    def value(self) -> float:
        """The median of the last three windows in a row that agree, else of all; 0 without any."""
        return statistics.median(self._agreeing() or self.windows or [0.0])

    def _agreeing(self) -> list[float] | None:
        """The last windows in a row that agree; None where none do."""
        for end in range(len(self.windows), AGREEING - 1, -1):
            found = self.windows[end - AGREEING : end]
            if min(found) > 0 and max(found) / min(found) <= 1 + SPREAD:
                return found
        return None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"images_per_second": self.value, "stable": self.stable, "windows": self.windows}


@dataclass(kw_only=True)
class Benchmark:
    """What was measured of one model in one engine at one batch size.

    Args:
        model: The file.
        engine: The backend and its options: ``openvino:precision=bf16``.
        batch_size: Images a call; None until the model was opened.
        streams: Concurrent calls.
        shares_cores: Whether model and decoders share the cores.
        device: What the backend truly runs on; None where it could not be opened.
        warm_up: Seconds: opening the model, and its first call.
        failure: Why there are no figures, or no more.
        accuracy: Top-1 of the labelled images; None without labels.
        agreement: Share of the images with the same top-1 class, by name, as the first row; None where the two have no
            class in common.
        ratio: End to end over that of the first row: the median of the rounds in which both were measured.
        latencies: Seconds of single calls in the model-only windows.
        model_only, decode_only, end_to_end: Rates; that of decoding is one for all rows with the same preprocessing.
        accounted: The limit by the pipeline's own busy times, window by window.
    """

    model: str
    engine: str = "onnxruntime"
    batch_size: int | None = None
    streams: int = 1
    shares_cores: bool = True
    device: DeviceInfo | None = None
    warm_up: tuple[float, float] = (0.0, 0.0)
    failure: ClsbenchError | None = None
    accuracy: Proportion | None = None
    agreement: Proportion | None = None
    ratio: float | None = None
    latencies: list[float] = field(default_factory=list)
    model_only: Figure = field(default_factory=Figure)
    decode_only: Figure = field(default_factory=Figure)
    end_to_end: Figure = field(default_factory=Figure)
    accounted: Figure = field(default_factory=Figure)

    @property
    def limit(self) -> float:
        """What the rates taken apart allow: their series on shared cores, else the slower one."""
        model, decode = self.model_only.value, self.decode_only.value
        if not model or not decode:
            return 0.0
        return 1 / (1 / model + 1 / decode) if self.shares_cores else min(model, decode)

    @property
    def fraction(self) -> float:
        """End to end over the limit, both from the same rounds; at most 1.

        The limit is put together from windows of its own, so end to end may come out above it.
        """
        return min(1.0, self.end_to_end.value / self.limit) if self.limit else 0.0

    @property
    def stable(self) -> bool:
        """Whether every rate is."""
        return all(f.stable for f in (self.model_only, self.decode_only, self.end_to_end))

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, milliseconds."""
        return float(1000 * np.percentile(self.latencies, percent)) if self.latencies else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values; of a row without figures only what it is, and why."""
        values = {
            "model": self.model,
            "backend": self.engine,
            "batch_size": self.batch_size,
            "device": self.device.to_json() if self.device else None,
            "failure": self.failure.one_line() if self.failure else None,
        }
        if self.failure:
            return values | ({"code": self.failure.code} if self.failure.code else {})
        return values | {
            "streams": self.streams,
            "stable": self.stable,
            "warm_up_seconds": {"open": self.warm_up[0], "first_call": self.warm_up[1]},
            "latency_ms": {f"p{p}": self.percentile(p) for p in (50, 90, 99)},
            "model_only": self.model_only.to_json(),
            "decode_only": self.decode_only.to_json(),
            "end_to_end": self.end_to_end.to_json(),
            "limit": self.limit,
            "accounted_limit": self.accounted.to_json(),
            "fraction_of_limit": self.fraction,
            "ratio_to_first": self.ratio,
            "accuracy": self.accuracy.to_json() if self.accuracy else None,
            "agreement_with_first": self.agreement.to_json() if self.agreement else None,
        }


def first_measured(rows: Sequence[Benchmark]) -> Benchmark | None:
    """The row that ratios and agreement refer to: the first one with figures."""
    return next((row for row in rows if not row.failure), None)


def environment_json() -> dict[str, Any]:
    """What figures depend on beside the code, as plain values."""
    import platform

    from clsbench import __version__
    from clsbench.inference.cuda_driver import gpu_versions
    from clsbench.inference.diagnostics import installed_version
    from clsbench.machine import cpu_name

    packages = ("numpy", "pillow", "simplejpeg", "cykooz.resizer", "onnx", "onnxruntime", "onnxruntime-gpu")
    engines = ("openvino", "torch")
    return {
        "clsbench": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": cpu_name(),
        "cores": available_cores(),
        "packages": {name: found for name in (*packages, *engines) if (found := installed_version(name))},
        "gpu": gpu_versions() or None,
    }
