"""Measures that cannot be had: a stated reason in place of the value, never NaN."""

from __future__ import annotations

from typing import Any

#: Why a measure that needs more than the best class cannot be had.
NO_PROBABILITIES = "needs the probabilities of all classes: infer with --probabilities"
NO_NAMES = "needs the names of the images"


def absent(reason: str, *names: str) -> dict[str, Any]:
    """The values of measures that cannot be had.

    Args:
        reason: Why.
        names: Of the measures.

    >>> absent("no confidences", "ece")
    {'ece': {'reason': 'no confidences'}}
    """
    return {name: {"reason": reason} for name in names}


def reason_of(value: Any) -> str | None:
    """Why a measure could not be had, or None where ``value`` is its value.

    >>> reason_of({"reason": "no confidences"}), reason_of(0.5)
    ('no confidences', None)
    """
    return value["reason"] if isinstance(value, dict) and value.keys() == {"reason"} else None
