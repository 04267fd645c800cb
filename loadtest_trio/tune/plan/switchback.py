"""Switchback experiments: change one resource for a second, many times over, and compare throughput. Pure.

    B  s3  B  cpu  B  redis  B │ B  size  B  s3  B …       B: baseline; │: blocks
       └────── every window of an experiment lies between two of the baseline

One long stage with a change against one without mistakes the host's drift for an effect. Windows of a second
that alternate meet the same host, and their number shows how far each one can be trusted (I. Bojinov, D.
Simchi-Levi and J. Zhao, "Design and Analysis of Switchback Experiments", Management Science 69, 2023).

Order: a block has every undecided experiment once, in random order. With even chances it begins with a
further baseline, so a disturbance with the period of the windows meets both kinds alike. Two windows of one
experiment never share a baseline: where they would, one more is inserted, so that their contrasts are
independent.

Carry-over: messages in the workers' hands at a switch began under the old conditions. By Little's law they
are done after workers / rate seconds on average; three times that, and 0.4 s at least (a batch that was
claimed before, settlements on their way), is the guard that passes unmeasured after each switch. Experiments
change what happens to messages and not what is queued, so the queue carries nothing over. Only another file
size needs a new stage, with a warm-up in place of the guard.

Interval: a mixed model, in which each window of an experiment and its two baselines share a random level. In
this balanced design its solution is the mean of the contrasts with Student's t (G. Box, J. Hunter and W.
Hunter, "Statistics for Experimenters", 2nd edition, 2005, chapter 3). A bootstrap over five to ten contrasts
would be too narrow. Stopping depends on the width of the interval only, never on the estimate, and
`elasticity` allows for it. ``scripts/bench coverage`` checks the whole procedure by simulation.
"""

from collections.abc import Callable, Iterator
from random import Random

import attrs

from loadtest_trio.tune.plan.contrasts import BASELINE, Contrast, Window, contrasts, mean_rates, usable
from loadtest_trio.tune.plan.elasticity import Elasticity, elasticity
from loadtest_trio.tune.plan.experiments import Experiment, design, most_workers
from loadtest_trio.tune.plan.observations import Observation, join_all
from loadtest_trio.tune.plan.steps import (
    Handicap,
    Kind,
    Plan,
    PlanInterruptedError,
    Step,
    Switch,
    TuneEvent,
    measured,
)

TARGET = 0.2
"""Half-width of an interval with which an experiment is decided."""

_GUARANTEED = 3  # blocks that are made even when out of time
_WINDOW_MESSAGES = 150  # a window in which fewer are done is too uneven to be short
_MAX_WINDOW_SECONDS = 3.0
_GUARD_SECONDS, _MAX_GUARD_SECONDS, _GUARD_TIMES = 0.4, 1.5, 3.0


@attrs.frozen
class Design:
    """How windows are arranged.

    Attributes:
        seconds: Length of a window; longer, up to 3 s, for a service that does little in it.
        first: Number of contrasts in the first stage; see `elasticity`.
        seed: Seed of the random order.
    """

    seconds: float = 1.2
    first: int = 5
    seed: int = 1


@attrs.define
class Trials:
    """The experiments at one concurrency, and their results so far.

    Args:
        workers: Concurrency of the baseline.
        design: How windows are arranged.

    Attributes:
        windows: All windows in the order they were made.
    """

    workers: int
    design: Design = attrs.field(factory=Design)
    windows: list[Window] = attrs.field(factory=list, init=False)
    _experiments: list[Experiment] = attrs.field(factory=list, init=False)
    _seconds: float = attrs.field(init=False)
    _guard: float = attrs.field(default=_MAX_GUARD_SECONDS, init=False)
    _rng: Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._seconds, self._rng = self.design.seconds, Random(self.design.seed)

    @property
    def baselines(self) -> list[Observation]:
        """The observation of each window of the baseline."""
        return [each.observation for each in self.windows if each.name == BASELINE]

    @property
    def baseline(self) -> Observation:
        """All windows of the baseline joined into one."""
        return join_all(self.baselines)

    @property
    def unchanged(self) -> list[tuple[int, Observation]]:
        """Concurrency and observation of every window without a handicap."""
        workers = {each.name: each.workers for each in self._experiments if each.handicap == Handicap()}
        workers[BASELINE] = self.workers
        return [(workers[each.name], each.observation) for each in self.windows if each.name in workers]

    @property
    def found(self) -> dict[str, Elasticity]:
        """Experiment name -> elasticity, of the experiments with an interval."""
        made = {each: self._contrasts(each) for each in self._experiments}
        return {
            each.name: elasticity([one.value for one in pairs], each.factor, self.design.first)
            for each, pairs in made.items()
            if len(pairs) > 1
        }

    def run(self, out_of_time: Callable[[], bool]) -> Plan[None]:
        """Make blocks until every experiment is decided; log the results then or when interrupted.

        Args:
            out_of_time: Whether time is running out; three blocks are always made.
        """
        try:
            yield from self._begin()
            blocks = 0
            while undecided := self._undecided():
                if blocks >= _GUARANTEED and out_of_time():
                    break
                for experiment in self._block(undecided):
                    yield from self._window(experiment)
                blocks += 1
        except PlanInterruptedError:
            yield from self._events()
            raise
        yield from self._events()

    def _begin(self) -> Plan[None]:
        """Make the first baseline, which determines the experiments and the length of windows."""
        yield from self._window(None)
        first = self.windows[0].observation
        rate = max(first.goodput, 1.0)
        self._experiments = design(self.workers, first)
        self._seconds = max(self._seconds, min(_WINDOW_MESSAGES / rate, _MAX_WINDOW_SECONDS))
        self._guard = min(max(_GUARD_SECONDS, _GUARD_TIMES * self.workers / rate), _MAX_GUARD_SECONDS)

    def _undecided(self) -> list[Experiment]:
        found = self.found
        return [
            each
            for each in self._experiments
            if len(self._contrasts(each)) < self.design.first or found[each.name].half_width > TARGET
        ]

    def _block(self, experiments: list[Experiment]) -> Iterator[Experiment | None]:
        """Yield the windows of one block in order; None is the baseline."""
        previous = self.windows[-2].name if len(self.windows) > 1 else BASELINE
        order = self._rng.sample(experiments, len(experiments))
        if self._rng.random() < 0.5 or order[0].name == previous:
            yield None
        for experiment in order:
            yield experiment
            yield None

    def _window(self, experiment: Experiment | None) -> Plan[None]:
        changed = experiment or Experiment(BASELINE, BASELINE, self.workers, Handicap(), 1.0)
        step = Step(
            Kind.EXPERIMENT,
            self._seconds,
            changed.workers,
            handicap=changed.handicap,
            change=changed.change,
            switch=Switch(self._guard, most_workers(self.workers)),
        )
        seen = yield from measured(step)
        self.windows.append(Window(changed.name, seen))
        yield _window_event(changed, seen)

    def _contrasts(self, experiment: Experiment) -> list[Contrast]:
        return usable(contrasts(self.windows, experiment.name), _GUARANTEED)

    def _events(self) -> Plan[None]:
        found = self.found
        for each in self._experiments:
            if each.name in found:
                yield _experiment_event(each, contrasts(self.windows, each.name), found[each.name])


def _window_event(experiment: Experiment, seen: Observation) -> TuneEvent:
    cpu, wall = (sum(getattr(each, name) for each in seen.probes) for name in ("cpu_ms", "wall_ms"))
    return TuneEvent(
        "tune_window",
        {
            "experiment": experiment.name,
            "change": experiment.change,
            "workers": experiment.workers,
            "seconds": round(seen.seconds, 3),
            "per_second": round(seen.goodput, 2),
            "speed": round(seen.speed, 4),
            "core_share": round(cpu / wall, 4) if wall else None,
            "steal": max((each.steal for each in seen.probes), default=0.0),
            "mhz": seen.probes[-1].mhz if seen.probes else None,
            "cpu_percent": round(100 * seen.usage.cpu, 1),
            "cpu_wait_percent": round(100 * seen.usage.cpu_wait, 1),
        },
    )


def _experiment_event(experiment: Experiment, made: list[Contrast], found: Elasticity) -> TuneEvent:
    used = usable(made, _GUARANTEED)
    before, after = mean_rates(used)
    return TuneEvent(
        "tune_experiment",
        {
            "experiment": experiment.name,
            "change": experiment.change,
            "before_per_second": round(before, 2),
            "after_per_second": round(after, 2),
            "factor": round(experiment.factor, 4),
            "elasticity": round(found.value, 3),
            "low": round(found.low, 3),
            "high": round(found.high, 3),
            "windows": [round(each.value, 4) for each in made],
            "left_out": len(made) - len(used),
            "disturbed": sum(each.disturbed for each in used),
        },
    )
