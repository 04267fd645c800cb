"""Little's law as a self-test of the instruments. Pure.

The mean number of messages in the system is their throughput times their mean time in it, whatever the
distributions (J. D. C. Little, Operations Research 9, 1961). The left side is counted in Redis, the right
side timed in scheduler and worker: instruments that know nothing of each other. Redis counts a message from
when it is on the queue, which is later than when it was due, until it is settled, which is later than when it
was done. The law holds for spans that begin and end alike (closed loops, whose queue is kept filled, and
rates that the system kept up with), and that last: else those timed are not yet those counted.
"""

from collections.abc import Sequence
from math import exp, log
from typing import Any

from loadtest_trio.tune.plan.steps import Observation

TOLERANCE = 0.25
_FEWEST_IN_SYSTEM = 20.0  # messages come in batches: with fewer, the moment of reading the books is all
_LASTING = 2.0  # times the mean time in the system


def check(observations: Sequence[Observation]) -> dict[str, Any]:
    """Return the ratio of both sides (mean, least, most) and whether every stage's is near 1.

    Args:
        observations: Of stages that begin and end alike; too short ones are left out, and those with
            hardly a message in the system.
    """
    ratios = []
    for each in observations:
        counted = sum(part.backlog * part.seconds for part in each.slices) / max(each.seconds, 1e-9)
        timed = each.goodput * each.booked_ms / 1000
        lasted = each.goodput * each.seconds >= _LASTING * counted
        if lasted and min(counted, timed) >= _FEWEST_IN_SYSTEM:
            ratios.append(counted / timed)
    if not ratios:
        return {}
    within = [1 / (1 + TOLERANCE) <= ratio <= 1 + TOLERANCE for ratio in ratios]
    return {
        "ratio": round(exp(sum(map(log, ratios)) / len(ratios)), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "stages": len(ratios),
        "within": sum(within),
        "passed": all(within),
    }
