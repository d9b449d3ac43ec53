"""Which layers stay in float: the most sensitive ones, as few as keep the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class FewestInFloat(Generic[T]):
    """Tries a network with more and more of its most sensitive layers in float: 1, 2, 4, … and then between.

    Args:
        attempt: Makes and judges the network with these layers in float.
        holds: Whether what was made keeps the budget.
    """

    def __init__(self, attempt: Callable[[Sequence[str]], T], holds: Callable[[T], bool]) -> None:
        self._attempt, self._holds = attempt, holds
        #: How many networks were tried.
        self.tries = 0

    def __call__(self, first: T, ranked: Sequence[str], most: int) -> tuple[T, tuple[str, ...]]:
        """What was made with the fewest layers in float, and these; ``first``, and none, where nothing holds.

        That more layers in float hold where fewer do is taken for granted, so the least number is found by bisection.

        Args:
            first: The network with none in float, which does not hold.
            ranked: Layers, the most sensitive first.
            most: How many may stay in float.
        """
        below, count = 0, 1
        while True:
            count = min(count, most, len(ranked))
            if count <= below:
                return first, ()
            found = self._try(ranked[:count])
            if self._holds(found):
                break
            below, count = count, 2 * count
        kept = found
        while count - below > 1:
            middle = (below + count) // 2
            found = self._try(ranked[:middle])
            if self._holds(found):
                kept, count = found, middle
            else:
                below = middle
        return kept, tuple(ranked[:count])

    def _try(self, layers: Sequence[str]) -> T:
        self.tries += 1
        return self._attempt(layers)
