"""What the scheduler is told to do, and how it is told something else while it runs."""

import attrs
import trio

from loadtest_trio.settings import SchedulerMode


@attrs.frozen
class Course:
    """What the scheduler does.

    Attributes:
        mode: Keep a rate, or keep the queue filled.
        rate: Steady messages a second, in rate mode.
        paused: Whether it enqueues nothing at all.
    """

    mode: SchedulerMode
    rate: float
    paused: bool = False


class Helm:
    """Holds the course and wakes who follows it when it changes."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._changed = trio.Event()

    @property
    def course(self) -> Course:
        """The course now."""
        return self._course

    def steer(self, course: Course) -> None:
        """Set another course; it is followed from the next batch on."""
        if course != self._course:
            self._course = course
            self._changed.set()
            self._changed = trio.Event()

    async def keep(self, course: Course, until: float) -> bool:
        """Wait until a time of Trio's clock.

        Returns:
            Whether `course` still is the course; False comes early.
        """
        if course is self._course:
            with trio.move_on_at(until):
                await self._changed.wait()
        return course is self._course
