"""The scheduler's settings that can change while it runs: mode, rate and pause."""

import attrs
import trio

from loadtest_trio.settings import SchedulerMode


@attrs.frozen
class Setpoint:
    """What the scheduler is set to.

    Attributes:
        mode: Keep a rate, or keep the queue filled.
        rate: Messages per second of the steady mix, in rate mode.
        paused: Whether the scheduler enqueues nothing at all.
    """

    mode: SchedulerMode
    rate: float
    paused: bool = False


class SetpointControl:
    """Holds the current setpoint and wakes the scheduler when it changes."""

    def __init__(self, setpoint: Setpoint) -> None:
        self._course = setpoint
        self._changed = trio.Event()

    @property
    def setpoint(self) -> Setpoint:
        """The current setpoint."""
        return self._course

    def change(self, setpoint: Setpoint) -> None:
        """Change the setpoint, effective from the next batch."""
        if setpoint != self._course:
            self._course = setpoint
            self._changed.set()
            self._changed = trio.Event()

    async def hold(self, setpoint: Setpoint, until: float) -> bool:
        """Wait until a time of Trio's clock, or until the setpoint changes.

        Returns:
            Whether `setpoint` is still the current one.
        """
        if setpoint is self._course:
            with trio.move_on_at(until):
                await self._changed.wait()
        return setpoint is self._course
