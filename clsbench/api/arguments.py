"""Arguments of the functions of ``api`` that the command line checks by its types."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec

from clsbench.errors import ClsbenchError, OptionError


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Refuse a word that is not one of the choices.

    Raises:
        OptionError: naming the argument.
    """
    if value not in choices:
        raise OptionError(f"unknown {name}", where=name, got=value, expected=" or ".join(choices))


def check_at_least(name: str, value: float | None, least: float) -> None:
    """Refuse a number that is too small; None stands for a default.

    Raises:
        OptionError: naming the argument.
    """
    if value is not None and not value >= least:
        raise OptionError(f"{name} is too small", where=name, got=value, expected=f"at least {least:g}")


def check_training_packages(*more: str) -> None:
    """Refuse what needs torch where it is not installed.

    Args:
        more: Further packages that the task needs.

    Raises:
        ClsbenchError: naming the packages that are missing.
    """
    missing = [name for name in ("torch", "torchvision", "safetensors", *more) if find_spec(name) is None]
    if missing:
        raise ClsbenchError(f"this needs {' and '.join(missing)}", hint="pip install 'clsbench[train]'")


def names_of(names: str | Sequence[str]) -> list[str]:
    """Names that may be given as one text with commas."""
    parts = names.split(",") if isinstance(names, str) else names
    return [name.strip() for name in parts if name.strip()]
