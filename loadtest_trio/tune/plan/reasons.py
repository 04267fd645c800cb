"""Why a verdict is what it is, in sentences, also about what counts and is no bottleneck. Pure."""

from collections.abc import Mapping

from loadtest_trio.tune.plan.elasticity import UNKNOWN, Elasticity
from loadtest_trio.tune.plan.steps import Usage

CPU, REDIS, S3, NETWORK, CONFIGURATION, MIXED = "CPU", "Redis", "S3", "network", "configuration", "mixed"
EXPERIMENTS = {CPU: "cpu", REDIS: "redis", CONFIGURATION: "more workers"}
"""Resource -> the experiment that reaches it."""
_CROWDED = 0.1  # of the time without the core that it could use
_LATE_LOOP_MS = 50.0
_COUNTS = 0.2

Elasticities = Mapping[str, Elasticity]


def reasons(
    name: str,
    scores: Mapping[str, float],
    usage: Usage,
    elasticities: Elasticities,
    *,
    likely: bool = False,
) -> tuple[str, ...]:
    """Return why.

    Args:
        name: The verdict.
        scores: By resource, the highest first.
        usage: What was busy.
        elasticities: What the experiments showed, by name.
        likely: Of a mixed verdict: one resource does stand out, and is not sure.
    """
    if name == S3 and usage.throttled >= 0.01:
        return (f"S3 answered {100 * usage.throttled:.1f} % of the requests with SlowDown.",)
    return (
        *_main(name, scores, usage, elasticities, likely),
        *((_shared(usage),) if usage.cpu_wait >= _CROWDED else ()),
        *_late_loop(name, usage),
        *_s3_latency(name, elasticities),
        *_fewer_workers(name, elasticities),
        *_redis(name, usage, elasticities),
    )


def _main(
    name: str, scores: Mapping[str, float], usage: Usage, elasticities: Elasticities, likely: bool
) -> tuple[str, ...]:
    used, busy = f"The process used {100 * usage.cpu:.0f} % of a core", _busy(usage)
    match name:
        case "CPU":
            return (f"{used}.", f"Throughput follows the CPU that is left: {_said('cpu', elasticities)}.")
        case "Redis":
            return (
                f"{_redis_busy(usage)}, while {busy}.",
                f"Throughput follows the time of a Redis call: {_said('redis', elasticities)}.",
            )
        case "configuration":
            more = _said("more workers", elasticities)
            return (f"{busy}, and {used[0].lower()}{used[1:]}.", f"More workers do more: {more}.")
        case "S3" | "network":
            return _beyond_the_workers(name, usage, elasticities)
    return (_undecided(scores, elasticities, likely), f"{used}; {busy}.")


def _undecided(scores: Mapping[str, float], elasticities: Elasticities, likely: bool) -> str:
    first = next(iter(scores))
    near = ", ".join(f"{each} {score:.2f}" for each, score in list(scores.items())[:3])
    if not likely:
        return f"No resource stands out: {near}."
    shown = f": {_said(EXPERIMENTS[first], elasticities)}" if first in EXPERIMENTS else ""
    return f"It may be {first} (scores: {near}), but the experiments differ too much to be sure{shown}."


def _beyond_the_workers(name: str, usage: Usage, elasticities: Elasticities) -> tuple[str, ...]:
    kind = "bytes" if name == NETWORK else "requests"
    more, cpu, size = (_said(each, elasticities) for each in ("more workers", "cpu", "size"))
    first_byte = (
        f"; first byte after {usage.first_byte_ms:.3g} of {usage.get_ms:.3g} ms"
        if usage.first_byte_ms is not None
        else ""
    )
    return (
        f"{_busy(usage)}, {100 * usage.s3_share:.0f} % of their time inside S3 requests.",
        f"More workers do not do more: {more}; nor does CPU count: {cpu}.",
        f"It is {kind} that count: half the file size, {size}{first_byte}.",
    )


def _said(experiment: str, elasticities: Elasticities) -> str:
    each = elasticities.get(experiment, UNKNOWN)
    return f"elasticity {each.value:.2f} ({each.low:.2f} to {each.high:.2f})"


def _busy(usage: Usage) -> str:
    return f"{100 * usage.slots:.0f} % of the workers were at work"


def _shared(usage: Usage) -> str:
    return (
        f"It waited for a core {100 * usage.cpu_wait:.0f} % of the time: other programs, the servers "
        "perhaps, hold this machine's CPUs."
    )


def _late_loop(name: str, usage: Usage) -> tuple[str, ...]:
    if name == CPU or usage.loop_lag_ms < _LATE_LOOP_MS:
        return ()
    return (f"The event loop was up to {usage.loop_lag_ms:.0f} ms late: now and then something held it.",)


def _s3_latency(name: str, elasticities: Elasticities) -> tuple[str, ...]:
    """Slower S3 requests cost throughput whenever the workers are few, whatever the bottleneck is."""
    each = elasticities.get("s3", UNKNOWN)
    if each.low <= 0 or each.value < _COUNTS or name in (S3, NETWORK):
        return ()
    why = {
        CPU: "more workers would hide it, but not find more CPU",
        CONFIGURATION: "more workers hide it, so it is their number that limits",
        REDIS: "while a worker waits for S3 it claims nothing; the wait for Redis comes on top",
    }.get(name, "each worker waits for its requests")
    return (f"The time of an S3 request counts too ({_said('s3', elasticities)}): {why}.",)


def _fewer_workers(name: str, elasticities: Elasticities) -> tuple[str, ...]:
    each = elasticities.get("fewer workers")
    if each is None or name == MIXED:
        return ()
    if each.low > 0:
        spare = "" if name == CONFIGURATION else ": there is no worker too many, though more would not help"
        return (f"Fewer workers do less ({_said('fewer workers', elasticities)}){spare}.",)
    return (f"Fewer workers were not shown to do less ({_said('fewer workers', elasticities)}).",)


def _redis_busy(usage: Usage) -> str:
    server = "" if usage.redis_server is None else f", its server busy {100 * usage.redis_server:.0f} %"
    return f"Redis calls of one kind were under way {100 * usage.redis_busy:.0f} % of the time{server}"


def _redis(name: str, usage: Usage, elasticities: Elasticities) -> tuple[str, ...]:
    each = elasticities.get("redis")
    if each is None or name in (REDIS, MIXED):
        return ()
    if each.low > 0:
        return (f"The time of a Redis call counts too, and less ({_said('redis', elasticities)}).",)
    return (f"{_redis_busy(usage)}: not shown to count ({_said('redis', elasticities)}).",)
