"""The manifest that ``infer`` writes beside a predictions file: ``preds.csv.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_manifest(file: Path) -> tuple[dict[str, Any], list[str]]:
    """The facts beside a predictions file.

    Args:
        file: The predictions file.

    Returns:
        The facts, empty where there are none, and notes for the user.
    """
    path = file.with_name(file.name + ".json")
    if not path.is_file():
        return {}, []
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"{path} cannot be read and is left out: {error}"]
    if not isinstance(facts, dict) or classes_of(facts) is None:
        return {}, [f"{path} is no manifest of clsbench and is left out"]
    return facts, []


def classes_of(manifest: Mapping[str, Any]) -> list[str] | None:
    """The classes of the model, in their order; None where the manifest does not tell."""
    try:
        classes = manifest["model"]["card"]["classes"]
    except (KeyError, TypeError):
        return None
    return [str(name) for name in classes] if isinstance(classes, list) and classes else None


def rows_of(manifest: Mapping[str, Any]) -> int | None:
    """How many rows were written; None where the manifest does not tell."""
    counts = manifest.get("counts")
    total = counts.get("total") if isinstance(counts, dict) else None
    return total if isinstance(total, int) else None
