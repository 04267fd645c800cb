"""The generator's own health: what it uses, how late it is, and whether it was the limit."""

import resource
from collections.abc import Mapping
from typing import Any

import trio

from loadtest_trio.metrics.machine import ProcessMeter
from loadtest_trio.users.tally import Counts, percentiles

_PROBE_SECONDS = 0.1
FULL_CPU_PERCENT = 92.0
LATE_MS = 100.0
_SPARE_DESCRIPTORS = 64


class GeneratorHealth:
    """Measures this process between two intervals."""

    def __init__(self) -> None:
        self._meter = ProcessMeter()
        self._loop_lag = 0.0

    async def probe(self) -> None:
        """Notice how late the event loop runs its tasks, until cancelled."""
        while True:
            due = trio.current_time() + _PROBE_SECONDS
            await trio.sleep_until(due)
            self._loop_lag = max(self._loop_lag, trio.current_time() - due)

    def read(self, counts: Counts) -> dict[str, Any]:
        """Return the generator's part of a line, and begin the next interval."""
        lag, self._loop_lag = self._loop_lag, 0.0
        lags = {f"lag_{name}": value for name, value in percentiles(counts.lag).items()}
        return {**self._meter.read(), "loop_lag_ms": round(1000 * lag, 3), **lags}


def limits_reached(generator: Mapping[str, Any], errors: Mapping[str, int]) -> list[str]:
    """Return why the generator, and not the service, was the limit in an interval; empty when it was not.

    Args:
        generator: What `GeneratorHealth.read` returned.
        errors: What went wrong in the interval.
    """
    reasons = []
    if (generator.get("cpu_percent") or 0.0) >= FULL_CPU_PERCENT:
        reasons.append(f"CPU: the generator used {generator['cpu_percent']:.0f} % of a core")
    if (generator.get("lag_p95_ms") or 0.0) >= LATE_MS:
        reasons.append(f"lag: its users were woken {generator['lag_p95_ms']:.0f} ms late (p95)")
    own = [text for text in errors if text.endswith((": no ports", ": no descriptors"))]
    if own:
        reasons.append(f"sockets: {own[0].rpartition(': ')[2]} left on the generator")
    return reasons


def raise_descriptor_limit(users: int) -> str:
    """Raise the limit of open files as far as it goes.

    Args:
        users: How many there will be at most; each needs a descriptor.

    Returns:
        What to do when that is not enough; "" when it is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = users + _SPARE_DESCRIPTORS
    if needed > soft:
        wanted = hard if hard != resource.RLIM_INFINITY else needed
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):
            pass
    if needed <= soft:
        return ""
    return (
        f"{users:,} users need {needed:,} open files, and this process may have {soft:,}: "
        f"set ulimit -n {needed} (as root, or LimitNOFILE= of its service), or share the users "
        "over several generators (--share)"
    )


def ports_warning(users: int, host: str, text: str) -> str:
    """Return what to do when one address has fewer source ports than there are users; "" when it is enough.

    Args:
        users: How many there will be at most.
        host: The target; a connection to one address and port needs a source port of its own.
        text: Of ``/proc/sys/net/ipv4/ip_local_port_range``; "" where there is none.
    """
    parts = text.split()
    if len(parts) != 2:
        return ""
    ports = int(parts[1]) - int(parts[0]) + 1
    if users <= ports:
        return ""
    return (
        f"{users:,} users need as many source ports to {host}, and this machine has {ports:,}: "
        'set sysctl net.ipv4.ip_local_port_range="1024 65535", or use several machines'
    )
