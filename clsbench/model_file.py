"""A model file on disk: its card, its hash, and the contract that its graph keeps."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from clsbench.card import INPUT_NAME, OUTPUT_NAME, ModelCard
from clsbench.errors import ModelError
from clsbench.text import counted

#: (name, type, shape) of a graph's inputs or outputs, in ONNX Runtime's words.
Tensors = list[tuple[str, str, list[Any]]]


def read_card(file: Path) -> ModelCard:
    """The card in an .onnx file.

    Raises:
        ModelError: if there is no such file, it is not ONNX, or it carries no card.
    """
    if not file.is_file():
        raise ModelError(
            "there is no such model file", where=file, expected="an .onnx file, or a run that has been exported",
            hint="`clsbench export` makes one, of a run or with --model NAME --pretrained",
        )  # fmt: skip
    status = file.stat()
    return _read_card(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read_card(file: Path, modified: int, size: int) -> ModelCard:
    """The card, parsed once for each state of the file: command and backend both ask."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(file, format="protobuf", load_external_data=False)
    except DecodeError:
        model = None
    if model is None or not model.graph.node:
        raise ModelError(
            "this is not an ONNX file",
            where=file,
            got=f"{size} bytes that are not an ONNX graph",
            hint="`clsbench export --onnx` writes one",
        )
    return ModelCard.from_metadata({p.key: p.value for p in model.metadata_props}, where=file)


def model_hash(file: Path) -> str:
    """The hexadecimal SHA-256 of a model file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_contract(inputs: Tensors, outputs: Tensors, card: ModelCard, file: Path) -> None:
    """Hold a graph's inputs and outputs, (name, dtype, shape), to what its card says.

    Raises:
        ModelError: if the file is not what its card says.
    """
    size, count = list(card.transform.size), len(card.classes)
    right_in = (
        len(inputs) == 1
        and inputs[0][0] == INPUT_NAME
        and inputs[0][1] == "tensor(uint8)"
        and inputs[0][2][1:] == [*size, 3]
        and not isinstance(inputs[0][2][0], int)
    )
    right_out = len(outputs) == 1 and outputs[0][:2] == (OUTPUT_NAME, "tensor(float)") and outputs[0][2][1:] == [count]
    if not (right_in and right_out):
        raise ModelError(
            "the graph is not what its card says",
            where=file,
            got=f"inputs {inputs}, outputs {outputs}",
            expected=f"{INPUT_NAME} uint8 (N, {size[0]}, {size[1]}, 3) -> {OUTPUT_NAME} float32 (N, {count})",
            hint=_contract_hint(inputs, outputs, card),
        )


def _contract_hint(inputs: Tensors, outputs: Tensors, card: ModelCard) -> str:
    """What to do about a graph that its card does not describe."""
    if [name for name, _, _ in [*inputs, *outputs]] != [INPUT_NAME, OUTPUT_NAME]:
        return "`clsbench export` did not write this graph: export the model again"
    logits, count = outputs[0][2][1:], len(card.classes)
    if len(logits) == 1 and logits != [count]:
        found = counted(logits[0], "output")
        return f"the network has {found} for {count} classes: build it for as many as the card names"
    if inputs[0][2][1:] != [*card.transform.size, 3]:
        return "the network takes images of another size or layout: export it with the transform it was trained with"
    return "the graph was changed after its export, or by another tool: export the model again"
