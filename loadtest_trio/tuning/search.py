"""The highest rate that the system sustains: climb, make sure, bisect, confirm. Pure.

    climb  r, 1.5 r, 2.25 r … until a step fails ──► drain, probe the same rate again
              ▲                                            │ passes: it was a passing trouble
              └────────────────────────────────────────────┘ fails: it is real
    bisect between the highest rate that passed and the lowest that failed
    confirm on four windows without a pause; fewer than three pass: a little lower, again

A step goes on until it is judged or has reached its longest time, so steps far from the limit are
short and those near it are long.
"""

from collections.abc import Callable, Iterable
from math import sqrt

import attrs

from loadtest_trio.reporting.histograms import Distribution
from loadtest_trio.tuning.criteria import Judgement, Limits, judge
from loadtest_trio.tuning.steps import Finding, Kind, Observation, Plan, Step, measured

GROWTH = 1.5
WINDOWS, WINDOWS_NEEDED = 4, 3
_LOWEST_RATE = 0.5


@attrs.frozen
class Pace:
    """How long things take, in seconds.

    Attributes:
        shortest: Of a step.
        longest: Of a step.
        window: Of a window of the confirmation.
        resolution: The search ends when the bounds are this close, as a factor.
        confirmations: How often a confirmation is tried at most.
    """

    shortest: float = 4.0
    longest: float = 10.0
    window: float = 8.0
    resolution: float = 1.03
    confirmations: int = 6


@attrs.frozen
class Saturation:
    """The result.

    Attributes:
        offered: The nominal rate that was confirmed, or tried last; 0 when nothing works.
        goodput: Messages done a second at it.
        failed_at: The lowest rate that failed: messages enqueued a second, refills included.
        reasons: Why that one failed.
        windows_passed: Of `WINDOWS`; with fewer than `WINDOWS_NEEDED` the rate is not confirmed.
        observation: What the last confirmation showed.
    """

    offered: float
    goodput: float
    failed_at: float
    reasons: tuple[str, ...]
    windows_passed: int
    observation: Observation | None


@attrs.define
class Search:
    """One search at one concurrency.

    Args:
        workers: Concurrency.
        start: The first rate, well under the limit.
        limits: What a step has to keep.
        pace: How long things take.
        hurry: Whether time is running out; then the search ends with what it knows.
        kept: What the steps showed in which the system kept up.
    """

    workers: int
    start: float
    limits: Limits
    pace: Pace = Pace()
    hurry: Callable[[], bool] = lambda: False
    kept: list[Observation] = attrs.field(factory=list)
    _reasons: tuple[str, ...] = ()
    _failed_at: float = 0.0
    _overload_goodput: float = 0.0
    _guesses_left: int = 2

    def run(self) -> Plan[Saturation]:
        """Search, and return the saturation point."""
        low, high = yield from self._climb()
        while high / max(low, _LOWEST_RATE) > self.pace.resolution and not self.hurry():
            middle = self._between(max(low, _LOWEST_RATE), high)
            if middle <= _LOWEST_RATE:
                break
            judgement = yield from self._probe(Kind.BISECT, middle)
            low, high = (middle, high) if judgement.passed else (low, middle)
        return (yield from self._confirm(low))

    def _between(self, low: float, high: float) -> float:
        """Return the next rate to try: what got through when too much was offered, or the middle.

        Under overload most systems still do what they can, so goodput is a good guess. One that
        collapses does less; after two guesses that turned out too low, plain bisection goes on.
        """
        if self._guesses_left and self._overload_goodput:
            return min(max(self._overload_goodput, low * self.pace.resolution), high / self.pace.resolution)
        return sqrt(low * high)

    def _climb(self) -> Plan[tuple[float, float]]:
        low, rate = 0.0, self.start
        while True:
            judgement = yield from self._probe(Kind.CLIMB, rate)
            if not judgement.passed:
                judgement = yield from self._probe(Kind.PROBE_AGAIN, rate)
            if not judgement.passed and low:
                return low, rate
            low, rate = (rate, rate * GROWTH) if judgement.passed else (0.0, rate / GROWTH**2)
            if rate < _LOWEST_RATE:
                return 0.0, rate

    def _probe(self, kind: Kind, rate: float) -> Plan[Judgement]:
        """Offer a rate until it is judged; after a failure let the system come to rest."""
        step = Step(kind, self.pace.shortest, self.workers, rate)
        observation = yield from measured(step)
        judgement = judge(observation, self.limits)
        more = Step(kind, self.pace.shortest, self.workers, rate, continues=True)
        while judgement.passed is None:
            observation = join(observation, (yield from measured(more)))
            enough = observation.seconds >= self.pace.longest or self.hurry()
            judgement = judge(observation, self.limits, final=enough)
        yield stage(step, observation, judgement)
        if judgement.passed:
            self.kept.append(observation)
            self._guesses_left -= kind is Kind.BISECT and self._guesses_left > 0
        else:
            self._overload_goodput = observation.goodput
            self._failed(observation, judgement)
            yield from measured(Step(Kind.DRAIN, 0, self.workers, rate))
        return judgement

    def _failed(self, observation: Observation, judgement: Judgement) -> None:
        self._failed_at, self._reasons = observation.offered, judgement.reasons

    def _confirm(self, low: float) -> Plan[Saturation]:
        rate, passed, observation = low, 0, None
        for attempt in range(self.pace.confirmations):
            if rate < _LOWEST_RATE:
                return Saturation(0.0, 0.0, self._failed_at, self._reasons, 0, None)
            passed, observation = yield from self._windows(rate)
            if passed >= WINDOWS_NEEDED or self.hurry():
                break
            rate /= self.pace.resolution ** max(1, attempt - 1)
        goodput = observation.goodput if observation else 0.0
        return Saturation(rate, goodput, self._failed_at, self._reasons, passed, observation)

    def _windows(self, rate: float) -> Plan[tuple[int, Observation]]:
        """Offer a rate for four windows without a pause; return how many passed, and all of it."""
        whole: Observation | None = None
        step, passed = Step(Kind.CONFIRM, self.pace.window, self.workers, rate), 0
        worst: tuple[Observation, Judgement] | None = None
        for window in range(WINDOWS):
            observation = yield from measured(attrs.evolve(step, continues=window > 0))
            judgement = judge(observation, self.limits, final=True)
            passed += bool(judgement.passed)
            if not judgement.passed:
                worst = observation, judgement
            whole = join(whole, observation) if whole else observation
            yield stage(attrs.evolve(step, change=f"window {window + 1}"), observation, judgement)
            if window + 1 - passed > WINDOWS - WINDOWS_NEEDED:
                break
        if worst and passed < WINDOWS_NEEDED:
            self._failed(*worst)
        assert whole is not None
        return passed, whole


def join(first: Observation, second: Observation) -> Observation:
    """Return two observations of one step as one; the usage is that of the longer part."""
    longer = first if first.seconds > second.seconds else second
    histograms = first.end_to_end + second.end_to_end
    done = [sum(each.done for each in part.slices) for part in (first, second)]
    mean = (first.mean_ms * done[0] + second.mean_ms * done[1]) / sum(done) if sum(done) else 0.0
    return attrs.evolve(
        longer,
        slices=first.slices + second.slices,
        p99_ms=percentile(histograms) if histograms else second.p99_ms,
        mean_ms=mean,
        end_to_end=histograms,
        errors=first.errors + second.errors,
        schedule_lag_ms=max(first.schedule_lag_ms, second.schedule_lag_ms),
    )


def percentile(encoded: Iterable[str], percent: float = 99.0) -> float | None:
    """Return a percentile of merged histograms, in milliseconds; None when they are empty."""
    whole = Distribution()
    for each in encoded:
        whole.add(each)
    return whole.percentile_ms(percent)


def stage(step: Step, observation: Observation, judgement: Judgement | None = None) -> Finding:
    """Return the line about one step."""
    usage = observation.usage
    return Finding(
        "tune_stage",
        {
            "kind": step.kind,
            "change": step.change,
            "workers": step.workers,
            "nominal_per_second": step.rate,
            "seconds": round(observation.seconds, 3),
            "offered_per_second": round(observation.offered, 2),
            "goodput_per_second": round(observation.goodput, 2),
            "passed": judgement.passed if judgement else None,
            "reasons": list(judgement.reasons) if judgement else [],
            "backlog": observation.backlog,
            "p99_ms": observation.p99_ms,
            "mean_ms": round(observation.mean_ms, 3),
            "error_percent": round(100 * observation.error_share, 3),
            "schedule_lag_ms": observation.schedule_lag_ms,
            "cpu_percent": round(100 * usage.cpu, 1),
            "memory_mb": usage.memory_mb,
            "usage": {k: round(v, 4) for k, v in attrs.asdict(usage).items() if v is not None},
        },
    )
