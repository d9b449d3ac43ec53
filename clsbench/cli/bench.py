"""``clsbench bench``: how fast is a model, alone and from files to labels?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clsbench.cli.parameters import AllowFallback, Device, Json, Quiet

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Sample
    from clsbench.inference.bench import Benchmark, Figure


def bench(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="[MODEL]...", help="Exported .onnx files; the latest if left out.")
    ] = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Images; two embedded photos if left out.")] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="N,N,…", help="Batch sizes to try; the backend's choice if left out.")
    ] = None,
    device: Device = "auto",
    allow_fallback: AllowFallback = False,
    scenario: Annotated[
        Literal["offline", "single-stream"], typer.Option(help="offline: throughput; single-stream: latency.")
    ] = "offline",
    window: Annotated[float, typer.Option(min=0.05, help="Seconds of one measurement.")] = 1.0,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure models; a figure counts only when three windows agree within 10 %."""
    from clsbench import runs
    from clsbench.cli.composition import registry
    from clsbench.cli.terminal import Terminal
    from clsbench.inference.bench import MAX_ROUNDS, environment, run_benchmark
    from clsbench.model_file import read_card

    terminal = Terminal(json=json, quiet=quiet)
    sizes = _sizes(batch_size, scenario)
    files = models or [runs.latest_onnx()]
    samples = _samples(images)
    engine = registry().resolve("backend", "onnxruntime")
    made: list[Benchmark] = []
    with terminal.progress() as progress:
        for file in files:
            card = read_card(file)
            for size in sizes:
                task = progress.add_task(f"{file.name}, batches of {size or 'its choice'}", total=MAX_ROUNDS)

                def open_backend(file: Path = file, size: int | None = size) -> Any:
                    tune = "off" if size else "quick"
                    return engine.build(file, device, batch_size=size, tune=tune, allow_fallback=allow_fallback)

                def show(done: int, task: Any = task) -> None:
                    progress.update(task, completed=done)

                shared: dict[str, Any] = {"batch_size": size, "scenario": scenario, "window": window, "on_round": show}
                made.append(run_benchmark(file, card, open_backend, samples, **shared))
    terminal.print(_table(made, scenario))
    if not all(b.stable for b in made):
        terminal.print("~ unstable: three windows in a row never agreed within 10 %; do not rely on the figure")
    terminal.facts(
        {
            "schema": 1,
            "scenario": scenario,
            "device": device,
            "benchmarks": [b.to_json() for b in made],
            "environment": environment(),
        }
    )


def _sizes(text: str | None, scenario: str) -> list[int | None]:
    from clsbench.errors import OptionError

    if text is None:
        return [1] if scenario == "single-stream" else [None]
    sizes = [part.strip() for part in text.split(",")]
    if not all(size.isdigit() and int(size) > 0 for size in sizes):
        raise OptionError("cannot read the batch sizes", where="--batch-size", got=text, expected="for example 1,8,32")
    return [int(size) for size in sizes]


def _samples(images: Path | None) -> list[Sample]:
    from clsbench.datasets.dataset import Sample
    from clsbench.images.sources.folder import FolderSource

    if images is None:
        import sklearn.datasets

        images = Path(sklearn.datasets.__file__).parent / "images"
    return [Sample(entry, None) for entry in FolderSource(images).entries]


def _table(made: list[Benchmark], scenario: str) -> Any:
    from clsbench.cli.terminal import table

    def rate(figure: Figure) -> str:
        return f"{figure.value:.1f}{'' if figure.stable else ' ~'}"

    rows = [
        (
            Path(b.model).name,
            str(b.batch_size),
            rate(b.model_only),
            rate(b.decode_only),
            rate(b.end_to_end),
            f"{b.limit:.1f}",
            f"{b.accounted.value:.1f}",
            f"{b.fraction:.0%}",
            f"{b.percentile(50):.1f}",
            f"{b.percentile(90):.1f}",
            f"{b.percentile(99):.1f}",
            f"{sum(b.warm_up):.2f}",
        )
        for b in made
    ]
    columns = (
        "model", "batch", "model only", "decode only", "end to end", "limit", "by busy times", "reached",
        "p50 ms", "p90 ms", "p99 ms", "warm-up s",
    )  # fmt: skip
    return table(f"Images a second, {scenario}", columns, rows)
