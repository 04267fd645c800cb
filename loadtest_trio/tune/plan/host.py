"""The speed of the host, as a probe between the windows of a search shows it. Pure.

A virtual machine does the same work at different speeds from one minute to the next: its neighbours share
caches, hardware threads and clock. So a fixed piece of work is timed between windows, on the service's core.
Rates are reported raw and normalised, which means divided by the speed: what a core of speed 1 would do.

Speed counts CPU time and stolen time, not wall time. Time for which the probe was ready but had no core is
the load's own doing where the servers share the machine; it is reported beside the speed and never corrected
for.
"""

from collections.abc import Iterable, Sequence
from math import exp, log
from statistics import fmean

import attrs

CHANGE = 0.15
"""Difference of two speeds, in logarithms, from which the host counts as changed: several times what two
readings of an unchanged host differ by."""


@attrs.frozen
class Probe:
    """One reading of the probe.

    Attributes:
        speed: Speed of the core: 1 as in `metrics.calibration`; 2 does the work in half the CPU time. The
            share of time that the hypervisor took away counts as missing speed.
        cpu_ms: CPU time of the whole probe.
        wall_ms: Its wall time; longer than `cpu_ms` if it had to wait for the core.
        steal: Share of the CPUs' time, since the last reading, that the hypervisor gave to others.
        mhz: Clock frequency of the core; None where it is not known.
    """

    speed: float
    cpu_ms: float
    wall_ms: float
    steal: float = 0.0
    mhz: float | None = None


def mean_speed(probes: Iterable[Probe]) -> float:
    """Return the geometric mean of the speeds; 1 without a reading."""
    speeds = [log(each.speed) for each in probes]
    return exp(fmean(speeds)) if speeds else 1.0


def changed(probes: Sequence[Probe]) -> bool:
    """Return whether the host's speed changed between any of these readings."""
    speeds = [each.speed for each in probes]
    return len(speeds) > 1 and log(max(speeds) / min(speeds)) > CHANGE
