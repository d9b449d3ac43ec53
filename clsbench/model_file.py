"""A model file on disk: its card, its hash, and the contract that its graph keeps."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from clsbench.card import FEATURES_NAME, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard
from clsbench.errors import ModelError
from clsbench.onnx_file import OnnxFacts, read_onnx
from clsbench.text import counted

#: (name, type, shape) of a graph's inputs or outputs, in ONNX Runtime's words.
Tensors = list[tuple[str, str, list[Any]]]


def read_card(file: Path) -> ModelCard:
    """The card in an .onnx file.

    Raises:
        ModelError: if there is no such file, it is not ONNX or not to be trusted, or it carries no card.
    """
    metadata = read_onnx(file).metadata
    return _read_card(file, metadata.get(METADATA_KEY))


@lru_cache(maxsize=8)
def _read_card(file: Path, text: str | None) -> ModelCard:
    """The card, parsed once for each text: command and backend both ask."""
    return ModelCard.from_metadata({} if text is None else {METADATA_KEY: text}, where=file)


def feature_dim(card: ModelCard, file: Path) -> int:
    """D, the number of features that a model file gives of an image.

    Raises:
        ModelError: if it gives none.
    """
    if card.feature_dim is None:
        raise ModelError(
            "this model file gives no features", where=file, got=f"the output {OUTPUT_NAME} alone",
            expected=f"a second output {FEATURES_NAME}: what goes into the network's head",
            hint="its original has no output that is called features or embedding" if card.training.get("adopted")
            else "export the model again: `clsbench export` writes both",
        )  # fmt: skip
    return card.feature_dim


def model_hash(file: Path) -> str:
    """The hexadecimal SHA-256 of a model: of its file, and of its external data where it has any.

    Raises:
        ModelError: as :func:`clsbench.onnx_file.read_onnx`.
    """
    external = read_onnx(file).external
    if not external:
        return file_hash(file)
    parts = [file_hash(file), *(f"{name}\0{file_hash(file.parent / name)}" for name in external)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def file_hash(file: Path) -> str:
    """The hexadecimal SHA-256 of one file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def contract_gaps(facts: OnnxFacts, card: ModelCard | None) -> tuple[str, ...]:
    """What clsbench needs of a model file and this one lacks, for people; nothing where it can be used."""
    gaps = []
    if card is None:
        gaps += ["classes: names in the order of the outputs", "transform: how images become the input"]
    dims = facts.inputs[0].shape if len(facts.inputs) == 1 else ()
    named = len(facts.inputs) == 1 and facts.inputs[0].name == INPUT_NAME
    if not named:
        gaps.append(f"one input, called {INPUT_NAME}")
    if not all(one.dtype == "uint8" and len(one.shape) == 4 and one.shape[3] == 3 for one in facts.inputs[:1]):
        gaps.append("a uint8 input (N, h, w, 3): pixels as they are, normalised by the graph")
    if dims and isinstance(dims[0], int):
        gaps.append("a free batch size N")
    wanted = [out for out in facts.outputs if out.name == OUTPUT_NAME]
    if not wanted:
        gaps.append(f"an output called {OUTPUT_NAME}: before softmax")
    if not all(out.dtype == "float" and len(out.shape) == 2 for out in wanted or facts.outputs[:1]):
        gaps.append("a float32 output (N, K)")
    features = [out for out in facts.outputs if out.name == FEATURES_NAME]
    if not all(out.dtype == "float" and len(out.shape) == 2 for out in features):
        gaps.append(f"a float32 output (N, D) called {FEATURES_NAME}, or none")
    if wanted and len(facts.outputs) > len(wanted) + len(features):
        gaps.append(f"no outputs but {OUTPUT_NAME} and {FEATURES_NAME}")
    return tuple(gaps)


def check_contract(inputs: Tensors, outputs: Tensors, card: ModelCard, file: Path) -> None:
    """Hold a graph's inputs and outputs, (name, dtype, shape), to what its card says.

    A file may have the output ``features`` or not; one whose card tells their number has to.

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
    right_out = outputs[:1] != [] and outputs[0][:2] == (OUTPUT_NAME, "tensor(float)") and outputs[0][2][1:] == [count]
    features, dim = outputs[1:], card.feature_dim
    right_features = dim is None if not features else _are_features(features, dim)
    if not (right_in and right_out and right_features):
        more = f", {FEATURES_NAME} float32 (N, {dim})" if dim else ""
        raise ModelError(
            "the graph is not what its card says",
            where=file,
            got=f"inputs {inputs}, outputs {outputs}",
            expected=f"{INPUT_NAME} uint8 (N, {size[0]}, {size[1]}, 3) -> {OUTPUT_NAME} float32 (N, {count}){more}",
            hint=_contract_hint(inputs, outputs, card),
            code="CB-M002",
        )


def _are_features(outputs: Tensors, dim: int | None) -> bool:
    """Whether the outputs after the logits are the features, and nothing else."""
    name, dtype, shape = outputs[0]
    right = len(outputs) == 1 and name == FEATURES_NAME and dtype == "tensor(float)" and len(shape) == 2
    return right and dim in (None, shape[1])


def _contract_hint(inputs: Tensors, outputs: Tensors, card: ModelCard) -> str:
    """What to do about a graph that its card does not describe."""
    names = [name for name, _, _ in [*inputs, *outputs]]
    if names not in ([INPUT_NAME, OUTPUT_NAME], [INPUT_NAME, OUTPUT_NAME, FEATURES_NAME]):
        return "`clsbench export` did not write this graph: export the model again"
    logits, count = outputs[0][2][1:], len(card.classes)
    if len(logits) == 1 and logits != [count]:
        found = counted(logits[0], "output")
        return f"the network has {found} for {count} classes: build it for as many as the card names"
    if inputs[0][2][1:] != [*card.transform.size, 3]:
        return "the network takes images of another size or layout: export it with the transform it was trained with"
    return "the graph was changed after its export, or by another tool: export the model again"
