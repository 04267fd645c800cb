"""How fast is this core just now? A little fixed work, timed again and again beside the service.

On a machine that others use too, the same work takes half as long again from one minute to the next. CPU
seconds of two stages say the same only when each is read at the pace of its time. The service is not asked
to hold still for that: the work is some 100 µs, twenty times a second, a five-hundredth of a core.
"""

import time

import trio

from loadtest_trio.jobs.message import Message, Operation, decode

_PERIOD_SECONDS = 0.05
_MESSAGES = 10
_BLOCK = bytes(100_000)


def unit() -> float:
    """Do one unit of work, interpreted and copied as the service's own; return its CPU seconds."""
    began = time.thread_time()
    for number in range(_MESSAGES):
        decode(Message(f"pace-{number}", Operation.READ, "key", params={"uuids": 7}).encode())
    bytearray(_BLOCK)
    return time.thread_time() - began


class PaceMeter:
    """Takes units of work, and their mean."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._units = 0

    async def run(self) -> None:
        """Take a unit now and then, until cancelled."""
        while True:
            await trio.sleep(_PERIOD_SECONDS)
            self._seconds += unit()
            self._units += 1

    def collect_us(self) -> float:
        """Return the mean CPU microseconds of a unit since the last call; one is taken where none was."""
        if not self._units:
            self._seconds, self._units = unit(), 1
        mean = 1e6 * self._seconds / self._units
        self._seconds, self._units = 0.0, 0
        return round(mean, 2)
