"""One run of users: the population, a line every interval, and the decisions that follow from it.

    keepers (sockets, sleepers, lag probe)             outlive the users
      └── crowd: population.run ──► users              ends when the last one has left
            └── this task: interval ► line ► course    says when

The session ends by itself at the end of its course, or by `stop`; users then end their stories, within
their grace. What was counted until the last of them has left is in the last line.
"""

from collections.abc import Callable
from typing import Any, Protocol

import attrs
import trio

from loadtest_trio.metrics import logs
from loadtest_trio.report.users_conditions import Breach, judge_all
from loadtest_trio.report.users_findings import Findings, find
from loadtest_trio.report.users_steps import LEAVING, Steps
from loadtest_trio.report.users_verdict import sentences
from loadtest_trio.users.course import Course, Phase, Rules
from loadtest_trio.users.generator import GeneratorHealth, limits_reached
from loadtest_trio.users.lines import interval_line, route_line, step_fields
from loadtest_trio.users.population import Crowd, Population
from loadtest_trio.users.profile import Profile
from loadtest_trio.users.steering import steered
from loadtest_trio.users.tally import Counts
from loadtest_trio.users.target import Target
from loadtest_trio.users.thresholds import Judged
from loadtest_trio.users.user import Surroundings
from loadtest_trio.users.wire import Wire

_LEAST_SECONDS = 0.05  # of the last interval, for its rates to mean anything


@attrs.frozen
class Run:
    """What to run.

    Attributes:
        profile: How many users, and when.
        crowd: Who they are.
        rules: What may end it early.
        interval: Seconds between two lines.
        since: Seconds that its lines' ``uptime_seconds`` begin with: a search is many runs in one log.
    """

    profile: Profile
    crowd: Crowd
    rules: Rules = attrs.field(factory=Rules)
    interval: float = 10.0
    since: float = 0.0


@attrs.frozen
class Outcome:
    """What came of it.

    Attributes:
        reason: Why it ended.
        steps: What was seen, step by step.
        breaches: Stop conditions that were met.
        findings: What that says.
        verdict: In words.
        judged: Every threshold.
        counts: Everything that was counted.
        seconds: How long it took.
    """

    reason: str
    steps: Steps
    breaches: dict[int, list[Breach]]
    findings: Findings
    verdict: list[str]
    judged: list[Judged]
    counts: Counts
    seconds: float

    @property
    def held(self) -> bool:
        """No threshold was crossed."""
        return all(each.held for each in self.judged)


class View(Protocol):
    """Shows how it goes."""

    def show(self, line: dict[str, Any], counts: Counts) -> None:
        """An interval is over: its line, and everything that was counted so far."""

    def say(self, text: str) -> None:
        """Something happened."""


class Health(Protocol):
    """Watches the generator; `GeneratorHealth` is one."""

    async def probe(self) -> None:
        """Notice how late the event loop is, until cancelled."""

    def read(self, counts: Counts) -> dict[str, Any]:
        """Return the generator's part of a line."""
        ...


class Blind:
    """Shows nothing."""

    def show(self, line: dict[str, Any], counts: Counts) -> None:
        """See `View.show`."""

    def say(self, text: str) -> None:
        """See `View.say`."""


class Session:
    """One run of users.

    Args:
        run: What to run.
        around: What its users share.
        open_wire: Makes a user's connection.
        target: Tells of the target's machine.
        view: Shows how it goes.
        health: Watches this process.
    """

    def __init__(
        self,
        run: Run,
        around: Surroundings,
        open_wire: Callable[[], Wire],
        target: Target,
        view: View | None = None,
        health: Health | None = None,
    ) -> None:
        self._run = run
        self._around = around
        self._target = target
        self._view = view or Blind()
        self._course = Course(run.profile, run.rules)
        self._population = Population(run.crowd, around, open_wire, run.profile)
        self._health = health or GeneratorHealth()
        self._counts = Counts()
        self._began = self._last = self._ended = 0.0
        self._stopping = trio.Event()
        self._steps_told = 0

    def steer(self, users: float, spawn_rate: float) -> None:
        """Go on with another number of users from now on, in a step of its own.

        Raises:
            ValueError: This run cannot be steered; the text continues "must be …".
        """
        course = self._course
        if course.profile.open:
            raise ValueError("left alone in an open profile: its level is new users a second")
        if course.phase is not Phase.LOAD:
            raise ValueError("left alone now: the run looks whether the service recovers, or ends")
        elapsed = trio.current_time() - self._began
        course.profile = steered(course.profile, elapsed - course.profile_began, users, spawn_rate)
        course.profile_began = elapsed
        course.steps.end()
        self._population.follow(course.profile)

    def stop(self, reason: str) -> None:
        """End the run early; the users end their stories."""
        self._course.reason = self._course.reason or reason
        self._stopping.set()

    async def run(self) -> Outcome:
        """Run until the course ends, and return what came of it."""
        await self._target.read()  # what it used before is nobody's
        self._began = self._last = trio.current_time()
        async with trio.open_nursery() as keepers:
            await keepers.start(self._around.sleepers.run)
            keepers.start_soon(self._health.probe)
            async with trio.open_nursery() as crowd:
                await crowd.start(self._population.run)
                await self._observe()
                self._population.stop()
            await self._farewell()
            keepers.cancel_scope.cancel()
        return self._outcome()

    async def _observe(self) -> None:
        course = self._course
        while course.phase is not Phase.END and not self._stopping.is_set():
            now = trio.current_time() - self._began
            due = min(now + self._run.interval, course.next_boundary(now))
            with trio.move_on_at(self._began + due):
                await self._stopping.wait()
            await self._interval()

    async def _interval(self) -> None:
        course, now = self._course, trio.current_time()
        elapsed, seconds = now - self._began, now - self._last
        if seconds < _LEAST_SECONDS:
            return
        self._last = now
        counts = self._around.recorder.collect()
        self._counts.add(counts)
        line = await self._line(counts, elapsed, seconds)
        profile = course.profile
        moment = course.steps.add([line])
        self._log(counts, line)
        self._view.show(line, self._counts)
        for breach in course.decide(moment, elapsed, self._counts):
            logs.event("users_stop_condition", "WARNING", **attrs.asdict(breach))
            self._view.say(f"stop condition {breach.condition} in step {breach.step}: {breach.evidence}")
        self._tell_steps()
        if course.profile is not profile and course.phase is Phase.RECOVERY:
            self._population.follow(course.profile)
            level = course.profile.segments[-1].end
            logs.event("users_recovery_started", step=moment.step + 1, wanted_level=level)
            self._view.say(f"does it recover with {level:,.0f}?")

    async def _farewell(self) -> None:
        """Log what the users did while they left: it belongs to no step, and to the totals."""
        self._ended = now = trio.current_time()  # before the target is read, which may take its time
        counts = self._around.recorder.collect()
        self._counts.add(counts)
        if counts.routes or counts.errors:
            seconds = max(now - self._last, _LEAST_SECONDS)
            line = await self._line(counts, now - self._began, seconds)
            self._log(counts, line | {"phase": LEAVING, "settling": True})

    def _log(self, counts: Counts, line: dict[str, Any]) -> None:
        logs.event("users", **line)
        if routes := route_line(counts):
            shown = {name: line[name] for name in ("uptime_seconds", "seconds", "step", "share")}
            logs.event("users_routes", **shown, **routes)
        logs.summarise_floods()

    async def _line(self, counts: Counts, elapsed: float, seconds: float) -> dict[str, Any]:
        course, people, recorder = self._course, self._population, self._around.recorder
        wanted = course.profile.at(max(0.0, elapsed - course.profile_began - seconds / 2))
        fields = interval_line(counts, seconds)
        generator = self._health.read(counts)
        fields["jobs"] |= {"open": recorder.jobs_open, "statuses": dict(recorder.statuses)}
        return {
            "uptime_seconds": round(self._run.since + elapsed, 3),
            "seconds": round(seconds, 4),
            "step": wanted.step,
            "phase": str(course.phase),
            "wanted_level": round(wanted.level, 3),
            "settling": wanted.settling,
            "share": f"{self._run.crowd.share.part}/{self._run.crowd.share.parts}",
            "users_wanted": people.wanted,
            "users": people.active,
            "users_leaving": people.leaving,
            **fields,
            "generator": generator,
            "limited": limits_reached(generator, counts.errors),
            "target": await self._target.read(),
        }

    def _tell_steps(self) -> None:
        over = [each for each in self._course.steps.steps if each.over]
        for step in over[self._steps_told :]:
            logs.event("users_step", **step_fields(step))
        self._steps_told = len(over)

    def _outcome(self) -> Outcome:
        course = self._course
        self._counts.add(self._around.recorder.collect())
        course.steps.end()
        self._tell_steps()
        seconds = self._ended - self._began
        steps, limits = course.steps.steps, course.rules.limits
        breaches = judge_all(steps, limits, open_profile=self._run.profile.open) | course.breaches
        findings = find(steps, breaches, limits)
        unit = "new users a second" if self._run.profile.open else "users"
        return Outcome(
            reason=course.reason,
            steps=course.steps,
            breaches=breaches,
            findings=findings,
            verdict=sentences(findings, unit),
            judged=course.judge(self._counts, seconds),
            counts=self._counts,
            seconds=seconds,
        )


def tell(outcome: Outcome) -> None:
    """Write the last lines of a run: thresholds, verdict, totals."""
    for each in outcome.judged:
        level = "INFO" if each.held else "ERROR"
        logs.event("users_threshold", level, threshold=each.threshold.text, value=each.value, held=each.held)
    logs.event("users_verdict", sentences=outcome.verdict)
    total, jobs = outcome.counts.total, outcome.counts.jobs
    logs.event(
        "users_stopped",
        reason=outcome.reason,
        uptime_seconds=round(outcome.seconds, 3),
        requests=total.requests,
        failures=total.failures,
        jobs_submitted=jobs.submitted,
        jobs_finished=jobs.finished,
        jobs_failed=jobs.failed,
        jobs_abandoned=jobs.abandoned,
    )
