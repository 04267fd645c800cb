"""Parts of one step made one observation. Pure."""

from collections.abc import Iterable
from typing import Any

import attrs

from loadtest_trio.report.histograms import MergedLatencies
from loadtest_trio.tune.plan.steps import Observation, Usage


def join(first: Observation, second: Observation) -> Observation:
    """Return two observations as one, each part counting for as long as it lasted."""
    histograms = first.end_to_end + second.end_to_end
    done = [sum(each.done for each in part.slices) for part in (first, second)]
    works = [part.work for part in (first, second) if part.work is not None]
    return Observation(
        slices=first.slices + second.slices,
        p99_ms=percentile(histograms) if histograms else second.p99_ms,
        mean_ms=_mean(zip(done, (first.mean_ms, second.mean_ms), strict=True)) or 0.0,
        enqueue_ms=_mean(zip(done, (first.enqueue_ms, second.enqueue_ms), strict=True)) or 0.0,
        settle_ms=_mean(zip(done, (first.settle_ms, second.settle_ms), strict=True)) or 0.0,
        end_to_end=histograms,
        errors=first.errors + second.errors,
        schedule_lag_ms=max(first.schedule_lag_ms, second.schedule_lag_ms),
        usage=_usage(first, second),
        work=works[0] + works[1] if len(works) == 2 else next(iter(works), None),
        faults=tuple(dict.fromkeys(first.faults + second.faults)),
        cause=second.cause or first.cause,
    )


def _usage(first: Observation, second: Observation) -> Usage:
    """Return means over time; of the loop's lag, which is a largest value, the larger."""
    parts = [(part.seconds, attrs.asdict(part.usage)) for part in (first, second)]
    means = {name: _mean([(seconds, usage[name]) for seconds, usage in parts]) for name in parts[0][1]}
    return Usage(**means | {"loop_lag_ms": max(usage["loop_lag_ms"] for _, usage in parts)})


def _mean(weighted: Iterable[tuple[float, Any]]) -> float | None:
    known = [(seconds, value) for seconds, value in weighted if value is not None]
    total = sum(seconds for seconds, _ in known)
    return sum(seconds * value for seconds, value in known) / total if total else None


def percentile(encoded: Iterable[str], percent: float = 99.0) -> float | None:
    """Return a percentile of merged histograms, in milliseconds; None when they are empty."""
    whole = MergedLatencies()
    for each in encoded:
        whole.add(each)
    return whole.percentile_ms(percent)
