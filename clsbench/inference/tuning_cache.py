"""What was measured on this machine and is worth keeping: ``tuning.json`` in the cache folder, one entry a question.

A key names everything that the answer depends on. Anyone may have edited the file: who reads an entry checks it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from clsbench import __version__
from clsbench.errors import DataError
from clsbench.json_fields import write_json
from clsbench.machine import available_cores, cache_folder, cpu_name


def machine_facts() -> str:
    """The processor and its cores, for a key."""
    return f"{platform.machine()} {cpu_name()} {available_cores()} cores"


def version_facts() -> str:
    """The versions of clsbench and of ONNX Runtime, for a key."""
    import onnxruntime as ort

    return f"clsbench {__version__}, onnxruntime {ort.__version__}"


def recall(key: str) -> Mapping[str, object] | None:
    """What is kept under a key; None where there is nothing, or it is damaged."""
    kept = _read(_store()).get(key)
    return kept if isinstance(kept, dict) else None


def keep(key: str, values: Mapping[str, object]) -> None:
    """Keep an answer; a cache that cannot be written is not an error."""
    with suppress(DataError):
        write_json(_store(), {**_read(_store()), key: dict(values)})


def _store() -> Path:
    return cache_folder() / "tuning.json"


def _read(store: Path) -> Mapping[str, object]:
    try:
        values = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
