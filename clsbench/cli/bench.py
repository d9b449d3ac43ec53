"""``clsbench bench``: how fast are models in engines, alone and from files to labels, and do they answer alike?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clsbench.cli.parameters import AllowFallback, Device, Json, Quiet, With


def bench(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL", help="Exported .onnx files or runs; the latest if left out.")
    ] = None,
    backends: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Backends to measure, with options after colons: onnxruntime,openvino:precision=bf16; or all.",
        ),
    ] = "onnxruntime",
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Images as infer takes them; two embedded photos if left out.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv", help="File of labels (path,label), or `none` for no labels. Default: the class folders."
        ),
    ] = None,
    accuracy_n: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="How many images accuracy and agreement are of at most, spread evenly."),
    ] = 1000,
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
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Draw accuracy against throughput; without labels, agreement with the first row."
        ),
    ] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure models in one or more backends; a figure counts only when three windows agree within 10%.

    Rows are measured in turns, so that their ratios hold on a busy machine; the first row is what the others are
    compared with. One that cannot be measured says why, and the exit code is 3.
    """
    from clsbench.api.bench import bench as measure
    from clsbench.cli.bench_tables import print_result
    from clsbench.cli.terminal import Terminal

    terminal, sizes = Terminal(json=json, quiet=quiet), _sizes(batch_size)
    with terminal.observer() as observer:
        result = measure(
            *(models or ()), backends=backends, images=images, labels=labels, accuracy_n=accuracy_n,
            batch_sizes=sizes, device=device, allow_fallback=allow_fallback, scenario=scenario, window=window,
            plot=plot, options=options or (), observer=observer,
        )  # fmt: skip
    print_result(terminal, result)
    terminal.write_json(result.to_json())
    if not result.complete:
        raise typer.Exit(3)


def _sizes(text: str | None) -> list[int]:
    from clsbench.errors import OptionError

    sizes = [part.strip() for part in text.split(",")] if text is not None else []
    if not all(size.isdigit() and int(size) > 0 for size in sizes):
        raise OptionError("cannot read the batch sizes", where="--batch-size", got=text, expected="for example 1,8,32")
    return [int(size) for size in sizes]
