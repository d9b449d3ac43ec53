"""``inspect``: what a model file says about itself, and what is in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.onnx_file import OnnxFacts


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A model file.

    Args:
        file: Its path.
        card: Its card; None for a file of another program.
        graph: Inputs, outputs, operators and parameters.
        size: Bytes of the file.
        external: Bytes of each file beside it that holds its weights.
        sha256: As ``infer`` records it; covers the external files.
        missing: What clsbench needs of a model file and this one lacks.
    """

    file: Path
    card: ModelCard | None
    graph: OnnxFacts
    size: int
    external: dict[str, int]
    sha256: str
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values: the card's where there is one, the graph, and the file."""
        graph = {name: value for name, value in asdict(self.graph).items() if name not in ("metadata", "external")}
        return {
            "file": str(self.file),
            "has_card": self.card is not None,
            **(self.card.to_json() if self.card else {}),
            "graph": graph,
            "metadata": sorted(self.graph.metadata),
            "size": self.size,
            "external_data": self.external,
            "sha256": self.sha256,
            "missing": list(self.missing),
        }


def inspect(file: str | Path | None = None, *, observer: Observer | None = None) -> Inspection:
    """Read a model file without running it.

    Args:
        file: Any .onnx file; the latest export if left out.
        observer: Its outputs must not be the file.

    Raises:
        DataError: if an output of the observer is the file.
        ModelError: if the file cannot be read, is not to be trusted, or its card is damaged.
    """
    from clsbench import runs
    from clsbench.card import METADATA_KEY
    from clsbench.model_file import contract_gaps, model_hash, read_card
    from clsbench.onnx_file import read_onnx

    found = runs.find_onnx(file)
    Outputs(observer).refuse(found)
    graph = read_onnx(found)
    card = read_card(found) if METADATA_KEY in graph.metadata else None
    return Inspection(
        file=found,
        card=card,
        graph=graph,
        size=found.stat().st_size,
        external={name: (found.parent / name).stat().st_size for name in graph.external},
        sha256=model_hash(found),
        missing=contract_gaps(graph, card),
    )
