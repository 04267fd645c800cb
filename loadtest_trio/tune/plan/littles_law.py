"""Little's law as a self-test of the measurements. Pure.

The mean number of messages in the system equals their throughput times their mean time in it, for any
distribution (J. D. C. Little, Operations Research 9, 1961). The left side is counted in Redis; the right side
is timed in scheduler and worker, independently. Redis counts a message from the moment it reaches the queue
(later than it was due) until it is settled (later than it was done); `Observation.counted_ms` corrects for
both. The law needs a stationary span: a closed loop, whose queue is kept filled, or a rate that the system
sustained, and a span long enough that the messages timed are the messages counted.
"""

from collections.abc import Sequence
from math import exp, log
from typing import Any

from loadtest_trio.tune.plan.observations import Observation

TOLERANCE = 0.25
_MIN_IN_SYSTEM = 20.0  # messages come in batches: with fewer, the count depends on the moment of reading
_MIN_DURATION = 2.0  # times the mean time in the system


def check(observations: Sequence[Observation]) -> dict[str, Any]:
    """Return the ratio of both sides (mean, least, most) and whether it is near 1 in every stage.

    Args:
        observations: Stationary stages. Stages that are too short or nearly empty are left out.

    Returns:
        The fields of the log line; empty when no stage qualifies.
    """
    ratios = []
    for each in observations:
        counted = sum(part.backlog * part.seconds for part in each.slices) / max(each.seconds, 1e-9)
        timed = each.goodput * each.counted_ms / 1000
        long_enough = each.goodput * each.seconds >= _MIN_DURATION * counted
        if long_enough and min(counted, timed) >= _MIN_IN_SYSTEM:
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
