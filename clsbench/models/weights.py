"""Weights from local files, as untrusted as any: nothing that could run code is unpickled."""

from __future__ import annotations

import re
import warnings
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

#: Under which keys training programs keep the state dict, in the order they are tried.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights")

_CLASS = re.compile(r"GLOBAL ([\w.]+)")


def read_state(file: Path) -> dict[str, Tensor]:
    """Read tensors by name from a .safetensors or a torch file.

    A checkpoint may hold the state dict under one of :data:`WRAPPERS`, beside an optimizer's, epochs and options.

    Raises:
        ModelError: if the file is missing, damaged, has objects in it that could run code, or has no state dict.
    """
    if not file.is_file():
        there = file.is_dir()
        raise ModelError(
            f"the weights file {'is a folder' if there else 'does not exist'}", where=file,
            expected="a weights file, or the folder of a run" if there else None,
        )  # fmt: skip
    if file.suffix.lower() == ".onnx":
        raise ModelError(
            "an ONNX file has no weights that can be trained or exported again", where=file,
            expected="a .safetensors file, or a torch file with a state dict of tensors",
            hint="name the run it comes from; `clsbench infer --model` uses the file as it is",
        )  # fmt: skip
    try:
        content = _load(file)
    except Exception as error:  # noqa: BLE001  on arbitrary bytes the readers raise almost anything
        raise ModelError(
            "a weights file cannot be read safely",
            where=file,
            got=_reason(error),
            expected="a .safetensors file, or a torch file with a state dict of tensors",
            hint="files with pickled objects are refused, since loading them can run code; the program that made it "
            "can write the tensors alone: torch.save(model.state_dict(), FILE)",
            code="CB-M007",
        ) from None
    state = _state_in(content)
    if not state:
        keys = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
        raise ModelError(
            "the weights file does not hold a state dict",
            where=file,
            got=f"{keys:.200}" or None,
            expected="tensors by name",
        )
    return state


def _load(file: Path) -> object:
    import torch
    from safetensors.torch import load_file

    if file.suffix == ".safetensors":
        return load_file(file)
    # timm and torchvision's reference scripts keep their command line in the file; a Namespace runs nothing.
    with warnings.catch_warnings(), torch.serialization.safe_globals([Namespace]):
        warnings.simplefilter("ignore")  # what matters of them stands in the error
        return torch.load(file, map_location="cpu", weights_only=True)


def _state_in(content: object) -> dict[str, Tensor]:
    """The state dict in a checkpoint; empty if there is none."""
    import torch

    if not isinstance(content, Mapping):
        return {}
    tensors = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    if tensors:
        return tensors  # a state dict may also hold numbers, such as a version
    return next((state for key in WRAPPERS if (state := _state_in(content.get(key)))), {})


def _reason(error: Exception) -> str:
    """Why torch refused a file, without its page of advice."""
    text = str(error)
    if found := _CLASS.search(text):
        return f"an object of {found[1]}"
    if "TorchScript" in text:
        return "a TorchScript program"
    return type(error).__name__
