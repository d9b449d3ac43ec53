"""Models that open_clip saved, by folder or by id on the Hugging Face hub.

Ids become local folders here, so that everything else reads files and asks no network.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

from clsbench import ModelError, without_hub_retries

#: What a model needs beside its weights: no code.
DESCRIPTION = ["open_clip_config.json", "*.json", "*.txt", "*.model"]
#: Weights by how much they are liked.
WEIGHTS = ["open_clip_*.safetensors", "open_clip_pytorch_model.bin"]


def saved_folder(path: str, *, download: bool) -> Path:
    """The local folder of a model.

    Args:
        path: A folder, or the id of a model on the hub.
        download: Whether the hub may be asked; else only what was downloaded before is looked at.

    Raises:
        ModelError: if there is none.
    """
    if os.path.isdir(path):
        folder = Path(path)
    else:
        folder = _snapshot(path, [*DESCRIPTION, WEIGHTS[0]], download=download)
        if download and not list(folder.glob(WEIGHTS[0])):
            folder = _snapshot(path, WEIGHTS[1:], download=True)
    if not (folder / "open_clip_config.json").is_file():
        raise ModelError("there is no model of open_clip in the folder", where=path, expected="open_clip_config.json")
    return folder


def _snapshot(path: str, files: list[str], *, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        with without_hub_retries() if download else nullcontext():
            return Path(snapshot_download(path, allow_patterns=files, local_files_only=not download))
    except HFValidationError:
        raise ModelError(
            "there is no such model", where=path, expected="a folder with open_clip_config.json, or an id on the hub"
        ) from None
    except Exception as error:  # noqa: BLE001  of the network, the hub or the cache
        if not download:
            raise ModelError(
                "there is no such folder, nor a model of that id in the local cache", where=path,
                hint="--pretrained downloads it",
            ) from None  # fmt: skip
        lines = str(error).splitlines() or [""]
        raise ModelError(
            "there is no such folder, and the model cannot be fetched from the hub", where=path,
            got=f"{type(error).__name__}: {lines[0]:.200}", hint="is the id right, and the hub reachable?",
        ) from None  # fmt: skip
