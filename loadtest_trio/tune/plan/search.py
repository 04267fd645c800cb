"""The highest rate that the system sustains: climb, make sure, bisect, confirm. Pure.

    climb  r, 1.5 r, 2.25 r … until a step fails ──► drain, probe the same rate again
              ▲                                            │ passes: it was a passing trouble
              └────────────────────────────────────────────┘ fails: it is real
    bisect between the highest rate that passed and the lowest that failed (also twice)
    confirm on four windows without a pause; three of them and all together have to pass; else a
    little lower, again

A step goes on until it is judged or has reached its longest time, so steps far from the limit are
short and those near it are long.
"""

from collections.abc import Callable
from math import ceil, inf, sqrt

import attrs

from loadtest_trio.tune.plan.criteria import GROWTH_WORTH_A_NAME, Judgement, Limits, judge
from loadtest_trio.tune.plan.joined import join
from loadtest_trio.tune.plan.stage import stage
from loadtest_trio.tune.plan.steps import Kind, Observation, Plan, Step, measured

GROWTH = 1.5
WINDOWS, WINDOWS_NEEDED = 4, 3
_LOWEST_RATE = 0.5
_LOOKS_AT_WINDOWS = 2  # one by one, and all together


@attrs.frozen
class Pace:
    """How long things take, in seconds.

    Attributes:
        shortest: Of a step.
        longest: Of a step.
        window: Of a window of the confirmation.
        resolution: The search ends when the bounds are this close, as a factor.
        confirmations: How often a confirmation is tried at most; in a hurry, `hurried` times.
        hurried: For so many confirmations there is always time: whoever sets `hurry` reserves it.
    """

    shortest: float = 4.0
    longest: float = 8.0
    window: float = 6.0
    resolution: float = 1.03
    confirmations: int = 6
    hurried: int = 2

    @property
    def looks(self) -> int:
        """How often a step is judged at most."""
        return ceil(self.longest / self.shortest)


@attrs.frozen
class Saturation:
    """The result.

    Attributes:
        offered: The nominal rate that was confirmed; else the highest that passed a step and that no
            confirmation refuted; 0 when nothing works.
        goodput: Messages done a second at it.
        failed_at: The rate that failed last, hence the lowest: messages enqueued a second, refills included.
        reasons: Why that one failed.
        confirmed: Whether it was confirmed.
        windows: How many windows the last confirmation took.
        windows_passed: How many of them passed.
        observation: What was seen at that rate.
        cpu_wait: Share of the last confirmation that the process waited for a core.
    """

    offered: float
    goodput: float
    failed_at: float
    reasons: tuple[str, ...]
    confirmed: bool
    windows: int
    windows_passed: int
    observation: Observation | None
    cpu_wait: float


@attrs.define
class Search:
    """One search at one concurrency.

    Args:
        workers: Concurrency.
        start: The first rate, well under the limit.
        limits: What a step has to keep.
        pace: How long things take.
        hurry: Whether time is running out; then the search ends with what it knows.
        kept: The nominal rates at which the system kept up, and what they showed.
        guesses_left: How often the goodput under overload is tried as a rate; 0 where rates are users.
    """

    workers: int
    start: float
    limits: Limits
    pace: Pace = Pace()
    hurry: Callable[[], bool] = lambda: False
    kept: list[tuple[float, Observation]] = attrs.field(factory=list)
    _reasons: tuple[str, ...] = ()
    _failed_at: float = 0.0
    _refuted: float = inf
    _windows: list[bool] = attrs.field(factory=list)
    _cpu_wait: float = 0.0
    _overload_goodput: float = 0.0
    guesses_left: int = 2

    def run(self) -> Plan[Saturation]:
        """Search, and return the saturation point."""
        low, high = yield from self._climb()
        while high / max(low, _LOWEST_RATE) > self.pace.resolution and not self.hurry():
            middle = self._between(max(low, _LOWEST_RATE), high)
            if middle <= _LOWEST_RATE:
                break
            passed = yield from self._try(Kind.BISECT, middle)
            low, high = (middle, high) if passed else (low, middle)
        return (yield from self._confirm(low))

    def known(self) -> Saturation:
        """Return what is known before, or without, a confirmation."""
        sound = [each for each in self.kept if each[0] < self._refuted]
        rate, seen = max(sound, key=lambda each: each[0], default=(0.0, None))
        return self._result(rate, seen, confirmed=False)

    def _result(self, rate: float, seen: Observation | None, *, confirmed: bool) -> Saturation:
        return Saturation(
            offered=rate,
            goodput=min(seen.goodput, seen.offered) if seen else 0.0,  # not what waited before
            failed_at=self._failed_at,
            reasons=self._reasons,
            confirmed=confirmed,
            windows=len(self._windows),
            windows_passed=sum(self._windows),
            observation=seen,
            cpu_wait=self._cpu_wait,
        )

    def _between(self, low: float, high: float) -> float:
        """Return the next rate to try: what got through when too much was offered, or the middle.

        Under overload most systems still do what they can, so goodput is a good guess. One that
        collapses does less; after two guesses that turned out too low, plain bisection goes on.
        """
        if self.guesses_left and self._overload_goodput:
            return min(max(self._overload_goodput, low * self.pace.resolution), high / self.pace.resolution)
        return sqrt(low * high)

    def _climb(self) -> Plan[tuple[float, float]]:
        low, rate = 0.0, self.start
        while True:
            passed = yield from self._try(Kind.CLIMB, rate)
            if not passed and low:
                return low, rate
            low, rate = (rate, rate * GROWTH) if passed else (0.0, rate / GROWTH**2)
            if rate < _LOWEST_RATE:
                return 0.0, rate

    def _try(self, kind: Kind, rate: float) -> Plan[bool]:
        """Probe a rate; if it fails, once more, for a passing trouble is no limit."""
        before = self._failed_at, self._reasons
        passed = yield from self._probe(kind, rate)
        if not passed:
            passed = yield from self._probe(Kind.PROBE_AGAIN, rate)
            if passed:
                self._failed_at, self._reasons = before
        self.guesses_left -= passed and kind is Kind.BISECT and self.guesses_left > 0
        return passed

    def _probe(self, kind: Kind, rate: float) -> Plan[bool]:
        """Offer a rate until it is judged; after a failure let the system come to rest."""
        step = Step(kind, self.pace.shortest, self.workers, rate)
        observation = yield from measured(step)
        judgement = judge(observation, self.limits, looks=self.pace.looks, growth=GROWTH_WORTH_A_NAME)
        more = attrs.evolve(step, continues=True)
        while judgement.passed is None:
            observation = join(observation, (yield from measured(more)))
            enough = observation.seconds >= self.pace.longest or self.hurry()
            judgement = judge(
                observation, self.limits, final=enough, looks=self.pace.looks, growth=GROWTH_WORTH_A_NAME
            )
        yield stage(step, observation, judgement)
        if judgement.passed:
            self.kept.append((rate, observation))
        else:
            self._overload_goodput = observation.goodput
            self._failed(observation, judgement)
            yield from measured(Step(Kind.DRAIN, 0, self.workers, rate))
        return bool(judgement.passed)

    def _failed(self, observation: Observation, judgement: Judgement) -> None:
        self._failed_at, self._reasons = observation.offered, judgement.reasons

    def _confirm(self, rate: float) -> Plan[Saturation]:
        for attempt in range(self.pace.confirmations):
            if rate < _LOWEST_RATE or (attempt >= self.pace.hurried and self.hurry()):
                break
            whole, failure = yield from self._offer_windows(rate)
            self._cpu_wait = whole.usage.cpu_wait
            if failure is None:
                self.kept.append((rate, whole))
                return self._result(rate, whole, confirmed=True)
            self._refuted = rate
            self._failed(*failure)
            rate /= self.pace.resolution ** (
                2 if self.hurry() else max(1, attempt - 1)
            )  # the last try is surer
        return self.known()

    def _offer_windows(self, rate: float) -> Plan[tuple[Observation, tuple[Observation, Judgement] | None]]:
        """Offer a rate for four windows without a pause.

        Returns:
            All of it, and what failed: the last bad window, or all of them together.
        """
        step, whole, failure = Step(Kind.CONFIRM, self.pace.window, self.workers, rate), None, None
        self._windows = []
        while len(self._windows) < WINDOWS:
            seen = yield from measured(attrs.evolve(step, continues=bool(self._windows)))
            judgement = judge(seen, self.limits, final=True, looks=_LOOKS_AT_WINDOWS)
            whole = join(whole, seen) if whole else seen
            self._windows.append(bool(judgement.passed))
            yield stage(attrs.evolve(step, change=f"window {len(self._windows)}"), seen, judgement)
            failure = failure if judgement.passed else (seen, judgement)
            if self._windows.count(False) > WINDOWS - WINDOWS_NEEDED:
                return whole, failure
        assert whole is not None
        together = judge(whole, self.limits, final=True, looks=_LOOKS_AT_WINDOWS)
        return whole, None if together.passed else (whole, together)
