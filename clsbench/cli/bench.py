"""``clsbench bench``: how fast is a model, alone and from files to labels?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clsbench.cli.parameters import AllowFallback, Device, Json, Quiet

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.inference.bench import Benchmark, Figure


#: What the limit is, and how exact.
LIMIT = (
    "The limit is what model and decoding, measured alone, allow together. Windows\n"
    "may differ by 10%, so 90% and 100% of it cannot be told apart."
)


def bench(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL", help="Exported .onnx files or runs; the latest if left out.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Images as infer takes them; two embedded photos if left out.")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="N,N,…", help="Batch sizes to try; the backend's choice if left out.")
    ] = None,
    device: Device = "auto",
    allow_fallback: AllowFallback = False,
    scenario: Annotated[
        Literal["offline", "single-stream"],
        typer.Option(help="What to measure: throughput (offline) or latency (single-stream)."),
    ] = "offline",
    window: Annotated[
        float, typer.Option(min=0.05, metavar="SECONDS", help="Length of one measurement in seconds.")
    ] = 1.0,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure models; a figure counts only when three windows agree within 10%."""
    from clsbench.api.bench import bench as measure
    from clsbench.cli.terminal import Terminal
    from clsbench.text import distinct_names

    terminal, sizes = Terminal(json=json, quiet=quiet), _sizes(batch_size)
    with terminal.observer() as observer:
        found = measure(
            *(models or ()), images=images, batch_sizes=sizes, device=device, allow_fallback=allow_fallback,
            scenario=scenario, window=window, observer=observer,
        )  # fmt: skip
    files = list(dict.fromkeys(Path(b.model) for b in found.benchmarks))
    short = [name.removesuffix("/model.onnx") for name in distinct_names(files)]  # the name of a run tells its model
    names = dict(zip(map(str, files), short, strict=True))
    terminal.print(_rates(found.benchmarks, names, scenario), _latencies(found.benchmarks, names))
    terminal.print(LIMIT)
    if not found.stable:
        terminal.print("~ unstable: no three windows in a row agreed within 10%; do not rely on it")
    terminal.write_json(found.to_json())


def _sizes(text: str | None) -> list[int]:
    from clsbench.errors import OptionError

    sizes = [part.strip() for part in text.split(",")] if text is not None else []
    if not all(size.isdigit() and int(size) > 0 for size in sizes):
        raise OptionError("cannot read the batch sizes", where="--batch-size", got=text, expected="for example 1,8,32")
    return [int(size) for size in sizes]


def _rates(benchmarks: Sequence[Benchmark], names: Mapping[str, str], scenario: str) -> Table:
    from clsbench.cli.tables import table

    def rate(figure: Figure) -> str:
        return f"{figure.value:.1f}{'' if figure.stable else ' ~'}"

    rows = [
        (names[b.model], str(b.batch_size), rate(b.model_only), rate(b.decode_only), rate(b.end_to_end),
         f"{b.limit:.1f}", f"{b.fraction:.0%}{'' if b.stable else ' ~'}")
        for b in benchmarks
    ]  # fmt: skip
    columns = ("model", "batch", "model only", "decode only", "end to end", "limit", "reached")
    return table(f"Images a second, {scenario}", columns, rows)


def _latencies(benchmarks: Sequence[Benchmark], names: Mapping[str, str]) -> Table:
    from clsbench.cli.tables import table

    rows = [
        (names[b.model], str(b.batch_size), *(f"{b.percentile(p):.1f}" for p in (50, 90, 99)),
         *(f"{1000 * seconds:.0f}" for seconds in b.warm_up))
        for b in benchmarks
    ]  # fmt: skip
    columns = ("model", "batch", "p50", "p90", "p99", "opening", "first call")
    return table("Milliseconds a call", columns, rows)
