"""The intervals between metrics lines, from their running counters."""

from collections.abc import Sequence
from itertools import pairwise

import attrs

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.runs import number


@attrs.frozen
class Interval:
    """The time between two metrics lines.

    Attributes:
        at: Its end, in seconds since the run began.
        seconds: Its length.
        done: Messages processed or missed.
        cpu_seconds: CPU time that the process used; None where it is not known.
        host_speed: Speed of the core, on the scale of the calibration score; None where no probe measured it.
    """

    at: float
    seconds: float
    done: int
    cpu_seconds: float | None
    host_speed: float | None = None

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.done / self.seconds


def intervals(lines: Sequence[LogLine]) -> list[Interval]:
    """Return the intervals between metrics lines; where a counter or a stage began again there is none.

    Args:
        lines: Metrics lines of one run, by time.
    """
    result = []
    for before, after in pairwise(lines):
        seconds = number(after, "uptime_seconds") - number(before, "uptime_seconds")
        done = sum(
            number(after, name) - number(before, name) for name in ("messages_processed", "messages_missed")
        )
        if seconds <= 0 or done < 0 or before.get("stage") != after.get("stage"):
            continue
        percent = after.get("cpu_percent")
        cpu = seconds * float(percent) / 100 if isinstance(percent, int | float) else None
        speed = max(0.0, number(after, "host_speed")) or None
        result.append(Interval(number(after, "uptime_seconds"), seconds, int(done), cpu, speed))
    return result
