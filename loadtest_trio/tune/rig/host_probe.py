"""Times a fixed piece of work on the service's core, between the windows of a search."""

import os
import time
from pathlib import Path
from statistics import median

import psutil

from loadtest_trio.metrics import calibration
from loadtest_trio.tune.plan.host import Probe

_ROUNDS = 7  # together 10 to 20 ms; their median ignores an interrupt and the cold caches of the first
_FREQUENCY = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"


class HostProbe:
    """Reads the host's speed; one reading blocks the calling thread for 10 to 20 ms."""

    def __init__(self) -> None:
        self._last = psutil.cpu_times()

    def read(self) -> Probe:
        """Do the work on this thread, hence on the service's core, and return how fast it was."""
        steal = self._steal()
        cpu, wall = time.thread_time(), time.perf_counter()
        rounds = [calibration.time_round() for _ in range(_ROUNDS)]
        cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        return Probe(
            speed=calibration.speed(median(rounds)) * (1 - steal),
            cpu_ms=round(1000 * cpu, 3),
            wall_ms=round(1000 * wall, 3),
            steal=round(steal, 4),
            mhz=_frequency_mhz(),
        )

    def _steal(self) -> float:
        """Return the share of the CPUs' time since the last call that was stolen; 0 where it is not known."""
        before, self._last = self._last, psutil.cpu_times()
        stolen = getattr(self._last, "steal", 0.0) - getattr(before, "steal", 0.0)
        # Guests' time is part of user and nice already.
        whole = sum(self._last[:8]) - sum(before[:8])
        return min(0.99, max(0.0, stolen / whole)) if whole > 0 else 0.0


def _frequency_mhz() -> float | None:
    """Return the frequency of the first core that this process may use; None if the host does not tell."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    try:
        return int(Path(_FREQUENCY.format(core)).read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None
