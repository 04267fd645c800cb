"""Explains a verdict in sentences, including resources that matter but are not the bottleneck. Pure."""

from collections.abc import Mapping

from loadtest_trio.tune.plan.elasticity import UNKNOWN, Elasticity
from loadtest_trio.tune.plan.machine_use import MachineUse, users_of_machine
from loadtest_trio.tune.plan.observations import Usage

CPU, REDIS, S3, NETWORK, CONFIGURATION, MIXED = "CPU", "Redis", "S3", "network", "configuration", "mixed"
EXPERIMENTS = {CPU: "cpu", REDIS: "redis", CONFIGURATION: "more workers"}
"""Resource -> the experiment that changes it."""
_CPU_WAIT_WORTH_MENTION = 0.1
_LOOP_LAG_WORTH_MENTION_MS = 50.0
_MIN_ELASTICITY = 0.2

Elasticities = Mapping[str, Elasticity]


def explain(
    name: str,
    scores: Mapping[str, float],
    usage: Usage,
    elasticities: Elasticities,
    *,
    likely: bool = False,
    held: bool = False,
) -> tuple[str, ...]:
    """Return the sentences that explain a verdict.

    Args:
        name: The bottleneck.
        scores: Resource -> score, the highest first.
        usage: How busy everything was at saturation.
        elasticities: Experiment -> its result.
        likely: For a mixed verdict: one resource stands out, but not with certainty.
        held: The verdict rests on whose processes keep all CPUs of this machine busy.
    """
    if name == S3 and usage.throttled >= 0.01:
        return (f"S3 answered {100 * usage.throttled:.1f} % of the requests with SlowDown.",)
    use = MachineUse.of(usage) if held else None
    return (
        *(_held(name, use, usage) if use else ()),
        *(_main(name, scores, usage, elasticities, likely) if use is None or name == CPU else ()),
        *_cpu_wait(usage),
        *users_of_machine(usage),
        *_loop_lag(name, usage),
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
            left = _elasticity_text("cpu", elasticities)
            return (f"{used}.", f"Throughput follows the available CPU: {left}.")
        case "Redis":
            return (
                f"{_redis_busy(usage)}, while {busy}.",
                f"Throughput follows the duration of Redis calls: {_elasticity_text('redis', elasticities)}.",
            )
        case "configuration":
            more = _elasticity_text("more workers", elasticities)
            return (f"{busy}, and {used[0].lower()}{used[1:]}.", f"More workers raise throughput: {more}.")
        case "S3" | "network":
            return _beyond_the_workers(name, usage, elasticities)
    return (_undecided(scores, elasticities, likely), f"{used}; {busy}.")


def _held(name: str, use: MachineUse, usage: Usage) -> tuple[str, ...]:
    share, who = {
        REDIS: (use.redis, "Redis's server needs"),
        S3: (use.s3, "S3's server needs"),
    }.get(name, (use.service + use.others, "The service and programs other than the backends' servers use"))
    return (f"{who} {100 * share:.0f} % of this machine's {usage.machine_cpus:.0f} CPUs.",)


def _undecided(scores: Mapping[str, float], elasticities: Elasticities, likely: bool) -> str:
    first = next(iter(scores))
    near = ", ".join(f"{each} {score:.2f}" for each, score in list(scores.items())[:3])
    if not likely:
        return f"No resource stands out: {near}."
    shown = f": {_elasticity_text(EXPERIMENTS[first], elasticities)}" if first in EXPERIMENTS else ""
    return f"It may be {first} (scores: {near}), but the experiments differ too much to be sure{shown}."


def _beyond_the_workers(name: str, usage: Usage, elasticities: Elasticities) -> tuple[str, ...]:
    kind = "bytes" if name == NETWORK else "requests"
    more, cpu, size = (_elasticity_text(each, elasticities) for each in ("more workers", "cpu", "size"))
    first_byte = (
        f"; first byte after {usage.first_byte_ms:.3g} of {usage.get_ms:.3g} ms"
        if usage.first_byte_ms is not None
        else ""
    )
    return (
        f"{_busy(usage)}, {100 * usage.s3_share:.0f} % of their time inside S3 requests.",
        f"Neither more workers ({more}) nor CPU ({cpu}) change throughput.",
        f"The limit is in {kind}: half the file size, {size}{first_byte}.",
    )


def _elasticity_text(experiment: str, elasticities: Elasticities) -> str:
    each = elasticities.get(experiment, UNKNOWN)
    return f"elasticity {each.value:.2f} ({each.low:.2f} to {each.high:.2f})"


def _busy(usage: Usage) -> str:
    return f"{100 * usage.slots:.0f} % of the workers were at work"


def _cpu_wait(usage: Usage) -> tuple[str, ...]:
    if usage.cpu_wait < _CPU_WAIT_WORTH_MENTION:
        return ()
    waited = f"It waited for a core {100 * usage.cpu_wait:.0f} % of the time"
    if MachineUse.of(usage):
        return (f"{waited}.",)
    return (f"{waited}: other programs, perhaps the servers, are using this machine's CPUs.",)


def _loop_lag(name: str, usage: Usage) -> tuple[str, ...]:
    if name == CPU or usage.loop_lag_ms < _LOOP_LAG_WORTH_MENTION_MS:
        return ()
    return (f"The event loop was up to {usage.loop_lag_ms:.0f} ms late: something blocked it now and then.",)


def _s3_latency(name: str, elasticities: Elasticities) -> tuple[str, ...]:
    """Explain the effect of S3 latency: with few workers it costs throughput, whatever the bottleneck."""
    each = elasticities.get("s3", UNKNOWN)
    if each.low <= 0 or each.value < _MIN_ELASTICITY or name in (S3, NETWORK):
        return ()
    why = {
        CPU: "more workers would hide it, but not find more CPU",
        CONFIGURATION: "more workers hide it, so their number is the limit",
        REDIS: "a worker that waits for S3 claims nothing, and then also waits for Redis",
    }.get(name, "each worker waits for its requests")
    return (f"The time of an S3 request counts too ({_elasticity_text('s3', elasticities)}): {why}.",)


def _fewer_workers(name: str, elasticities: Elasticities) -> tuple[str, ...]:
    each = elasticities.get("fewer workers")
    if each is None or name == MIXED:
        return ()
    if each.low > 0:
        spare = "" if name == CONFIGURATION else ": none is superfluous, though more would not help"
        return (f"Fewer workers do less ({_elasticity_text('fewer workers', elasticities)}){spare}.",)
    return (f"Fewer workers were not shown to do less ({_elasticity_text('fewer workers', elasticities)}).",)


def _redis_busy(usage: Usage) -> str:
    server = "" if usage.redis_server is None else f", its server busy {100 * usage.redis_server:.0f} %"
    return f"Redis calls of one kind were under way {100 * usage.redis_busy:.0f} % of the time{server}"


def _redis(name: str, usage: Usage, elasticities: Elasticities) -> tuple[str, ...]:
    each = elasticities.get("redis")
    if each is None or name in (REDIS, MIXED):
        return ()
    shown = _elasticity_text("redis", elasticities)
    if each.low > 0:
        return (f"The duration of a Redis call matters too, but less ({shown}).",)
    return (f"{_redis_busy(usage)}: not shown to count ({shown}).",)
