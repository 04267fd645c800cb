"""The line about one step. Pure."""

import attrs

from loadtest_trio.tune.plan.criteria import Judgement
from loadtest_trio.tune.plan.steps import Finding, Observation, Step


def stage(step: Step, observation: Observation, judgement: Judgement | None = None) -> Finding:
    """Return the line about one step.

    Args:
        step: What was asked for.
        observation: What it showed.
        judgement: Whether the system kept up, where that was judged.
    """
    usage = observation.usage
    return Finding(
        "tune_stage",
        {
            "kind": step.kind,
            "change": step.change,
            "workers": step.workers,
            "nominal_per_second": step.rate,
            "seconds": round(observation.seconds, 3),
            "offered_per_second": round(observation.offered, 2),
            "goodput_per_second": round(observation.goodput, 2),
            "passed": judgement.passed if judgement else None,
            "reasons": list(judgement.reasons) if judgement else [],
            "backlog": observation.backlog,
            "p99_ms": observation.p99_ms,
            "mean_ms": round(observation.mean_ms, 3),
            "enqueue_ms": round(observation.enqueue_ms, 3),
            "settle_ms": round(observation.settle_ms, 3),
            "error_percent": round(100 * observation.error_share, 3),
            "schedule_lag_ms": observation.schedule_lag_ms,
            "cpu_percent": round(100 * usage.cpu, 1),
            "memory_mb": usage.memory_mb,
            "usage": {k: round(v, 4) for k, v in attrs.asdict(usage).items() if v is not None},
        },
    )
