"""A model's card as ``inspect`` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clsbench.card import ModelCard

#: Names and values, in their order.
Facts = list[tuple[str, str]]


def card_facts(card: ModelCard) -> Facts:
    """Names and values of the card, one a line; a list of classes is cut short."""
    from clsbench.text import shortened

    names, values = card.classes, card.to_json()
    shown = ", ".join(shortened(name, 60) for name in names[:8]) + (", …" if len(names) > 8 else "")
    return [
        ("classes", f"{len(names)}: {shown}"),
        ("precision", values["precision"]),
        *_of_precision(card),
        *_of_confidence(card),
        *(
            (f"{group}.{name}", _plain(value))
            for group in ("transform", "model", "training", "parity")
            for name, value in values[group].items()
            if name != "batches"
        ),
        ("clsbench", values["clsbench_version"]),
    ]


def _of_precision(card: ModelCard) -> Facts:
    """Of a file of fewer bits: what it was made of and for, and where it was proved."""
    facts = [("parent (sha256)", card.parent)] if card.parent else []
    if card.precision == "int8":
        facts = [
            ("made for", card.made_for or "-"),
            ("proved on", ", ".join(card.proved_on) or "nothing: its gate was not passed"),
            ("float layers", ", ".join(card.float_layers) or "-"),
            *facts,
        ]
    return facts


def _plain(value: object) -> str:
    """A value of the card as people write it; ``--json`` has it exactly.

    >>> _plain(None), _plain(True), _plain({}), _plain([224, 224]), _plain(0.954248366013072)
    ('-', 'yes', '-', '224, 224', '0.954248')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_plain(each)}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _of_confidence(card: ModelCard) -> Facts:
    """Temperature and threshold, and what is known of them, where there are any."""

    def brief(value: object) -> str:
        if isinstance(value, list):
            return " to ".join(map(brief, value))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    numbers = {"temperature": card.temperature, "abstain_below": card.abstain_below}
    records = {"calibration": card.calibration, "abstention": card.abstention}
    return [
        *((name, f"{value:.6g}") for name, value in numbers.items() if value),
        *(
            (f"{group}.{name}", brief(value))
            for group, record in records.items()
            if record
            for name, value in record.to_json().items()
        ),
    ]
