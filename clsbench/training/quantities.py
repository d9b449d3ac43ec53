"""Quantities as users write them: a time such as ``10m``, and two learning rates such as ``1e-6,1e-4``.

Imports neither torch nor numpy.
"""

from __future__ import annotations

import math
import typing

from clsbench.errors import OptionError

#: What a learning rate may be, for messages.
RATES = "a rate such as 0.001, two for the first and the last layer group such as 1e-6,1e-4, or `auto`"

#: Seconds in a unit of time.
UNITS = {"s": 1, "m": 60, "h": 3600}


def is_slice(lr: object) -> bool:
    """Whether a learning rate is given as two: of the first and of the last layer group."""
    return "," in lr if isinstance(lr, str) else isinstance(lr, tuple | list)


def read_slice(lr: object) -> tuple[float, float]:
    """The rates of the first and of the last layer group; fastai's ``slice(first, last)``.

    Args:
        lr: A text or a sequence, as :func:`is_slice` knows them.

    Raises:
        OptionError: if they are not two, cannot be read or do not rise.
    """
    parts = lr.split(",") if isinstance(lr, str) else list(typing.cast(tuple[str | float, ...], lr))
    try:
        first, last = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        raise OptionError("a learning rate cannot be read", where="--lr", got=lr, expected=RATES) from None
    if not 0 < first <= last < math.inf:
        raise OptionError("the learning rates are out of range", where="--lr", got=lr, expected="0 < FIRST <= LAST")
    return first, last


def seconds(text: str) -> float:
    """A time such as ``90s``, ``10m``, ``2h`` or ``600``, in seconds.

    >>> seconds("1.5m"), seconds("600")
    (90.0, 600.0)

    Raises:
        OptionError: if it is something else, or not above 0.
    """
    number, unit = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1)
    try:
        time = float(number) * unit
        if not 0 < time < math.inf:
            raise ValueError
    except ValueError:
        raise OptionError(
            "a time cannot be read", where="--max-time", got=text, expected="seconds above 0, or 90s, 10m, 2h"
        ) from None
    return time
