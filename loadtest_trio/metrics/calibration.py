"""A small fixed benchmark: how fast this machine is at the kind of work that the service does."""

import hashlib
import time
from binascii import hexlify
from math import log
from statistics import median
from typing import Any

from loadtest_trio.jobs.message import Message, Operation, decode

QUICK_SECONDS, THOROUGH_SECONDS = 0.03, 0.4  # of CPU: while a service starts, and before a search
_GROUPS = 4
_UNIT_SECONDS = 0.0032  # of CPU a round, on the machine that a score of 1 was defined on


def score(seconds: float) -> dict[str, Any]:
    """Measure the machine's score: rounds of fixed work per second of CPU, 1 on a cloud vCPU of 2025.

    The best round counts, since disturbances only make rounds longer. Rounds are measured in groups; how much
    the groups' best rounds differ says how well the score is known.

    Args:
        seconds: About how much CPU time to use.

    Returns:
        `score`, and `score_spread`: the median difference of the other groups' best rounds, as a share.
    """
    best, *others = sorted(_best(seconds / _GROUPS) for _ in range(_GROUPS))
    return {
        "score": round(speed(best), 4),
        "score_spread": round(median(log(each / best) for each in others), 4),
    }


def _best(seconds: float) -> float:
    until, best = time.process_time() + seconds, time_round()
    while time.process_time() < until:
        best = min(best, time_round())
    return best


def speed(round_seconds: float) -> float:
    """Return the speed of a core that needs so much CPU time for a round, on the scale of the score."""
    return _UNIT_SECONDS / round_seconds


def time_round() -> float:
    """Do one round of the fixed work; return its CPU seconds."""
    began = time.thread_time()
    for number in range(4):
        body = hexlify(hashlib.shake_128(b"%d" % number).digest(36_000))
        hashlib.sha256(body).hexdigest()
        for _ in range(60):
            decode(Message(f"calibration-{number}", Operation.READ, "key", params={"uuids": 7}).encode())
    return time.thread_time() - began
