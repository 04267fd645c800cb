"""Cancel a task at its n-th step, for n = 1, 2, 3 … until it ends before that.

A step is what Trio runs of a task between two checkpoints, so the cancellations reach every checkpoint
that the task and all its children pass. Runs take virtual time.
"""

from collections.abc import Awaitable, Callable

import attrs
import trio
from trio.abc import Instrument
from trio.testing import MockClock

_MOST_SECONDS = 3600.0


class Executioner(Instrument):
    """Cancels a task right before the n-th step of it and its children.

    Args:
        at: The step.

    Attributes:
        steps: How many were made.
        struck: Whether it came to that.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0
        self.struck = False
        self._root: trio.lowlevel.Task | None = None
        self._scope = trio.CancelScope()

    async def watch(self, run: Callable[[], Awaitable[object]]) -> None:
        """Run what is to be cancelled; the cancellation ends here."""
        self._root = trio.lowlevel.current_task()
        try:
            with self._scope:
                await run()
        finally:
            self._root = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and strike when it is time."""
        if self._root is None or not self._concerns(task):
            return
        self.steps += 1
        if self.steps >= self.at and not self.struck:
            self.struck = True
            self._scope.cancel()

    def _concerns(self, task: trio.lowlevel.Task) -> bool:
        at: trio.lowlevel.Task | None = task
        while at is not None and at is not self._root:
            at = at.parent_nursery.parent_task if at.parent_nursery else None
        return at is self._root


@attrs.frozen
class Scene:
    """What is cancelled, and what has to hold afterwards.

    Attributes:
        run: The task; it should end by itself when nobody cancels it.
        check: Looks whether anything was lost; gets whether the task was cancelled.
    """

    run: Callable[[], Awaitable[object]]
    check: Callable[[bool], Awaitable[None]]


def cancel_everywhere(build: Callable[[], Awaitable[Scene]], *, real_time: bool = False) -> int:
    """Play a scene again and again, cancelling one step later each time, until it ends by itself.

    Args:
        build: Sets the scene anew.
        real_time: For a scene with threads, which virtual time would overtake.

    Returns:
        At how many steps it was cancelled.

    Raises:
        AssertionError: A check failed; the message names the step.
    """

    async def play(executioner: Executioner) -> None:
        with trio.fail_after(_MOST_SECONDS):
            scene = await build()
            await executioner.watch(scene.run)
            await scene.check(executioner.struck)

    step = 0
    while True:
        step += 1
        executioner = Executioner(step)
        clock = None if real_time else MockClock(autojump_threshold=0)
        try:
            trio.run(play, executioner, clock=clock, instruments=[executioner])
        except BaseException as error:
            error.add_note(f"cancelled at step {step}")
            raise
        if not executioner.struck:
            return step - 1
