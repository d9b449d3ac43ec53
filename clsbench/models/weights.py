"""Weights from local files, as untrusted as any: nothing that could run code is unpickled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from clsbench.models.classifier import Classifier


def read_state(file: Path) -> dict[str, Tensor]:
    """Read tensors by name from a .safetensors or a torch file.

    Raises:
        ModelError: if the file is missing, damaged, or holds anything but tensors.
    """
    import torch
    from safetensors.torch import load_file

    if not file.is_file():
        raise ModelError("the weights file does not exist", where=file)
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them stands in the error below
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  on arbitrary bytes the readers raise almost anything
        raise ModelError(
            "a weights file cannot be read safely",
            where=file,
            got=type(error).__name__,
            expected="a .safetensors file, or a torch file with a state dict of tensors only",
            hint="files with pickled objects are refused, since loading them can run code",
        ) from None
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelError("the weights file does not hold a state dict", where=file, expected="tensors by name")
    return dict(state)


def load_state(classifier: Classifier, state: Mapping[str, Tensor], *, head: str, where: object) -> bool:
    """Load weights into a classifier, by name and strictly; the head only where it fits.

    Args:
        classifier: Gets the weights.
        state: Tensors by clsbench's names (``backbone.…``, ``head.…``) or by the names of
            the original network, in which the last layer is called ``head``.
        head: The name of the last layer in the original network, for example ``fc``.
        where: For messages.

    Returns:
        Whether the head was loaded; False where it is another head, or for another number
        of classes. ``classifier.head_loaded`` says the same.

    Raises:
        ModelError: if names or shapes of the backbone do not match.
    """
    own = any(name.startswith("backbone.") for name in state)
    renamed = {}
    for name, tensor in state.items():
        if own:
            renamed[name] = tensor
        elif name.startswith(head + "."):
            renamed["head" + name[len(head) :]] = tensor
        else:
            renamed["backbone." + name] = tensor
    wanted = classifier.state_dict()
    head_fits = all(
        name in renamed and renamed[name].shape == tensor.shape
        for name, tensor in wanted.items()
        if name.startswith("head.")
    )
    if not head_fits:
        fresh = {n: t for n, t in wanted.items() if n.startswith("head.")}
        renamed = {n: t for n, t in renamed.items() if not n.startswith("head.")} | fresh
    missing, unexpected = sorted(wanted.keys() - renamed.keys()), sorted(renamed.keys() - wanted.keys())
    shapes = [n for n in wanted.keys() & renamed.keys() if wanted[n].shape != renamed[n].shape]
    if missing or unexpected or shapes:
        facts = {"missing": missing, "unexpected": unexpected, "of another shape": sorted(shapes)}
        raise ModelError(
            "the weights do not fit the network",
            where=where,
            got="; ".join(f"{len(v)} {k}, such as {v[0]}" for k, v in facts.items() if v),
            hint="check --model and its options",
        )
    classifier.load_state_dict(renamed)
    classifier.head_loaded = head_fits
    return head_fits
