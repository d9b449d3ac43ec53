"""The libraries of Hugging Face, without telemetry, progress bars and advice, and models by path or id.

Models become local folders here, so that everything else reads files and asks no network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from clsbench import ModelError, without_hub_retries

#: Files of a model that are read: no code, and no pickles.
FILES = [
    *("config.json", "preprocessor_config.json", "processor_config.json"),
    *("*.safetensors", "*.safetensors.index.json"),
]

#: What the libraries read of the environment when they are imported.
_NO_TELEMETRY = ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK")


def no_telemetry() -> None:
    """To be called before any of the libraries is imported; a user who has set these otherwise has chosen."""
    for name in _NO_TELEMETRY:
        os.environ.setdefault(name, "1")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within, transformers shows no progress bar and no advice."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def model_folder(path: str, *, revision: str | None, download: bool) -> Path:
    """The local folder of a model.

    Args:
        path: A folder, or the id of a model on the hub.
        revision: Of the id.
        download: Whether the hub may be asked; else only what was downloaded before is looked at.

    Raises:
        ModelError: if there is none.
    """
    if os.path.isdir(path):
        return Path(path)
    no_telemetry()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        with without_hub_retries() if download else nullcontext():
            return Path(snapshot_download(path, revision=revision, allow_patterns=FILES, local_files_only=not download))
    except HFValidationError:
        raise ModelError(
            "there is no such model", where=path, expected="a folder that save_pretrained wrote, or an id on the hub"
        ) from None
    except Exception as error:  # noqa: BLE001  of the network, the hub or the cache
        hint = "is the id right, and the hub reachable?" if download else "--pretrained downloads it"
        raise ModelError(
            "there is no such folder, and the model cannot be fetched from the hub"
            if download
            else "there is no such folder, nor a model of that id in the local cache",
            where=path, got=_short(error) if download else None, hint=hint,
        ) from None  # fmt: skip


def _short(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.200}"
