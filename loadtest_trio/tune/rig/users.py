"""The rig of ``tune --users``: each step is a run of users of its own, at one level.

    step ──► one level ──► Session ──► report's Step ──► stop conditions, against the steps that passed
                                                              └──► observation, with its faults and cause

What counts as giving in is what counts in a step profile, so ``users --step`` and ``tune --users`` agree.
"""

from collections.abc import Callable, Mapping

import attrs
import trio

from loadtest_trio.metrics import logs, machine
from loadtest_trio.report.users_conditions import Limits, check
from loadtest_trio.report.users_steps import DUE, Moment
from loadtest_trio.report.users_steps import Step as UsersStep
from loadtest_trio.report.users_verdict import GENERATOR, cause_of
from loadtest_trio.tune.plan.loop import Progress, drive
from loadtest_trio.tune.plan.steps import Observation, Slice, Step, Usage
from loadtest_trio.tune.plan.users import UsersGoal, tune_users
from loadtest_trio.tune.rig.search import watch_signals
from loadtest_trio.users.launch import Address, Site, open_site
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.profile import Profile, Segment
from loadtest_trio.users.session import Health, Run, Session

_REST_SECONDS = 2.0
_ARRIVAL = (1.0, 0.002)  # seconds at least, seconds a user
_SETTLING_SECONDS = 3.0
_INTERVAL = 1.0


class UsersRig:
    """Makes steps with real users.

    Args:
        site: The service.
        crowd: Who the users are.
        limits: What counts as giving in.
        open_profile: A step's rate is new users a second.
        health: Watches this process; as a session does when None.

    Attributes:
        stage: The number of the step under way.
    """

    def __init__(
        self,
        site: Site,
        crowd: Crowd,
        limits: Limits,
        *,
        open_profile: bool = False,
        health: Callable[[], Health] | None = None,
    ) -> None:
        self.stage = 0
        self._site = site
        self._crowd = crowd
        self._limits = limits
        self._open = open_profile
        self._health = health
        self._began = trio.current_time()
        self._kept: list[UsersStep] = []

    async def measure(self, step: Step) -> Observation:
        """Make one step and return what it showed, the arrival of the users left out."""
        if not step.seconds:
            await trio.sleep(_REST_SECONDS)
            return Observation(slices=())
        self.stage += 1
        level = float(max(1, round(step.rate or 1)))
        run = Run(
            level_profile(level, step.seconds, self.stage, open_profile=self._open),
            self._crowd,
            interval=_INTERVAL,
            since=trio.current_time() - self._began,
        )
        health = self._health() if self._health else None
        session = Session(run, self._site.around, self._site.open_wire, self._site.target, health=health)
        outcome = await session.run()
        return self._observe(outcome.steps.steps[-1])

    def _observe(self, step: UsersStep) -> Observation:
        lower = sorted((each for each in self._kept if each.level < step.level), key=lambda each: each.level)
        breaches = check([*lower, step], self._limits, open_profile=self._open)
        faults = [f"{each.condition}: {each.evidence}" for each in breaches]
        faults += [f"the generator was the limit: {why}" for why in step.limited]
        if not faults:
            self._kept.append(step)
        return observation(step, tuple(faults), cause_of(breaches, step) if breaches else "")


def level_profile(level: float, seconds: float, step: int, *, open_profile: bool) -> Profile:
    """Return a level that is measured for so many seconds, after its users and their jobs have settled."""
    arrival = _ARRIVAL[0] + _ARRIVAL[1] * level
    segments = (
        Segment(arrival, 0.0, level, step, settling=True),
        Segment(_SETTLING_SECONDS, level, level, step, settling=True),
        Segment(seconds, level, level, step),
    )
    return Profile(segments, open=open_profile)


def observation(step: UsersStep, faults: tuple[str, ...], cause: str) -> Observation:
    """Return a step of users as the planner sees steps.

    Users who wait for their jobs offer what is done, no more: whether jobs pile up is for the stop condition
    `queue` to say, which knows that each step begins with an empty queue of its users.

    Args:
        step: What was seen.
        faults: Why it failed.
        cause: What gave in.
    """
    jobs = step.total("submitted") > 0

    def share(field: str) -> float:
        return (step.mean(field) or 0.0) / 100

    return Observation(
        slices=tuple(
            Slice(
                seconds=each.seconds,
                created=_done(each, jobs=jobs),
                done=_done(each, jobs=jobs),
                backlog=each.open,
            )
            for each in step.moments
        ),
        p99_ms=step.distribution(DUE).percentile_ms(99),
        mean_ms=step.distribution(DUE).mean_ms,
        errors=step.total("failures"),
        schedule_lag_ms=step.mean("lag_ms") or 0.0,
        usage=Usage(
            cpu=share("target_cpu"),
            cpu_wait=share("target_wait"),
            redis_server=share("redis_cpu"),
            memory_mb=step.mean("memory_mb") or 0.0,
        ),
        faults=faults,
        cause=cause or (GENERATOR if step.limited else ""),
    )


def _done(moment: Moment, *, jobs: bool) -> int:
    return moment.finished if jobs else moment.requests - moment.failures


async def search_users(
    goal: UsersGoal, address: Address, crowd: Crowd, options: Mapping[str, str], progress: Progress
) -> None:
    """Search for the highest number of users that a service sustains, and log it; a signal ends it early.

    Args:
        goal: What is asked.
        address: Where the service is.
        crowd: Who the users are.
        options: Of the scenario.
        progress: Told how it goes.

    Raises:
        ConfigurationError: The address cannot be used.
    """
    open_profile = goal.unit != "users"
    logs.event(
        "users_started",
        versions=machine.versions(),
        machine=machine.describe(),
        host=address.url,
        scenario=crowd.scenario.name,
        options=dict(options),
        profile=f"search for the most {goal.unit}",
        open=open_profile,
        limits=attrs.asdict(Limits()),
    )
    reason = "interrupted before it was complete"
    try:
        async with open_site(address, options) as site, trio.open_nursery() as nursery:
            await nursery.start(watch_signals, nursery.cancel_scope)
            rig = UsersRig(site, crowd, Limits(), open_profile=open_profile)
            await drive(tune_users(goal, trio.current_time), rig, progress)
            reason = "complete"
            nursery.cancel_scope.cancel()
    finally:
        logs.event("users_stopped", reason=reason)
