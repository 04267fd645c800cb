"""Checks the intervals of switchback experiments by simulation: `scripts/bench coverage [--experiments N]`.

The plan that `tune` follows runs in virtual time against a machine whose effects are known. The share of the
intervals that contain the true elasticity should be 95 %. Nothing here measures this machine.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from math import exp, log, pi, sin, sqrt
from pathlib import Path
from random import Random
from statistics import fmean, median
from typing import Any

import attrs

from loadtest_trio.tune.plan.experiments import design
from loadtest_trio.tune.plan.host import Probe
from loadtest_trio.tune.plan.observations import Observation, Slice, Usage
from loadtest_trio.tune.plan.steps import Handicap, Plan, Step, TuneEvent
from loadtest_trio.tune.plan.switchback import TARGET, Trials

WORKERS, RATE = 10, 500.0
TRUTH = {"cpu": 0.8, "size": 0.3, "redis": 0.0, "s3": 0.5, "more workers": 0.1, "fewer workers": 0.4}
_USAGE = Usage(redis_ms=1.0, s3_ms=10.0)
_GUARDED = 1.0  # seconds that a new stage warms up
SECONDS = 137.0


@attrs.frozen
class Noise:
    """What disturbs throughput, as standard deviations of its logarithm.

    Attributes:
        name: Of the scenario.
        window: Independent noise of one second.
        similar: Noise that neighbouring windows share: autoregressive, with `memory`.
        memory: Correlation over one second of the shared noise.
        drift: Random walk over one minute.
        jump: Size of sudden changes, of which there is one a minute on average.
        wave: Amplitude of a wave with the period of the windows.
    """

    name: str
    window: float
    similar: float = 0.0
    memory: float = 0.8
    drift: float = 0.0
    jump: float = 0.0
    wave: float = 0.0


SCENARIOS = (
    Noise("own core", 0.03, drift=0.03),
    Noise("shared machine", 0.07, similar=0.05, drift=0.10),
    Noise("shared machine, host's mood jumps", 0.07, similar=0.05, drift=0.10, jump=0.25),
    Noise("restless neighbour", 0.12, similar=0.10, drift=0.20, jump=0.25),
    Noise("neighbour with the windows' period", 0.05, drift=0.05, wave=0.15),
)


class Machine:
    """A simulated service on a simulated host.

    Args:
        noise: What disturbs it.
        rng: The randomness.
    """

    def __init__(self, noise: Noise, rng: Random) -> None:
        self.clock = 0.0
        self._noise, self._rng = noise, rng
        self._mood, self._similar = 0.0, 0.0
        self._phase = rng.uniform(0, 2 * pi)
        self._size = 1.0
        truth = {each.name: each for each in design(WORKERS, Observation(slices=(), usage=_USAGE))}
        self._effects: dict[tuple[int, Handicap], float] = {
            (each.workers, each.handicap): TRUTH[name] * log(each.factor) for name, each in truth.items()
        }
        self._probe = self._look()

    def run(self, plan: Plan[Any]) -> None:
        """Answer a plan to its end."""
        answer: Observation | None = None
        while True:
            try:
                item = plan.send(answer)
            except StopIteration:
                return
            answer = None if isinstance(item, TuneEvent) else self.measure(item)

    def measure(self, step: Step) -> Observation:
        """Return what one window shows."""
        assert step.switch is not None
        before = self._probe
        self._pass(_GUARDED if step.handicap.size != self._size else step.switch.guard_seconds)
        self._size = step.handicap.size
        self._pass(step.seconds / 2)
        log_rate = log(RATE) + self._effects.get((step.workers, step.handicap), 0.0) + self._disturbance(step)
        self._pass(step.seconds / 2)
        self._probe = self._look()
        done = max(1, round(step.seconds * exp(log_rate)))
        return Observation(
            slices=(Slice(step.seconds, done, done, 100),), usage=_USAGE, probes=(before, self._probe)
        )

    def _disturbance(self, step: Step) -> float:
        noise = self._rng.gauss(0, self._noise.window / sqrt(step.seconds))
        period = 2 * (step.seconds + (step.switch.guard_seconds if step.switch else 0.0))
        wave = self._noise.wave * sin(self._phase + 2 * pi * self.clock / period)
        return self._mood + self._similar + noise + wave

    def _pass(self, seconds: float) -> None:
        """Let time pass: the mood drifts and jumps, the shared noise is forgotten and renewed."""
        noise, rng = self._noise, self._rng
        self.clock += seconds
        self._mood += rng.gauss(0, noise.drift * sqrt(seconds / 60))
        if noise.jump and rng.random() < seconds / 60:
            self._mood += rng.choice((-1, 1)) * noise.jump
        kept = noise.memory**seconds
        self._similar = kept * self._similar + rng.gauss(0, noise.similar * sqrt(1 - kept**2))

    def _look(self) -> Probe:
        """Return the probe's reading, which shows the mood with 3 % of noise."""
        return Probe(speed=exp(self._mood + self._rng.gauss(0, 0.03)), cpu_ms=15.0, wall_ms=15.0)


@attrs.frozen
class Coverage:
    """The result of one scenario.

    Attributes:
        noise: The scenario.
        covered: Of each interval, whether it contains the truth.
        half_widths: Of each interval.
        seconds: Of each simulated run of all experiments.
    """

    noise: Noise
    covered: Sequence[bool]
    half_widths: Sequence[float]
    seconds: Sequence[float]

    @property
    def share(self) -> float:
        """Share of the intervals that contain the truth."""
        return fmean(self.covered)

    @property
    def narrow(self) -> float:
        """Share of the intervals that reach the target."""
        return fmean(each <= TARGET for each in self.half_widths)


def simulate(noise: Noise, runs: int, seconds: float = SECONDS) -> Coverage:
    """Simulate whole runs of all experiments.

    Args:
        noise: The scenario.
        runs: Number of runs, seeded 0, 1, 2 ….
        seconds: Time for each.
    """
    covered, widths, took = [], [], []
    for seed in range(runs):
        machine = Machine(noise, Random(seed))
        trials = Trials(WORKERS)
        machine.run(trials.run(lambda clock=machine: clock.clock > seconds))  # type: ignore[misc]
        for name, found in trials.found.items():
            covered.append(found.low <= TRUTH[name] <= found.high)
            widths.append(found.half_width)
        took.append(machine.clock)
    return Coverage(noise, covered, widths, took)


def table(found: Iterable[Coverage], runs: int) -> str:
    """Return the results as Markdown."""
    lines = [
        f"Simulated experiments, {runs:,} runs of all six in each row; the nominal coverage is 95 %.",
        "",
        f"| host | intervals | coverage % | median half-width | up to {TARGET:g}, % | median seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.noise.name} | {len(each.covered):,} | {100 * each.share:.1f} | "
        f"{median(each.half_widths):.3f} | {100 * each.narrow:.0f} | {median(each.seconds):.0f} |"
        for each in found
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Simulate every scenario and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench coverage", description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000, help="runs of each scenario (1,000)")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    text = table([simulate(each, options.experiments) for each in SCENARIOS], options.experiments)
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
