"""``export``'s options about probabilities, and what they found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import CONFIDENCE

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.cli.terminal import Terminal
    from clsbench.confidence import Abstention, Calibration

Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="Fit a temperature, so that confidences are what they say.",
        rich_help_panel=CONFIDENCE,
    ),
]
AbstainAtPrecision = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Mark predictions of low confidence as abstained, so that of the others this share is right: 0.99. "
        "An estimate, no guarantee.",
        rich_help_panel=CONFIDENCE,
    ),
]
CalibrateImages = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Labelled images for these two, in class folders. Default: the run's validation split; needed where "
        "there is no run.",
        rich_help_panel=CONFIDENCE,
    ),
]


def print_confidence(terminal: Terminal, card: ModelCard) -> None:
    """Print what is known of the probabilities, where it was asked for, and what to think of it."""
    if card.calibration and card.temperature:
        _calibration(terminal, card.calibration, card.temperature)
    if card.abstention and card.abstain_below:
        _abstention(terminal, card.abstention, card.abstain_below)


def _calibration(terminal: Terminal, found: Calibration, temperature: float) -> None:
    from clsbench.cli.tables import table
    from clsbench.text import counted

    change = " to ".join(f"{end:+.4f}" for end in found.log_loss_change)
    rows = [
        ("log loss (nats)", f"{found.log_loss_before:.4f}", f"{found.log_loss_after:.4f}", change),
        ("calibration error (ECE)", f"{found.ece_before:.4f}", f"{found.ece_after:.4f}", ""),
    ]
    columns = (f"on {counted(found.images, 'image')}, held out", "before", "after", "change, 95% interval")
    least, most = found.temperature_interval
    title = f"Calibration: temperature {temperature:.3f} (95% interval {least:.3f} to {most:.3f})"
    terminal.print(table(title, columns, rows))
    if found.harms:
        terminal.note("calibration makes the log loss of new images worse; it is stored because you asked")
    elif not found.helps:
        terminal.note(
            "it is not shown that calibration helps on new images: the change may be 0; it is stored because you asked"
        )


def _abstention(terminal: Terminal, found: Abstention, below: float) -> None:
    from clsbench.cli.tables import percent, table
    from clsbench.text import counted

    def row(name: str, share: float | None, ends: tuple[float, float], part: int, whole: int) -> tuple[str, ...]:
        return name, percent(share), f"{percent(ends[0])} – {percent(ends[1])}", f"{part:,} of {whole:,}"

    rows = [
        row("precision of the kept", found.precision, found.precision_interval, found.correct, found.kept),
        row("coverage: share kept", found.coverage, found.coverage_interval, found.kept, found.images),
    ]
    columns = (f"on {counted(found.images, 'image')}, held out", "value", "95% interval", "images")
    terminal.print(table(f"Abstains below {below:.6g}, for a precision of {found.target:g}", columns, rows))
    if found.precision is None or found.precision < found.target:
        got = "no image is kept" if found.precision is None else f"{percent(found.precision)} are right"
        terminal.note(
            f"expect a precision below {found.target:g} on new images: on held-out folds {got}; to come nearer, ask "
            "for a little more, or name more images with --calibrate-images"
        )
