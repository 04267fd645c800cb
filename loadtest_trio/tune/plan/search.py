"""Searches for the highest rate that the system sustains: climb, bisect, confirm. Pure.

    climb    r, 1.5 r, 2.25 r … until a step fails ──► drain, probe the same rate again
                ▲                                            │ passes: the trouble was transient
                └────────────────────────────────────────────┘ fails: this is the upper bound
    bisect   between the highest rate that passed and the lowest that failed; failures are probed again
    confirm  in four windows without a pause; three of them, and all four taken together, must pass;
             otherwise try again at a slightly lower rate

A step continues until it can be judged or reaches its maximum length, so steps far from the limit are short
and steps near it are long. A step during which the host's speed changes (`host`) is made again; when it has
changed between steps, the bounds follow it.
"""

from collections.abc import Callable
from math import ceil, inf, log, sqrt

import attrs

from loadtest_trio.tune.plan.criteria import NEGLIGIBLE_GROWTH, Judgement, Limits, judge
from loadtest_trio.tune.plan.host import CHANGE, changed
from loadtest_trio.tune.plan.observations import Observation, join
from loadtest_trio.tune.plan.steps import Kind, Plan, Step, TuneEvent, measured, stage_event
from loadtest_trio.tune.plan.threshold import rate_interval

GROWTH = 1.5
WINDOWS, WINDOWS_NEEDED = 4, 3
_LOWEST_RATE = 0.5
_LOOKS_AT_WINDOWS = 2  # each window by itself, and all together


@attrs.frozen
class StepDurations:
    """How long the steps of a search take, in seconds, and when it ends.

    Attributes:
        shortest: Minimum length of a step.
        longest: Maximum length of a step.
        window: Length of one confirmation window.
        resolution: The search ends when upper bound / lower bound falls to this factor.
        confirmations: Maximum number of confirmations.
        guaranteed_confirmations: Confirmations made even when out of time; the caller reserves time for them.
    """

    shortest: float = 4.0
    longest: float = 8.0
    window: float = 6.0
    resolution: float = 1.03
    confirmations: int = 6
    guaranteed_confirmations: int = 2

    @property
    def looks(self) -> int:
        """Maximum number of times that a step is judged."""
        return ceil(self.longest / self.shortest)


@attrs.frozen
class Saturation:
    """The saturation point.

    Attributes:
        offered: The confirmed nominal rate; failing that, the highest rate that passed a step and was not
            refuted by a confirmation; 0 if no rate passed.
        goodput: Messages done per second at that rate.
        failed_at: The rate that failed last, hence the lowest: messages enqueued per second with refills.
        reasons: Why that rate failed.
        confirmed: Whether `offered` was confirmed.
        windows: Number of windows in the last confirmation.
        windows_passed: How many of them passed.
        observation: The measurement at `offered`.
        cpu_wait: Share of the last confirmation in which the process waited for a core.
        speed: The host's speed at that rate.
        interval: Ends of the rate's 95 % interval, normalised to speed 1; None if it is not known.
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
    speed: float = 1.0
    interval: tuple[float, float] | None = None


@attrs.define
class Search:
    """One search at one concurrency.

    Args:
        workers: Concurrency.
        start: The first rate, well under the limit.
        limits: Criteria for a step to pass.
        durations: How long steps take.
        out_of_time: Whether time is running out; the search then ends with the result so far.
        sustained: Nominal rates at which the system kept up, with their observations.
        guesses_left: How often the goodput under overload is tried as a rate; 0 if rates count users.
    """

    workers: int
    start: float
    limits: Limits
    durations: StepDurations = StepDurations()
    out_of_time: Callable[[], bool] = lambda: False
    sustained: list[tuple[float, Observation]] = attrs.field(factory=list)
    _reasons: tuple[str, ...] = ()
    _failed_at: float = 0.0
    _refuted: float = inf
    _windows: list[bool] = attrs.field(factory=list)
    _cpu_wait: float = 0.0
    _overload_goodput: float = 0.0
    guesses_left: int = 2
    _offers: list[tuple[float, bool]] = attrs.field(factory=list)
    _repeats_left: int = 6
    _speeds: list[float] = attrs.field(factory=list)

    def run(self) -> Plan[Saturation]:
        """Search, and return the saturation point."""
        low, high = yield from self._climb()
        while high / max(low, _LOWEST_RATE) > self.durations.resolution and not self.out_of_time():
            middle = self._between(max(low, _LOWEST_RATE), high)
            if middle <= _LOWEST_RATE:
                break
            passed = yield from self._try(Kind.BISECT, middle)
            low, high = (middle, high) if passed else (low, middle)
            change = yield from self._follow_host()
            low, high = change * low, change * high
        return (yield from self._confirm(low))

    def known(self) -> Saturation:
        """Return the best result without a confirmation."""
        sound = [each for each in self.sustained if each[0] < self._refuted]
        rate, seen = max(sound, key=lambda each: each[0], default=(0.0, None))
        return self._result(rate, seen, confirmed=False)

    def _result(self, rate: float, seen: Observation | None, *, confirmed: bool) -> Saturation:
        return Saturation(
            offered=rate,
            goodput=min(seen.goodput, seen.offered) if seen else 0.0,  # do not count messages queued earlier
            failed_at=self._failed_at,
            reasons=self._reasons,
            confirmed=confirmed,
            windows=len(self._windows),
            windows_passed=sum(self._windows),
            observation=seen,
            cpu_wait=self._cpu_wait,
            speed=seen.speed if seen else 1.0,
            interval=rate_interval(self._offers),
        )

    def _between(self, low: float, high: float) -> float:
        """Return the next rate to try: the goodput under overload, or the geometric mean of the bounds.

        Most systems still work at full capacity under overload, so their goodput is a good guess. A system
        that collapses does less; after two guesses that turn out too low, the search uses plain bisection.
        """
        if self.guesses_left and self._overload_goodput:
            return min(
                max(self._overload_goodput, low * self.durations.resolution), high / self.durations.resolution
            )
        return sqrt(low * high)

    def _climb(self) -> Plan[tuple[float, float]]:
        low, rate = 0.0, self.start
        while True:
            passed = yield from self._try(Kind.CLIMB, rate)
            change = yield from self._follow_host()
            low, rate = change * low, change * rate
            if not passed and low:
                return low, rate
            low, rate = (rate, rate * GROWTH) if passed else (0.0, rate / GROWTH**2)
            if rate < _LOWEST_RATE:
                return 0.0, rate

    def _try(self, kind: Kind, rate: float) -> Plan[bool]:
        """Probe a rate, and probe it again if it fails, to tell transient trouble from a limit."""
        before = self._failed_at, self._reasons
        passed = yield from self._probe(kind, rate)
        if not passed:
            passed = yield from self._probe(Kind.PROBE_AGAIN, rate)
            if passed:
                self._failed_at, self._reasons = before
        self.guesses_left -= passed and kind is Kind.BISECT and self.guesses_left > 0
        return passed

    def _probe(self, kind: Kind, rate: float) -> Plan[bool]:
        """Offer a rate and note the result; after a failure let the system come to rest."""
        step = Step(kind, self.durations.shortest, self.workers, rate)
        observation, judgement = yield from self._offer(step)
        if judgement.passed:
            self.sustained.append((rate, observation))
        else:
            self._overload_goodput = observation.goodput
            self._failed(observation, judgement)
            yield from measured(Step(Kind.DRAIN, 0, self.workers, rate))
        return bool(judgement.passed)

    def _offer(self, step: Step) -> Plan[tuple[Observation, Judgement]]:
        """Make a step until it can be judged; once more if the host changed meanwhile."""
        while True:
            observation, judgement = yield from self._judged(step)
            if not (changed(observation.probes) and self._repeats_left):
                self._note(observation, passed=bool(judgement.passed))
                return observation, judgement
            yield self._repeated(f"{step.kind} at {step.rate or 0:,.0f}/s made again", observation)
            yield from measured(Step(Kind.DRAIN, 0, self.workers, step.rate))

    def _judged(self, step: Step) -> Plan[tuple[Observation, Judgement]]:
        observation = yield from measured(step)
        judgement = judge(observation, self.limits, looks=self.durations.looks, growth=NEGLIGIBLE_GROWTH)
        more = attrs.evolve(step, continues=True)
        while judgement.passed is None:
            observation = join(observation, (yield from measured(more)))
            enough = observation.seconds >= self.durations.longest or self.out_of_time()
            judgement = judge(
                observation, self.limits, final=enough, looks=self.durations.looks, growth=NEGLIGIBLE_GROWTH
            )
        yield stage_event(step, observation, judgement)
        return observation, judgement

    def _note(self, observation: Observation, *, passed: bool) -> None:
        """Remember an offer at the host's speed of its time, for the interval of the rate."""
        self._offers.append((observation.offered / observation.speed, passed))
        self._speeds.append(observation.speed)

    def _repeated(self, what: str, observation: Observation) -> TuneEvent:
        """Count a repetition, and return its log line."""
        self._repeats_left -= 1
        first, last = observation.probes[0].speed, observation.probes[-1].speed
        return _host_changed(what, first, last)

    def _follow_host(self) -> Plan[float]:
        """Return the factor by which the host's speed has changed; 1 if that is within noise."""
        before, now = self._speeds[0], self._speeds[-1]
        if abs(log(now / before)) <= CHANGE:
            return 1.0
        self._speeds = [now]
        yield _host_changed("the rates of the search follow", before, now)
        return now / before

    def _failed(self, observation: Observation, judgement: Judgement) -> None:
        self._failed_at, self._reasons = observation.offered, judgement.reasons

    def _confirm(self, rate: float) -> Plan[Saturation]:
        for attempt in range(self.durations.confirmations):
            if rate < _LOWEST_RATE or (
                attempt >= self.durations.guaranteed_confirmations and self.out_of_time()
            ):
                break
            whole, failure = yield from self._offer_windows(rate)
            self._cpu_wait = whole.usage.cpu_wait
            if failure is None:
                self.sustained.append((rate, whole))
                return self._result(rate, whole, confirmed=True)
            self._refuted = rate
            self._failed(*failure)
            rate *= yield from self._follow_host()
            # Later attempts go down in larger steps, because they have to succeed.
            rate /= self.durations.resolution ** (2 if self.out_of_time() else max(1, attempt - 1))
        return self.known()

    def _offer_windows(self, rate: float) -> Plan[tuple[Observation, tuple[Observation, Judgement] | None]]:
        """Offer a rate for four windows without a pause.

        Returns:
            The observation of all windows, and what failed: the last bad window, or all windows together.
        """
        step, whole, failure = Step(Kind.CONFIRM, self.durations.window, self.workers, rate), None, None
        self._windows, repeated = [], False
        while len(self._windows) < WINDOWS:
            seen = yield from measured(attrs.evolve(step, continues=whole is not None or repeated))
            judgement = judge(seen, self.limits, final=True, looks=_LOOKS_AT_WINDOWS)
            if repeated := changed(seen.probes) and self._repeats_left > 0:
                yield self._repeated(f"window {len(self._windows) + 1} at {rate:,.0f}/s made again", seen)
                continue
            self._note(seen, passed=bool(judgement.passed))
            whole = join(whole, seen) if whole else seen
            self._windows.append(bool(judgement.passed))
            yield stage_event(attrs.evolve(step, change=f"window {len(self._windows)}"), seen, judgement)
            failure = failure if judgement.passed else (seen, judgement)
            if self._windows.count(False) > WINDOWS - WINDOWS_NEEDED:
                return whole, failure
        assert whole is not None
        together = judge(whole, self.limits, final=True, looks=_LOOKS_AT_WINDOWS)
        return whole, None if together.passed else (whole, together)


def _host_changed(what: str, before: float, after: float) -> TuneEvent:
    """Return the log line of a change of the host's speed, with what the search does about it."""
    return TuneEvent(
        "tune_host_changed", {"before": round(before, 4), "after": round(after, 4), "repeated": what}
    )
