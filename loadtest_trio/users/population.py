"""Starts and stops users as a profile asks for.

    start ──► active ──────────────► leaving ──► gone          closed profile: `active` follows the level
                 └── one story after the other ┘ └── the story under way ends, or its grace is over
    due ──► active ──► one story ──► gone                      open profile: arrivals follow the rate

A user that is needed again while it is leaving stays. The newest leaves first.
"""

from collections.abc import Callable

import attrs
import trio

from loadtest_trio.errors import ConfigurationError, cause_of, describe
from loadtest_trio.metrics import logs
from loadtest_trio.users.profile import Profile, Share
from loadtest_trio.users.scenario import Scenario
from loadtest_trio.users.user import Surroundings, User
from loadtest_trio.users.wire import Wire

_TICK_SECONDS = 0.02  # while users arrive or leave
_CALM_SECONDS = 0.2  # while their number stays
_RETRY_SECONDS = 1.0  # between stories that end at once because the service is not there


@attrs.frozen
class Crowd:
    """Who the users are.

    Attributes:
        scenario: What they do.
        share: This generator's part of them.
        seed: Of their randomness.
        grace: Seconds that a leaving user has to end its story.
        most: Users of an open profile that may be active at once.
    """

    scenario: Scenario
    share: Share = attrs.field(factory=Share)
    seed: int = 0
    grace: float = 30.0
    most: int = 20_000


class Population:
    """The users of one generator.

    Args:
        crowd: Who they are.
        around: What they share.
        open_wire: Makes a user's connection.
        profile: How many there should be, from the moment that `run` is started.
    """

    def __init__(
        self, crowd: Crowd, around: Surroundings, open_wire: Callable[[], Wire], profile: Profile
    ) -> None:
        self._crowd = crowd
        self._around = around
        self._open_wire = open_wire
        self._profile = profile
        self._began = 0.0
        self._numbers = 0
        self._arrived = 0
        self._active: dict[User, trio.CancelScope] = {}
        self._leaving: dict[User, trio.CancelScope] = {}
        self._stopping = False
        self._changed = trio.Event()  # by somebody else: another profile, or the end

    @property
    def active(self) -> int:
        """Users that are there and have not been told to leave."""
        return len(self._active)

    @property
    def leaving(self) -> int:
        """Users that end their last story."""
        return len(self._leaving)

    @property
    def wanted(self) -> int:
        """Users of this generator that there should be now; of an open profile, those there are."""
        if self._profile.open:
            return self.active
        return self._wanted_at(trio.current_time())

    def follow(self, profile: Profile) -> None:
        """Follow another profile from now on."""
        self._profile, self._began, self._arrived = profile, trio.current_time(), 0
        self._changed.set()

    def stop(self) -> None:
        """Have all users leave; `run` ends when they have."""
        self._stopping = True
        self._changed.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start and stop users until `stop`, then until the last one has left."""
        self._began = trio.current_time()
        async with trio.open_nursery() as nursery:
            task_status.started()
            while not self._stopping:
                now, self._changed = trio.current_time(), trio.Event()
                if self._profile.open:
                    self._admit_due(nursery, now)
                else:
                    self._adjust(nursery, now)
                with trio.move_on_at(self._next_look(now)):
                    await self._changed.wait()
            while self._active:
                self._send_off()

    def _wanted_at(self, when: float) -> int:
        return self._crowd.share.of(self._profile.at(when - self._began).level)

    def _next_look(self, now: float) -> float:
        """Return when users may have to arrive or leave again; each look costs as much as a request."""
        calm = now + _CALM_SECONDS
        if self._profile.open:
            due = self._began + self._profile.arrival_time(self._crowd.share.number(self._arrived))
            return max(now + _TICK_SECONDS, min(due, calm))
        return calm if self._wanted_at(calm) == self.active else now + _TICK_SECONDS

    def _adjust(self, nursery: trio.Nursery, now: float) -> None:
        wanted = self.wanted
        while len(self._active) > wanted:
            self._send_off()
        while len(self._active) < wanted:
            if self._leaving:
                user, scope = self._leaving.popitem()
                scope.deadline = float("inf")
                self._active[user] = scope
            else:
                self._start(nursery, now)

    def _admit_due(self, nursery: trio.Nursery, now: float) -> None:
        share = self._crowd.share
        while (due := self._began + self._profile.arrival_time(share.number(self._arrived))) <= now:
            self._arrived += 1
            if len(self._active) < self._crowd.most:
                self._start(nursery, due)
            else:
                self._withhold(now)
                return

    def _withhold(self, now: float) -> None:
        """Count all that are due by now as withheld, at once: there may be a million of them a second."""
        due = self._crowd.share.of(self._profile.arrivals(now - self._began) + 1)
        self._around.recorder.withheld += max(1, due - self._arrived + 1)
        self._arrived = max(self._arrived, due)

    def _start(self, nursery: trio.Nursery, due: float) -> None:
        number = self._crowd.share.number(self._numbers)
        self._numbers += 1
        seed = self._crowd.seed * 1_000_003 + number
        user = User(number, self._open_wire(), self._around, due, seed)
        self._active[user] = trio.CancelScope()
        nursery.start_soon(self._live, user, self._active[user], name="user")

    def _send_off(self) -> None:
        user, scope = self._active.popitem()
        scope.deadline = trio.current_time() + self._crowd.grace
        self._leaving[user] = scope

    async def _live(self, user: User, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self._play(user)
                while user in self._active and not self._profile.open:
                    await self._play(user)
        finally:
            user.close()
            self._active.pop(user, None)
            self._leaving.pop(user, None)

    async def _play(self, user: User) -> None:
        """Go through one story; whatever its author forgot to catch ends it, and is counted."""
        recorder, began = self._around.recorder, trio.current_time()
        story = self._crowd.scenario.choose(user)
        recorder.sequences += 1
        user.failed = False
        try:
            await story(user)
        except ConfigurationError:
            raise  # of an option: every story would fail
        except Exception as error:
            user.failed = True
            recorder.crashed += 1
            what = f"{getattr(story, '__name__', 'scenario')}: {describe(error)}"
            recorder.error(what)
            logs.failure("users_scenario_failed", type(cause_of(error)).__name__, error=what)
        user.give_up()
        await trio.lowlevel.checkpoint_if_cancelled()
        if user.failed and trio.current_time() - began < _RETRY_SECONDS and user in self._active:
            await user.think(_RETRY_SECONDS)
        elif trio.current_time() == began:
            await trio.lowlevel.checkpoint()
