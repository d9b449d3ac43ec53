"""The model file that a command is to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.observer import Observer
from clsbench.text import some

if TYPE_CHECKING:
    from clsbench.card import ModelCard


def open_card(model: str | Path | None, observer: Observer) -> tuple[Path, ModelCard]:
    """A model file and its card; the latest export if none is named."""
    from clsbench import runs
    from clsbench.model_file import read_card

    file = runs.find_onnx(model)
    if model is None:
        observer.note(f"using the latest exported model: {file}")
    card = read_card(file)
    others = [other for other in runs.Run(file.parent).reduced if other != file]
    if others and card.precision == "float32" and (model is None or not Path(model).is_file()):
        names = some([other.name for other in others])
        observer.note(f"float32 is taken; the run has {names} too: --model {others[0]}")
    return file, card
