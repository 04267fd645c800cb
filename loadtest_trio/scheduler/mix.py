"""Draws the next operation: in random order, with exact proportions in the long run. Pure."""

from collections.abc import Mapping
from random import Random

from loadtest_trio.jobs.message import Operation

LIMIT = 3.5
"""An operation this many messages behind its share comes next; one this far ahead has to wait."""


class Mix:
    """Draws operations in an unpredictable order whose running totals stay within 5 of nominal.

    Each operation has a credit: nominal minus actual messages so far; the credits always add up to 0. A draw
    adds each operation's share to its credit and takes 1 from the chosen operation, which is picked at random
    by weight among those not too far ahead. Independent draws would drift by the square root of their number:
    by more than a thousand messages after a day at 100 per second.

    Args:
        weights: Operation -> weight, at least one above 0.
        rng: The source of randomness.
    """

    def __init__(self, weights: Mapping[Operation, float], rng: Random) -> None:
        total = sum(weights.values())
        self._shares = {operation: weight / total for operation, weight in weights.items() if weight > 0}
        self._credits = dict.fromkeys(self._shares, 0.0)
        self._rng = rng

    def draw(self) -> Operation:
        """Return the next operation."""
        for operation, share in self._shares.items():
            self._credits[operation] += share
        chosen = max(self._credits, key=self._credits.__getitem__)
        if self._credits[chosen] < LIMIT:
            eligible = [o for o, credit in self._credits.items() if credit - 1.0 > -LIMIT]
            chosen = self._rng.choices(eligible, [self._shares[o] for o in eligible])[0]
        self._credits[chosen] -= 1.0
        return chosen
