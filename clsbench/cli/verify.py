"""``clsbench verify``: do two forms of a network say the same, from the encoded image on?"""

from __future__ import annotations

from typing import Annotated

import typer

from clsbench.cli.parameters import Device, GateN, Json, Quiet, With


def verify(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, an .onnx file, or the original of an adopted one.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same network in another form.")],
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Images as infer takes them. Default: the validation split of a run."),
    ] = None,
    gate_n: GateN = 256,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Largest difference of a probability that passes. Default: 0.001, 0.02 for float16; int8 may lose 0.5 "
            "points of accuracy instead.",
        ),
    ] = None,
    device: Device = "cpu",
    decoders: Annotated[
        list[str] | None,
        typer.Option("--decoder", metavar="NAME", help="A decoder for infer, to see what it changes."),
    ] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compare two forms of a network on real images, from file to label; exit 3 if they differ."""
    from clsbench.api.verify import verify as run_verify
    from clsbench.cli.gate_report import print_gate
    from clsbench.cli.terminal import Terminal
    from clsbench.exporting.gate import Gate

    terminal = Terminal(json=json, quiet=quiet)
    gate = None if tolerance is None else Gate(tolerance=tolerance)
    with terminal.observer() as observer:
        result = run_verify(
            a, b, images=images, gate_n=gate_n, gate=gate, device=device, decoders=decoders or (),
            options=options or (), observer=observer,
        )  # fmt: skip
    title = f"{result.verified} as infer runs it, against {result.reference}"
    print_gate(terminal, title, result.report)
    terminal.write_json(result.to_json())
    if not result.passed:
        raise typer.Exit(3)
