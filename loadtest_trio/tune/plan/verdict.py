"""Which resource is the bottleneck? Evidence first, experiments decide, nothing is forced. Pure.

Each resource gets a score from 0 to 1. Where an experiment can reach the resource, the score is its
elasticity; where none can (nobody here can speed up S3), what remains after the others counts:

    CPU            a whole core used, which is all that one event loop can use; else elasticity to CPU
    Redis          a whole core used by its server, which has one thread; else elasticity to its calls
    configuration  elasticity to workers, if they are all at work: more would do more
    S3, network    the workers are all inside S3 requests and more of them do not help; what S3
                   throttles counts at once. Half the payload and the time from first to last byte tell
                   bytes (network) from requests (S3)

The highest score is the verdict if it is high, sure and well ahead of the second; else it is *mixed*.
What is measured and has no score of its own (the time of an S3 request, fewer workers, the loop's lag)
is put into words by `reasons`.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import attrs

from loadtest_trio.tune.plan.elasticity import UNKNOWN, Elasticity
from loadtest_trio.tune.plan.reasons import (
    CONFIGURATION,
    CPU,
    EXPERIMENTS,
    MIXED,
    NETWORK,
    REDIS,
    S3,
    reasons,
)
from loadtest_trio.tune.plan.steps import Finding, Observation, Usage

_HIGH = 0.5
_AHEAD = 0.65  # the second score is at most this share of the first
_FULL_CORE = (0.9, 0.98)  # from here it may be all, from there it is
_THROTTLED = (0.01, 0.05)
_FULL_SERVER = (0.7, 0.95)  # of Redis: the commands' own time leaves out what its sockets take


@attrs.frozen
class Verdict:
    """The answer.

    Attributes:
        bottleneck: One of the names above.
        because: The reasons, in sentences.
        scores: Resource -> 0 to 1.
        evidence: What was measured at saturation.
    """

    bottleneck: str
    because: tuple[str, ...]
    scores: Mapping[str, float]
    evidence: Mapping[str, Any]

    def finding(self) -> Finding:
        """Return the line about it."""
        return Finding(
            "tune_verdict",
            {
                "bottleneck": self.bottleneck,
                "because": list(self.because),
                "scores": {name: round(score, 3) for name, score in self.scores.items()},
                "evidence": dict(self.evidence),
            },
        )


def decide(baseline: Observation, elasticities: Mapping[str, Elasticity]) -> Verdict:
    """Name the bottleneck.

    Args:
        baseline: The saturated system, nothing changed.
        elasticities: What the experiments showed, by name.
    """
    usage = baseline.usage
    scores = _scores(usage, elasticities)
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    first, second = ranked[0], ranked[1]
    clear = scores[first] >= _HIGH and scores[second] <= _AHEAD * scores[first]
    name = first if clear and _sure(first, usage, elasticities) else MIXED
    because = reasons(name, {each: scores[each] for each in ranked}, usage, elasticities, likely=clear)
    return Verdict(name, because, scores, _evidence(baseline))


def _scores(usage: Usage, elasticities: Mapping[str, Elasticity]) -> dict[str, float]:
    def of(name: str) -> float:
        return min(1.0, max(0.0, elasticities.get(name, UNKNOWN).value))

    at_work = _ramp(usage.slots, 0.5, 0.85)
    inside = at_work * _ramp(usage.s3_share, 0.3, 0.7)
    # A busy loop takes more at a turn, so burning less costs less than all.
    full = _ramp(usage.cpu, *_FULL_CORE)
    cpu = max(full, of("cpu") * _ramp(usage.cpu + usage.cpu_wait, 0.4, 0.7))
    redis = max(_ramp(usage.redis_server or 0.0, *_FULL_SERVER), of("redis"))
    rest = inside * (1 - max(full, of("cpu"))) * (1 - redis) * (1 - of("more workers"))
    throttled = _ramp(usage.throttled, *_THROTTLED)  # S3's own word: the rest can only be its consequence
    bytes_count = _bytes_count(usage, of("size"))
    scores = {
        CPU: cpu,
        REDIS: redis,
        CONFIGURATION: of("more workers") * at_work * (1 - cpu),
        S3: rest * (1 - bytes_count),
        NETWORK: rest * bytes_count,
    }
    return {name: score * (1 - throttled) + throttled * (name == S3) for name, score in scores.items()}


def _bytes_count(usage: Usage, size: float) -> float:
    """Return how far bytes, and not requests, are what takes the time, from 0 to 1."""
    by_experiment = _ramp(size, 0.3, 0.7)
    if usage.first_byte_ms is None or not usage.get_ms:
        return by_experiment
    transfer = 1 - usage.first_byte_ms / usage.get_ms
    return sqrt(by_experiment * _ramp(transfer, 0.2, 0.6))


def _sure(name: str, usage: Usage, elasticities: Mapping[str, Elasticity]) -> bool:
    if name == CPU and usage.cpu >= _FULL_CORE[1]:
        return True
    if name == REDIS and (usage.redis_server or 0.0) >= _FULL_SERVER[1]:
        return True
    if name in (S3, NETWORK):
        # What is left when nothing else counts: so it has to be shown that nothing else is all that counts.
        others = (elasticities.get(each, UNKNOWN) for each in ("more workers", "cpu"))
        return usage.throttled >= _THROTTLED[0] or all(each.high < 1 for each in others)
    experiment = EXPERIMENTS.get(name)
    return experiment is None or elasticities.get(experiment, UNKNOWN).low > 0


def _evidence(baseline: Observation) -> dict[str, Any]:
    usage = {k: v for k, v in attrs.asdict(baseline.usage).items() if v is not None}
    shown = {name: float(f"{value:.4g}") for name, value in usage.items()}
    return {"messages_per_second": round(baseline.goodput, 1), **shown}


def _ramp(value: float, nothing: float, everything: float) -> float:
    return min(1.0, max(0.0, (value - nothing) / (everything - nothing)))
