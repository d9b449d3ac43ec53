"""Networks as open_clip makes them: with random weights, those of the hub, or those of a local file or folder."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsbench import ModelError, OptionError, without_hub_retries

#: How the name of a network begins that is a folder.
FOLDER = "local-dir:"


@dataclass(frozen=True)
class Wanted:
    """Which network, and with which weights.

    Args:
        name: As open_clip takes it: an architecture, or ``local-dir:…``.
        pretrained: Whether with published weights, or those in the folder.
        weights: A local file instead.
        tag: Which of the published ones.
        size: Another input side, pixels.
    """

    name: str
    pretrained: bool = False
    weights: Path | None = None
    tag: str | None = None
    size: int | None = None

    @property
    def saved(self) -> bool:
        """Whether it is a folder, which has its own weights and configuration."""
        return self.name.startswith(FOLDER)

    @property
    def config(self) -> dict[str, Any]:
        """open_clip's configuration of the network; empty where it cannot be read, which building it tells."""
        import open_clip

        if not self.saved:
            return open_clip.get_model_config(self.name) or {}
        try:
            file = Path(self.name.removeprefix(FOLDER), "open_clip_config.json")
            found = json.loads(file.read_text(encoding="utf-8"))["model_cfg"]
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}


def create(wanted: Wanted, *, ours: bool) -> Any:
    """A network of open_clip, float32, on the CPU.

    Args:
        wanted: Which.
        ours: Whether the weights file has clsbench's names, so that it is loaded later.

    Raises:
        OptionError: for a tag that there is not.
        ModelError: if it cannot be built, or weights are missing, are those of another network, or cannot be
            downloaded.
    """
    import open_clip

    file = None if ours else wanted.weights
    published = wanted.pretrained and not wanted.weights
    tag = _tag(wanted) if published and not wanted.saved else None
    # No weights of a text encoder alone, which would be downloaded unasked; and nothing is unpickled that runs code.
    how = {"precision": "fp32", "pretrained_text": False, "force_image_size": wanted.size, "weights_only": True}
    try:
        with quiet(), without_hub_retries():
            network = open_clip.create_model(
                wanted.name, pretrained=tag, load_weights=published, require_pretrained=published, **how
            )
            if file is not None:
                open_clip.load_checkpoint(network, str(file), weights_only=True)
            return network
    except _QuickGELU as error:
        raise ModelError(
            f"the weights {tag} of {wanted.name} were trained with another activation", got=error,
            hint=f"--model openclip/{_twin(wanted.name)}",
        ) from None  # fmt: skip
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if file is not None:
            raise ModelError(
                "the weights are not those of this network", where=file, got=f"{text:.300}",
                expected=f"a whole CLIP model of the architecture {wanted.name}", hint="check --model",
            ) from error  # fmt: skip
        if isinstance(error, pickle.UnpicklingError):  # whose text says how to run the code all the same
            text = "pickled objects, which are refused, since loading them can run code"
        if wanted.saved:
            raise ModelError(
                "the model of the folder cannot be loaded", where=wanted.name.removeprefix(FOLDER), got=f"{text:.300}",
                hint="put open_clip_model.safetensors into the folder, or name another file with --weights"
                if "could not be loaded" in text else None,
            ) from error  # fmt: skip
        if not published:
            raise ModelError("open_clip cannot build the network", where=wanted.name, got=f"{text:.300}") from error
        raise ModelError(
            "the weights cannot be loaded", where=f"{wanted.name} {tag}", got=f"{text:.300}",
            hint="is the hub reachable? A file that was downloaded elsewhere is --weights FILE",
        ) from error  # fmt: skip


def _tag(wanted: Wanted) -> str:
    """Which published weights."""
    import open_clip

    known = open_clip.list_pretrained_tags_by_model(wanted.name)
    if not known:
        raise ModelError(f"open_clip has no weights of {wanted.name}", hint="leave --pretrained out, or give --weights")
    tag = wanted.tag or (str(known[0]) if len(known) == 1 else None)
    if tag is None or tag not in known:
        raise OptionError(
            f"open_clip has several weights of {wanted.name}" if tag is None
            else f"open_clip has no such weights of {wanted.name}",
            where="model.tag", got=tag, expected=" or ".join(known), hint=f"--with model.tag={known[0]}",
        )  # fmt: skip
    return tag


def _twin(name: str) -> str:
    """The architecture that differs by its activation."""
    return name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"


class _QuickGELU(UserWarning):
    """What open_clip only warns of: the network would compute something else than was trained."""


@contextmanager
def quiet() -> Iterator[None]:
    """Within, open_clip logs nothing, and a network with another activation than its weights is an error."""
    root, silent, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(silent)  # else logging.warning adds one that writes, for good
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logging.disable(before)
        root.removeHandler(silent)
    for one in caught:
        if "QuickGELU mismatch" in str(one.message):
            raise _QuickGELU(str(one.message))
