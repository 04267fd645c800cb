"""Virtual time for long days: what Trio's autojump clock does, for runs that wait for nothing real."""

import math

from trio.abc import Clock


class LeapClock(Clock):
    """A clock that stands still while anything can run and then leaps to the next deadline.

    Trio asks a clock how long to sleep only when no task can run. `trio.testing.MockClock` looks for
    sockets and threads once more before it jumps; here there are none, which halves the cost of a jump.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        """Return virtual seconds."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Leap to the deadline, and sleep not at all; without one, let Trio end."""
        if deadline == math.inf:
            return 1.0
        self._now = max(self._now, deadline)
        return 0.0
