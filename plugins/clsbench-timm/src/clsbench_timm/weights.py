"""Networks as timm makes them, without weights, with those of the hub, or with those of a local file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from clsbench import ModelError, OptionError, read_state, without_hub_retries

#: What wraps names in files of networks that were trained on several devices, or compiled.
WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")


def create(name: str, count: int, options: Mapping[str, Any], *, pretrained: bool = False, **source: Any) -> Any:
    """A network of timm.

    Args:
        name: As timm names it.
        count: Number of classes.
        options: Of timm's constructor.
        pretrained: Whether with weights.
        source: What is known of the weights, where they are not the hub's.

    Raises:
        OptionError: if it does not take one of the options.
        ModelError: if it cannot be built, or the weights cannot be had.
    """
    import timm

    try:
        with without_hub_retries() if pretrained and not source else nullcontext():
            return timm.create_model(name, pretrained=pretrained, num_classes=count, **options, **source)
    except (TypeError, AssertionError, ValueError, RuntimeError, OSError) as error:
        refused = next((key for key in options if f"'{key}'" in str(error)), None)
        if refused and isinstance(error, TypeError):
            asked = "size" if refused == "img_size" else refused
            raise OptionError(f"{name} does not take the option '{asked}'", hint="leave it out") from error
        if pretrained and not source:
            raise _not_downloaded(name, error) from error
        raise ModelError(f"timm cannot build {name}", got=error, where=_said(options)) from error


def read_file(
    name: str, file: Path, paths: Sequence[str], count: int, options: Mapping[str, Any]
) -> tuple[Any, dict[str, Tensor]]:
    """A network and tensors for it from a local file.

    timm is given the tensors first, since it knows the names and shapes of many original checkpoints, and fits position
    embeddings to the size. What it does not recognise as a whole is returned as it is in the file.

    Args:
        name: As timm names the network.
        file: .safetensors or torch.
        paths: Where the last layers are.
        count: Number of classes, unless the file says another.
        options: Of timm's constructor.

    Raises:
        ModelError: if the file is missing, damaged, has objects in it that could run code, or has no state dict.
    """
    state = {_unwrapped(key): tensor for key, tensor in read_state(file).items()}
    rows = _rows(state, paths, count)
    ours = any(key.startswith("backbone.") for key in state)  # clsbench's own names
    for number in () if ours else rows:
        given = {"state_dict": dict(state), "num_classes": number}
        with suppress(ModelError, KeyError, IndexError, AttributeError):  # of other networks' tensors
            network = create(name, number, options, pretrained=True, pretrained_cfg_overlay=given)
            network.pretrained_cfg.pop("state_dict", None)
            return network, network.state_dict()
    return create(name, rows[0], options), state


def _rows(state: Mapping[str, Tensor], paths: Sequence[str], count: int) -> list[int]:
    """How many classes a file may be for, most likely first: its head's name may be one that timm has to change."""
    named = state.get(f"{paths[0]}.weight")
    last = next((tensor for tensor in reversed(list(state.values())) if tensor.ndim > 1), None)
    return [len(named)] if named is not None else list(dict.fromkeys([count, *([] if last is None else [len(last)])]))


def _unwrapped(key: str) -> str:
    for prefix in WRAPPERS:
        key = key.removeprefix(prefix)
    return key


def _not_downloaded(name: str, error: Exception) -> ModelError:
    from timm.models import get_pretrained_cfg, list_pretrained

    published = get_pretrained_cfg(name)
    if not published.has_weights:
        others = list_pretrained(f"{name.partition('.')[0]}*")[:3]
        hint = (
            f"there are weights of {', '.join(others)}" if others else "leave --pretrained out, or give --weights FILE"
        )
        return ModelError(f"timm has no weights of {name}", hint=hint)
    where = f"https://huggingface.co/{published.hf_hub_id}" if published.hf_hub_id else published.url
    return ModelError(
        f"the pretrained weights of {name} cannot be downloaded", where=where, got=error,
        hint="download model.safetensors from there on a connected machine and pass it with --weights FILE",
    )  # fmt: skip


def _said(options: Mapping[str, Any]) -> str | None:
    return ", ".join(f"{key}={value}" for key, value in options.items()) or None
