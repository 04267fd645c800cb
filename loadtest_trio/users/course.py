"""What happens next: go on, stop, or look whether the service recovers. Pure.

load ──► profile over ─────────────────────────────────► end
├───► threshold crossed (--abort) ───────────────────► end
└───► stop condition ──► recovery: fewer users ──────► end, as soon as it is itself again
"""

from enum import StrEnum

import attrs

from loadtest_trio.report.users_conditions import Breach, Limits, check
from loadtest_trio.report.users_findings import recovery
from loadtest_trio.report.users_moments import Moment
from loadtest_trio.report.users_steps import Steps
from loadtest_trio.users.profile import Profile, held
from loadtest_trio.users.tally import Counts
from loadtest_trio.users.thresholds import Judged, Threshold

_MOST_RECOVERY_SECONDS = 300.0
_SETTLING_SHARE = 0.1


class Phase(StrEnum):
    """Where a run is."""

    LOAD = "load"
    RECOVERY = "recovery"
    END = "end"


@attrs.frozen(kw_only=True)
class Rules:
    """What may end a run early.

    Attributes:
        thresholds: Judged at the end, and while it goes on if `abort_after` says so.
        abort_after: Seconds from which a crossed threshold ends the run; None: never.
        conditions: The stop conditions that are on, by name.
        limits: What counts as giving in.
        recovery: Seconds to look for a recovery; None: as long as a step, five minutes at most; 0: not.
    """

    thresholds: tuple[Threshold, ...] = ()
    abort_after: float | None = None
    conditions: frozenset[str] = frozenset()
    limits: Limits = attrs.field(factory=Limits)
    recovery: float | None = None


@attrs.define
class Course:
    """The course of one run.

    Args:
        profile: The one it begins with.
        rules: What may end it early.

    Attributes:
        profile: The one to follow now.
        profile_began: Since when, in seconds since the run began.
        phase: Where it is.
        steps: What was seen.
        breaches: The stop conditions that were met, by the step's number.
        reason: Why it has ended.
    """

    profile: Profile
    rules: Rules
    profile_began: float = 0.0
    phase: Phase = Phase.LOAD
    steps: Steps = attrs.field(factory=Steps)
    breaches: dict[int, list[Breach]] = attrs.field(factory=dict)
    reason: str = ""

    def next_boundary(self, elapsed: float) -> float:
        """Return when the profile's present segment ends, in seconds since the run began."""
        at = self.profile_began
        for segment in self.profile.segments:
            at += segment.seconds
            if at > elapsed + 1e-6:
                return at
        return at

    def judge(self, counts: Counts, seconds: float) -> list[Judged]:
        """Judge the thresholds by what was counted so far."""
        return [each.judge(counts, seconds) for each in self.rules.thresholds]

    def decide(self, moment: Moment, elapsed: float, counts: Counts) -> list[Breach]:
        """Decide what happens after an interval; look at `phase` and `profile` then.

        Args:
            moment: The interval, already in `steps`.
            elapsed: Seconds since the run began.
            counts: All of the run so far.

        Returns:
            Stop conditions that were met just now.
        """
        self._close_step(moment, elapsed)
        crossed = [each for each in self.judge(counts, elapsed) if not each.held and each.value is not None]
        abort = self.rules.abort_after
        if crossed and abort is not None and elapsed >= abort:
            self._end(f"threshold crossed: {crossed[0].threshold.text}")
        elif self.phase is Phase.RECOVERY:
            self._watch_recovery(elapsed)
        elif found := self._breaches():
            self.breaches[moment.step] = found
            self._after_breach(found, moment, elapsed)
            return found
        elif elapsed >= self.profile_began + self.profile.seconds - 1e-6:
            self._end("the profile is complete")
        return []

    def _close_step(self, moment: Moment, elapsed: float) -> None:
        since = elapsed - self.profile_began
        over = since >= self.profile.seconds - 1e-6
        if over or self.profile.at(since + 1e-6).step != moment.step:
            self.steps.end()

    def _breaches(self) -> list[Breach]:
        steps = [each for each in self.steps.steps if each.number not in self.breaches]
        found = check(steps, self.rules.limits, open_profile=self.profile.open)
        return [each for each in found if each.condition in self.rules.conditions]

    def _after_breach(self, found: list[Breach], moment: Moment, elapsed: float) -> None:
        self.steps.end()
        length = self.profile.segments[-1].seconds + self.profile.segments[0].seconds
        seconds = min(length, _MOST_RECOVERY_SECONDS) if self.rules.recovery is None else self.rules.recovery
        names = ", ".join(each.condition for each in found)
        if seconds <= 0:
            self._end(f"stop condition: {names}")
            return
        level = float(max(1, int(moment.level / 2)))
        self.reason = f"stop condition: {names}"
        self.phase, self.profile_began = Phase.RECOVERY, elapsed
        settling = min(5.0, _SETTLING_SHARE * seconds)
        self.profile = attrs.evolve(
            held(level, seconds, moment.step + 1, was=level, settling=settling), open=self.profile.open
        )

    def _watch_recovery(self, elapsed: float) -> None:
        climb, after = self.steps.steps[:-1], self.steps.steps[-1:]
        seen = recovery(climb, after, self.rules.limits)
        over = elapsed >= self.profile_began + self.profile.seconds - 1e-6
        if over or (seen is not None and seen.seconds is not None):
            self._end(self.reason)

    def _end(self, reason: str) -> None:
        self.steps.end()
        self.phase, self.reason = Phase.END, reason
