"""Which resource is the bottleneck? Evidence first, experiments decide, nothing is forced. Pure.

Each resource gets a score from 0 to 1. Where an experiment can reach the resource, the score is its
elasticity; where none can (nobody here can speed up S3), what remains after the others counts:

    CPU            a whole core used, which is all that one event loop can use; else elasticity to CPU
    Redis          elasticity to the time of Redis calls
    configuration  elasticity to workers, if they are all at work: more would do more
    S3, network    the workers are all inside S3 requests and more of them do not help; what S3
                   throttles counts at once. Half the payload and the time from first to last byte tell
                   bytes (network) from requests (S3)

The highest score is the verdict if it is high, sure and well ahead of the second; else it is *mixed*.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import attrs

from loadtest_trio.tuning.experiments import Elasticity
from loadtest_trio.tuning.steps import Finding, Observation, Usage

CPU, REDIS, S3, NETWORK, CONFIGURATION, MIXED = "CPU", "Redis", "S3", "network", "configuration", "mixed"
_HIGH = 0.5
_AHEAD = 0.65  # the second score is at most this share of the first
_FULL_CORE = (0.9, 0.98)  # from here it may be all, from there it is
_CROWDED = 0.1  # of the time without the core that it could use
_UNKNOWN = Elasticity(0.0, 0.0, 0.0)


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
    because = _because(name, ranked, scores, usage, elasticities)
    return Verdict(name, because, scores, _evidence(baseline))


def _scores(usage: Usage, elasticities: Mapping[str, Elasticity]) -> dict[str, float]:
    def of(name: str) -> float:
        return min(1.0, max(0.0, elasticities.get(name, _UNKNOWN).value))

    at_work = _ramp(usage.slots, 0.5, 0.85)
    inside = at_work * _ramp(usage.s3_share, 0.3, 0.7)
    full = _ramp(
        usage.cpu, *_FULL_CORE
    )  # a busy loop takes more at a turn, so burning less costs less than all
    cpu = max(full, of("cpu") * _ramp(usage.cpu + usage.cpu_wait, 0.4, 0.7))
    rest = inside * (1 - max(full, of("cpu"))) * (1 - of("redis")) * (1 - of("more workers"))
    throttled = _ramp(usage.throttled, 0.01, 0.05)  # S3's own word: the rest can only be its consequence
    bytes_count = _bytes_count(usage, of("size"))
    scores = {
        CPU: cpu * _ramp(usage.cpu + usage.cpu_wait, 0.4, 0.7),
        REDIS: of("redis"),
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
    experiment = {CPU: "cpu", REDIS: "redis", CONFIGURATION: "more workers"}.get(name)
    return experiment is None or elasticities.get(experiment, _UNKNOWN).low > 0


def _because(
    name: str,
    ranked: list[str],
    scores: Mapping[str, float],
    usage: Usage,
    elasticities: Mapping[str, Elasticity],
) -> tuple[str, ...]:
    def said(experiment: str) -> str:
        each = elasticities.get(experiment, _UNKNOWN)
        return f"elasticity {each.value:.2f} ({each.low:.2f} to {each.high:.2f})"

    used = f"The process used {100 * usage.cpu:.0f} % of a core"
    busy = f"{100 * usage.slots:.0f} % of the workers were at work"
    match name:
        case "CPU":
            wait = f" and waited for one {100 * usage.cpu_wait:.0f} % of the time" if usage.cpu_wait else ""
            return (f"{used}{wait}.", f"Throughput follows the CPU that is left: {said('cpu')}.")
        case "Redis":
            return (
                f"Redis calls of one kind were under way {100 * usage.redis_busy:.0f} % of the time, while "
                f"{busy}.",
                f"Throughput follows the time of a Redis call: {said('redis')}.",
            )
        case "configuration":
            return (f"{busy}, and {used.lower()}.", f"More workers do more: {said('more workers')}.")
        case "S3" if usage.throttled >= 0.01:
            return (f"S3 answered {100 * usage.throttled:.1f} % of the requests with SlowDown.",)
        case "S3" | "network":
            kind = "bytes" if name == "network" else "requests"
            return (
                f"{busy}, {100 * usage.s3_share:.0f} % of their time inside S3 requests.",
                f"More workers do not do more: {said('more workers')}; nor does CPU count: {said('cpu')}.",
                f"It is {kind} that count: half the file size, {said('size')}"
                + (
                    f"; first byte after {usage.first_byte_ms:.3g} of {usage.get_ms:.3g} ms."
                    if usage.first_byte_ms is not None
                    else "."
                ),
            )
    near = ", ".join(f"{each} {scores[each]:.2f}" for each in ranked[:3])
    shared = (
        f"It waited for a core {100 * usage.cpu_wait:.0f} % of the time: other programs, the servers "
        "perhaps, hold this machine's CPUs."
    )
    return (
        f"No resource stands out: {near}.",
        f"{used}; {busy}.",
        *((shared,) if usage.cpu_wait >= _CROWDED else ()),
    )


def _evidence(baseline: Observation) -> dict[str, Any]:
    usage = {k: v for k, v in attrs.asdict(baseline.usage).items() if v is not None}
    shown = {name: float(f"{value:.4g}") for name, value in usage.items()}
    return {"messages_per_second": round(baseline.goodput, 1), **shown}


def _ramp(value: float, nothing: float, everything: float) -> float:
    return min(1.0, max(0.0, (value - nothing) / (everything - nothing)))
