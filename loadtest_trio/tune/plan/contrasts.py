"""Windows of switchback experiments, and what each says: its contrast with the baselines beside it. Pure."""

from collections.abc import Sequence
from math import exp, log
from statistics import fmean

import attrs

from loadtest_trio.tune.plan.host import changed
from loadtest_trio.tune.plan.observations import Observation

BASELINE = "baseline"


@attrs.frozen
class Window:
    """One window of constant conditions.

    Attributes:
        name: The experiment's name, or `BASELINE`.
        observation: Its measurement.
    """

    name: str
    observation: Observation

    @property
    def log_rate(self) -> float:
        """Logarithm of the messages done a second; half a message counts where none was done."""
        done = sum(each.done for each in self.observation.slices)
        return log(max(0.5, done) / self.observation.seconds)


@attrs.frozen
class Contrast:
    """A window of an experiment against the baselines before and after it.

    Attributes:
        before: Logarithm of the baselines' rate: the mean of both.
        after: Logarithm of the window's rate.
        disturbed: Whether the host's speed changed in between; such a contrast is measured again.
    """

    before: float
    after: float
    disturbed: bool

    @property
    def value(self) -> float:
        """The effect on the logarithm of throughput."""
        return self.after - self.before


def contrasts(windows: Sequence[Window], name: str) -> list[Contrast]:
    """Return the contrasts of one experiment.

    Args:
        windows: All windows in order; an experiment's window lies between two baselines, except at the end.
        name: The experiment.
    """
    found = []
    for before, window, after in zip(windows, windows[1:], windows[2:], strict=False):
        if window.name == name and before.name == after.name == BASELINE:
            probes = [*before.observation.probes, *window.observation.probes, *after.observation.probes]
            beside = (before.log_rate + after.log_rate) / 2
            found.append(Contrast(beside, window.log_rate, changed(probes)))
    return found


def usable(found: Sequence[Contrast], fewest: int) -> list[Contrast]:
    """Return the undisturbed contrasts; all of them if the host is too restless for the fewest needed."""
    sound = [each for each in found if not each.disturbed]
    return sound if len(sound) >= fewest else list(found)


def mean_rates(found: Sequence[Contrast]) -> tuple[float, float]:
    """Return the geometric mean of messages a second before and after the change."""
    return exp(fmean(each.before for each in found)), exp(fmean(each.after for each in found))
