"""Before an int8 file runs where it was not proved: the images that it carries say whether it is read rightly there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.errors import ModelError

if TYPE_CHECKING:
    from clsbench.api.components import Chosen
    from clsbench.api.observer import Observer
    from clsbench.card import ModelCard
    from clsbench.carried_gate import Agreement
    from clsbench.inference.backend import Backend


def check_carried(file: Path, card: ModelCard, engine: Chosen, device: str, observer: Observer) -> Agreement | None:
    """Refuse a backend that does not answer as the file did where it was made.

    Args:
        file: The model file.
        card: Of it.
        engine: The backend with its options.
        device: As the user named it.
        observer: Hears what was found.

    Returns:
        What was found; None where nothing had to be looked at.

    Raises:
        ModelError: if its answers are others, what the file carries is damaged, or it was to carry nothing.
    """
    if card.precision != "int8":
        return None
    name = engine.resolved.component.name
    if device == "cpu" and name in card.proved_on and _made_here(file):
        return None  # without opening it twice
    with closing(engine.offered(tune="off").build(file, device)) as backend:
        return check_opened(file, card, name, backend, observer)


def check_opened(file: Path, card: ModelCard, name: str, backend: Backend, observer: Observer) -> Agreement | None:
    """The same for a backend that is open already.

    Args:
        file: The model file.
        card: Of it.
        name: Of the backend.
        backend: With the file in it.
        observer: Hears what was found.

    Raises:
        ModelError: as :func:`check_carried`.
    """
    from clsbench.carried_gate import agree, proof_name, read_carried, refusal

    if card.precision != "int8":
        return None
    where, carried = proof_name(name, backend.device), read_carried(file)
    if carried is None:
        if where not in card.proved_on:
            _without_images(file, card, where, observer)
        return None
    if where in card.proved_on and _made_here(file):
        return None
    found = agree(backend, carried)
    made = f"made for {card.made_for or carried.backend}, checked on {where} with the images that it carries"
    if not found.passed:
        engine = card.made_for or carried.backend
        hint = (
            f"use --backend {engine}, or its float32 file; `export --precision int8 --for` makes one for another engine"
        )
        raise refusal(found, file, where, card, hint=hint)
    observer.note(f"int8 file {made}: {found}")
    return found


def _without_images(file: Path, card: ModelCard, where: str, observer: Observer) -> None:
    """Refuse a file of ours where it was not proved; of a foreign one nobody knows what it was made for."""
    if card.made_for is None:
        observer.warn(f"{file}: an int8 file without images to check {where} with; its answers may differ there")
        return
    raise ModelError(
        f"this int8 file is not proved on {where}, and carries no images to find out with", where=file,
        expected=f"{' or '.join(card.proved_on) or card.made_for}, which it was made for",
        hint="export it again without --carry-n 0, or --for another engine", code="CB-G004",
    )  # fmt: skip


def _made_here(file: Path) -> bool:
    """Whether a file was proved on a processor as this one: others may compute with eight bits in another way."""
    from clsbench.carried_gate import read_carried
    from clsbench.machine import cpu_name

    carried = read_carried(file)
    return carried is not None and carried.processor == cpu_name()
