"""What a step shows: its slices, its usage, and how parts of one step are joined. Pure data."""

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from loadtest_trio.report.histograms import MergedLatencies
from loadtest_trio.tune.plan.host import Probe, mean_speed


@attrs.frozen
class Slice:
    """One interval between two readings of the counters.

    Attributes:
        seconds: Its length.
        created: Messages enqueued in it.
        done: Messages processed or missed in it.
        backlog: Messages in the system at its end: queued, delayed or in flight.
    """

    seconds: float
    created: int
    done: int
    backlog: int

    @property
    def rate(self) -> float:
        """Messages done a second."""
        return self.done / self.seconds


@attrs.frozen(kw_only=True)
class Usage:
    """How busy the service and its backends were. Shares range from 0 to 1.

    Attributes:
        cpu: CPU seconds of the process per second.
        cpu_wait: Share of time the main thread was ready to run but had no core.
        slots: Mean share of workers that were busy.
        s3_share: Share of the workers' busy time spent in S3 requests.
        s3_ms: Mean duration of an S3 request, in milliseconds.
        first_byte_ms: Mean time to the first byte of a GET; None when unknown.
        get_ms: Mean duration of a GET.
        throttled: Share of S3 requests answered with SlowDown.
        redis_busy: Share of time the busiest kind of Redis call was under way.
        redis_ms: Mean duration of a call of that kind.
        redis_server: Share of time the Redis server was executing commands; None when unknown.
        redis_cpu: CPU seconds per second of Redis's server; None when unknown.
        s3_cpu: CPU seconds per second of S3's server; None when unknown.
        machine_cpu: Share of the time of all CPUs of this machine in which they were busy; None when unknown.
        machine_cpus: Number of these CPUs.
        loop_lag_ms: Largest lag of the event loop.
        bytes_per_second: Bytes of S3 bodies sent and received.
        memory_mb: Resident memory.
    """

    cpu: float = 0.0
    cpu_wait: float = 0.0
    slots: float = 0.0
    s3_share: float = 0.0
    s3_ms: float = 0.0
    first_byte_ms: float | None = None
    get_ms: float = 0.0
    throttled: float = 0.0
    redis_busy: float = 0.0
    redis_ms: float = 0.0
    redis_server: float | None = None
    redis_cpu: float | None = None
    s3_cpu: float | None = None
    machine_cpu: float | None = None
    machine_cpus: float | None = None
    loop_lag_ms: float = 0.0
    bytes_per_second: float = 0.0
    memory_mb: float = 0.0


@attrs.frozen(kw_only=True)
class Observation:
    """What one step showed.

    Attributes:
        slices: The measured intervals, without the warm-up.
        p99_ms: End-to-end p99 of the whole step; None when no message was done.
        mean_ms: Mean end-to-end time, from due to done.
        enqueue_ms: The part of `mean_ms` before the message reached the queue; Redis does not count it yet.
        settle_ms: Mean time from done until settled in Redis; the message still counts as in flight.
        end_to_end: Encoded histograms of the end-to-end times, so that parts of a step can be merged.
        errors: Failed attempts.
        schedule_lag_ms: How far the scheduler fell behind its schedule: the median over the intervals, so
            that a single hiccup from which it recovers does not count.
        usage: How busy everything was.
        work: The messages and bytes behind the CPU time; see `cost_model.Work`.
        faults: Reasons to fail the step that the rig itself found.
        cause: The resource that gave in, if the rig found one; else "".
        probes: The host's speed before and after; see `host`. Empty if it was not measured.
    """

    slices: tuple[Slice, ...]
    p99_ms: float | None = None
    mean_ms: float = 0.0
    enqueue_ms: float = 0.0
    settle_ms: float = 0.0
    end_to_end: tuple[str, ...] = ()
    errors: int = 0
    schedule_lag_ms: float = 0.0
    usage: Usage = Usage()
    work: Any = None
    faults: tuple[str, ...] = ()
    cause: str = ""
    probes: tuple[Probe, ...] = ()

    @property
    def speed(self) -> float:
        """The host's speed meanwhile; 1 if it was not measured."""
        return mean_speed(self.probes)

    @property
    def counted_ms(self) -> float:
        """Mean time for which Redis counts a message."""
        return self.mean_ms - self.enqueue_ms + self.settle_ms

    @property
    def seconds(self) -> float:
        """Length of the measurement in seconds."""
        return sum(each.seconds for each in self.slices)

    @property
    def offered(self) -> float:
        """Messages enqueued a second."""
        return sum(each.created for each in self.slices) / self.seconds if self.slices else 0.0

    @property
    def goodput(self) -> float:
        """Messages done a second."""
        return sum(each.done for each in self.slices) / self.seconds if self.slices else 0.0

    @property
    def error_share(self) -> float:
        """Failed attempts over all attempts, as far as they are known."""
        done = sum(each.done for each in self.slices)
        return self.errors / (self.errors + done) if self.errors else 0.0

    @property
    def backlog(self) -> int:
        """Messages in the system at the end."""
        return self.slices[-1].backlog if self.slices else 0


def join(first: Observation, second: Observation) -> Observation:
    """Return two observations as one; means are weighted by duration or by messages."""
    histograms = first.end_to_end + second.end_to_end
    done = [sum(each.done for each in part.slices) for part in (first, second)]
    works = [part.work for part in (first, second) if part.work is not None]
    return Observation(
        slices=first.slices + second.slices,
        p99_ms=_percentile(histograms) if histograms else second.p99_ms,
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
        probes=first.probes + second.probes,
    )


def join_all(observations: Sequence[Observation]) -> Observation:
    """Return one or more observations as one; by halves, so that histograms are merged few times."""
    if len(observations) == 1:
        return observations[0]
    middle = len(observations) // 2
    return join(join_all(observations[:middle]), join_all(observations[middle:]))


def _usage(first: Observation, second: Observation) -> Usage:
    """Return the means over time, but of the loop's lag the larger value, because it is a maximum."""
    parts = [(part.seconds, attrs.asdict(part.usage)) for part in (first, second)]
    means = {name: _mean([(seconds, usage[name]) for seconds, usage in parts]) for name in parts[0][1]}
    return Usage(**means | {"loop_lag_ms": max(usage["loop_lag_ms"] for _, usage in parts)})


def _mean(weighted: Iterable[tuple[float, Any]]) -> float | None:
    known = [(seconds, value) for seconds, value in weighted if value is not None]
    total = sum(seconds for seconds, _ in known)
    return sum(seconds * value for seconds, value in known) / total if total else None


def _percentile(encoded: Iterable[str], percent: float = 99.0) -> float | None:
    """Return a percentile of merged histograms, in milliseconds; None when they are empty."""
    whole = MergedLatencies()
    for each in encoded:
        whole.add(each)
    return whole.percentile_ms(percent)
