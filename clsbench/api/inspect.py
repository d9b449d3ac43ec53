"""``inspect``: what a model file says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs

if TYPE_CHECKING:
    from clsbench.card import ModelCard


@dataclass(frozen=True)
class Inspection:
    """A model file and its card."""

    file: Path
    card: ModelCard

    def to_json(self) -> dict[str, Any]:
        """Plain values: the card's, and the file."""
        return {"file": str(self.file), **self.card.to_json()}


def inspect(file: str | Path | None = None, *, observer: Observer | None = None) -> Inspection:
    """Read the card of a model file.

    Args:
        file: An .onnx file; the latest export if left out.
        observer: Its outputs must not be the file.

    Raises:
        DataError: if an output of the observer is the file.
        ModelError: if the file cannot be read or carries no card.
    """
    from clsbench import runs
    from clsbench.model_file import read_card

    found = runs.find_onnx(file)
    Outputs(observer).refuse(found)
    return Inspection(found, read_card(found))
