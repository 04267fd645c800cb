"""Names the bottleneck from usage and experiments; without clear evidence the verdict is *mixed*. Pure.

Each resource gets a score from 0 to 1. If an experiment can change the resource, the score is its elasticity.
No experiment can speed up S3 or the network, so they get what the other resources leave:

    CPU            a whole core used, the most that one event loop can use; else elasticity to CPU
    Redis          a whole core used by its server, which has one thread; else elasticity to its calls
    configuration  elasticity to workers, if all of them are busy: more would raise throughput
    S3, network    all workers are inside S3 requests and more workers do not help; throttling by S3
                   decides at once. The effect of half the payload, and the time from first to last
                   byte, tell bytes (network) from requests (S3)

Two kinds of direct evidence overrule these scores, as any effect of an experiment is then a consequence: S3
throttles; or all CPUs of this machine are busy, and it is known whose processes use them (`machine_use`).

The highest score is the verdict if it is high, certain and well ahead of the second; otherwise the verdict
is *mixed*. Measurements without a score of their own (S3 latency, fewer workers, loop lag) are put into
words by `explanation`.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import attrs

from loadtest_trio.tune.plan.elasticity import UNKNOWN, Elasticity
from loadtest_trio.tune.plan.explanation import (
    CONFIGURATION,
    CPU,
    EXPERIMENTS,
    MIXED,
    NETWORK,
    REDIS,
    S3,
    explain,
)
from loadtest_trio.tune.plan.machine_use import MachineUse
from loadtest_trio.tune.plan.observations import Observation, Usage
from loadtest_trio.tune.plan.steps import TuneEvent

_HIGH = 0.5
_AHEAD = 0.65  # a clear verdict: the second score is at most this share of the first
_FULL_CORE = (0.9, 0.98)  # usage at which a full core becomes possible, and certain
_THROTTLED = (0.01, 0.05)
_FULL_MACHINE = (0.8, 0.92)  # of all CPUs: even a saturated machine idles while its programs wait for disks
_MOST = (0.4, 0.6)  # share of the busy time: about half of it
_FULL_SERVER = (0.7, 0.95)  # lower for Redis: command time excludes the time spent on its sockets


@attrs.frozen
class Verdict:
    """The bottleneck and the evidence for it.

    Attributes:
        bottleneck: One of the names above.
        because: The explanation, in sentences.
        scores: Resource -> 0 to 1.
        evidence: Measurements at saturation.
    """

    bottleneck: str
    because: tuple[str, ...]
    scores: Mapping[str, float]
    evidence: Mapping[str, Any]

    def event(self) -> TuneEvent:
        """Return its log line."""
        return TuneEvent(
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
        baseline: The saturated system without a handicap.
        elasticities: Experiment -> its result.
    """
    usage = baseline.usage
    scores = _scores(usage, elasticities)
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    first, second = ranked[0], ranked[1]
    clear = scores[first] >= _HIGH and scores[second] <= _AHEAD * scores[first]
    name = first if clear and _certain(first, usage, elasticities) else MIXED
    shown = {each: scores[each] for each in ranked}
    because = explain(name, shown, usage, elasticities, likely=clear, held=_is_held(name, usage))
    return Verdict(name, because, scores, _evidence(baseline))


def _scores(usage: Usage, elasticities: Mapping[str, Elasticity]) -> dict[str, float]:
    def of(name: str) -> float:
        return min(1.0, max(0.0, elasticities.get(name, UNKNOWN).value))

    at_work = _ramp(usage.slots, 0.5, 0.85)
    inside = at_work * _ramp(usage.s3_share, 0.3, 0.7)
    # A busy loop handles more events per turn, so throughput falls by less than the share of CPU burnt.
    full = _ramp(usage.cpu, *_FULL_CORE)
    cpu = max(full, of("cpu") * _ramp(usage.cpu + usage.cpu_wait, 0.4, 0.7))
    redis = max(_redis_full(usage), of("redis"))
    rest = inside * (1 - max(full, of("cpu"))) * (1 - redis) * (1 - of("more workers"))
    bytes_count = _bytes_count(usage, of("size"))
    scores = {
        CPU: cpu,
        REDIS: redis,
        CONFIGURATION: of("more workers") * at_work * (1 - cpu),
        S3: rest * (1 - bytes_count),
        NETWORK: rest * bytes_count,
    }
    overruling = (_holder(usage), (S3, _ramp(usage.throttled, *_THROTTLED)))
    for name, weight in overruling:
        scores = {each: score * (1 - weight) + weight * (each == name) for each, score in scores.items()}
    return scores


def _holder(usage: Usage) -> tuple[str, float]:
    """Return whose processes keep all CPUs of this machine busy, and how sure that is, from 0 to 1."""
    use = MachineUse.of(usage)
    if use is None:
        return CPU, 0.0
    shares = {CPU: use.service + use.others, REDIS: use.redis, S3: use.s3}
    name = max(shares, key=shares.__getitem__)
    most = _ramp(shares[name] / use.busy, *_MOST)
    return name, most * _ramp(use.busy, *_FULL_MACHINE)


def _redis_full(usage: Usage) -> float:
    by_commands = _ramp(usage.redis_server or 0.0, *_FULL_SERVER)
    return max(by_commands, _ramp(usage.redis_cpu or 0.0, *_FULL_CORE))


def _is_held(name: str, usage: Usage) -> bool:
    holder, weight = _holder(usage)
    return name == holder and weight >= _HIGH


def _bytes_count(usage: Usage, size: float) -> float:
    """Return how far bytes rather than requests take the time, from 0 to 1."""
    by_experiment = _ramp(size, 0.3, 0.7)
    if usage.first_byte_ms is None or not usage.get_ms:
        return by_experiment
    transfer = 1 - usage.first_byte_ms / usage.get_ms
    return sqrt(by_experiment * _ramp(transfer, 0.2, 0.6))


def _certain(name: str, usage: Usage, elasticities: Mapping[str, Elasticity]) -> bool:
    if name == CPU and usage.cpu >= _FULL_CORE[1]:
        return True
    if _is_held(name, usage):
        return True
    if name == REDIS and _redis_full(usage) >= 1:
        return True
    if name in (S3, NETWORK):
        # S3 and network are found by elimination, so the others must be shown not to be fully limiting.
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
