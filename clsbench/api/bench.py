"""``bench``: how fast is a model, alone and from files to labels?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least, check_choice
from clsbench.api.components import Options, choose
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import OptionError

if TYPE_CHECKING:
    from clsbench.inference.bench import Benchmark, Scenario


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What was measured: one :class:`Benchmark` for each model and batch size."""

    benchmarks: tuple[Benchmark, ...]
    scenario: Scenario
    device: str

    @property
    def stable(self) -> bool:
        """Whether every figure is the same in three windows in a row."""
        return all(benchmark.stable for benchmark in self.benchmarks)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the environment that the figures depend on."""
        from clsbench.inference.bench import environment_json

        return {
            "schema": 1,
            "scenario": self.scenario,
            "device": self.device,
            "benchmarks": [benchmark.to_json() for benchmark in self.benchmarks],
            "environment": environment_json(),
        }


def bench(
    *models: str | Path,
    images: str | Path | None = None,
    batch_sizes: Sequence[int] = (),
    device: str = "auto",
    allow_fallback: bool = False,
    backend: str = "onnxruntime",
    scenario: Scenario = "offline",
    window: float = 1.0,
    options: Options = (),
    observer: Observer | None = None,
) -> BenchResult:
    """Measure models; a figure counts only when three windows agree within 10 %.

    Args:
        models: Exported .onnx files; the latest export if left out.
        images: A folder of images; two embedded photos if left out.
        batch_sizes: Images a call; the backend's choice (1 for ``single-stream``) if left out.
        device, allow_fallback, backend, options: As in :func:`clsbench.infer`.
        scenario: ``offline`` for throughput, ``single-stream`` for latency.
        window: Seconds of one measurement.
        observer: Hears progress.

    Raises:
        OptionError: for a batch size below 1.
        ModelError: if a model file cannot be used.
    """
    from clsbench import runs
    from clsbench.exporting.gate_images import photos_folder
    from clsbench.images.sources.opening import open_images
    from clsbench.inference.bench import MAX_ROUNDS, run_benchmark
    from clsbench.model_file import read_card

    check_choice("scenario", scenario, ("offline", "single-stream"))
    check_at_least("window", window, 0.05)
    observer = observer or Observer()
    if any(size < 1 for size in batch_sizes):
        raise OptionError("batch sizes start at 1", where="--batch-size", got=", ".join(map(str, batch_sizes)))
    sizes: Sequence[int | None] = batch_sizes or ([1] if scenario == "single-stream" else [None])
    files = [runs.find_onnx(file) for file in models or [None]]
    (engine,) = choose({"backend": [backend]}, options)["backend"]
    engine = engine.asked(allow_fallback=allow_fallback)
    entries, outputs = open_images(images or photos_folder()).entries, Outputs(observer)
    outputs.refuse(*files)
    outputs.refuse_images(entries)
    made = []
    for file in files:
        card = read_card(file)
        for size in sizes:
            observer.stage(f"{file.name}, batches of {size or 'its choice'}", MAX_ROUNDS)
            opener = engine.offered(batch_size=size, tune="off" if size else "quick").opener()
            made.append(
                run_benchmark(
                    file,
                    card,
                    lambda file=file, opener=opener: opener(file, device),  # type: ignore[misc]
                    entries,
                    batch_size=size,
                    scenario=scenario,
                    window=window,
                    on_round=lambda done: observer.advance(1),
                )
            )
    return BenchResult(benchmarks=tuple(made), scenario=scenario, device=device)
