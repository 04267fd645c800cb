"""The rig of ``tune --users``: each step runs a separate session of users at one level.

    step ──► one level ──► Session ──► report's Step ──► stop conditions, against the steps that passed
                                                              └──► observation, with its faults and cause

The stop conditions are those of a step profile, so ``users --step`` and ``tune --users`` agree.
"""

from collections.abc import Callable, Mapping

import attrs
import trio

from loadtest_trio.metrics import logs, machine
from loadtest_trio.report.users_conditions import Limits, check
from loadtest_trio.report.users_moments import DUE, Moment
from loadtest_trio.report.users_steps import Step as UsersStep
from loadtest_trio.report.users_verdict import GENERATOR, cause_of
from loadtest_trio.tune.plan.loop import Progress, drive
from loadtest_trio.tune.plan.observations import Observation, Slice, Usage
from loadtest_trio.tune.plan.steps import Step
from loadtest_trio.tune.plan.users import UsersGoal, tune_users
from loadtest_trio.tune.rig.saturation import watch_signals
from loadtest_trio.users.launch import Address, Site, open_site
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.profile import Profile, Segment
from loadtest_trio.users.session import Health, Run, Session

_REST_SECONDS = 2.0
_ARRIVAL = (1.0, 0.002)  # minimum seconds, and seconds per user
_SETTLING_SECONDS = 3.0
_INTERVAL = 1.0


class UsersRig:
    """Makes steps with real users.

    Args:
        site: The service under test.
        crowd: The simulated users.
        limits: Limits of the stop conditions.
        open_profile: Whether a step's rate means new users per second.
        health: Makes the health watch of this process; None for the one of `Session`.

    Attributes:
        stage: Number of the current step.
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
        self._passed: list[UsersStep] = []

    async def measure(self, step: Step) -> Observation:
        """Make one step and return its observation without the arrival of the users."""
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
        lower = sorted(
            (each for each in self._passed if each.level < step.level), key=lambda each: each.level
        )
        breaches = check([*lower, step], self._limits, open_profile=self._open)
        faults = [f"{each.condition}: {each.evidence}" for each in breaches]
        faults += [f"the generator was the limit: {why}" for why in step.limited]
        if not faults:
            self._passed.append(step)
        return observation(step, tuple(faults), cause_of(breaches, step) if breaches else "")


def level_profile(level: float, seconds: float, step: int, *, open_profile: bool) -> Profile:
    """Return a profile that holds a level and measures it once its users and their jobs have settled.

    Args:
        level: Number of users, or new users per second.
        seconds: Duration of the measurement.
        step: Number of the step.
        open_profile: Whether the level means new users per second.
    """
    arrival = _ARRIVAL[0] + _ARRIVAL[1] * level
    segments = (
        Segment(arrival, 0.0, level, step, settling=True),
        Segment(_SETTLING_SECONDS, level, level, step, settling=True),
        Segment(seconds, level, level, step),
    )
    return Profile(segments, open=open_profile)


def observation(step: UsersStep, faults: tuple[str, ...], cause: str) -> Observation:
    """Convert a step of users to the planner's observation.

    Users who wait for their jobs offer no more than is done, so created equals done here. The stop condition
    `queue` judges whether jobs pile up; it knows that each step begins without jobs of its users.

    Args:
        step: The measured step.
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
        goal: The parameters of the search.
        address: The address of the service.
        crowd: The simulated users.
        options: Options of the scenario.
        progress: Is shown each step and event.

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
