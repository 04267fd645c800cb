"""Measures the speed of this core: times a fixed unit of work repeatedly while the service runs.

On a machine shared with other programs, the CPU time of the same work can vary by half from one minute to the
next. CPU seconds of two stages are comparable only after scaling each by the core's speed at the time. The
cost is negligible: about 100 µs of work twenty times a second, a five-hundredth of a core.
"""

import time

import trio

from loadtest_trio.jobs.message import Message, Operation, decode

_PERIOD_SECONDS = 0.05
_MESSAGES = 10
_BLOCK = bytes(100_000)


def unit() -> float:
    """Do one unit of work, interpreting and copying as the service does; return its CPU seconds."""
    began = time.thread_time()
    for number in range(_MESSAGES):
        decode(Message(f"pace-{number}", Operation.READ, "key", params={"uuids": 7}).encode())
    bytearray(_BLOCK)
    return time.thread_time() - began


class CoreSpeedMeter:
    """Times units of work and averages them."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._units = 0

    async def run(self) -> None:
        """Time a unit every 50 ms, until cancelled."""
        while True:
            await trio.sleep(_PERIOD_SECONDS)
            self._seconds += unit()
            self._units += 1

    def collect_us(self) -> float:
        """Return the mean CPU microseconds of a unit since the last call; time one now if there was none."""
        if not self._units:
            self._seconds, self._units = unit(), 1
        mean = 1e6 * self._seconds / self._units
        self._seconds, self._units = 0.0, 0
        return round(mean, 2)
