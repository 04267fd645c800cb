"""Fits the Universal Scalability Law to all closed loops that were measured. Pure.

    X(N) = λN / (1 + σ(N − 1) + κN(N − 1))

λ is the throughput of one worker, σ the share of serial work (contention), and κ the cost of coordination
between workers (coherency), which makes throughput fall beyond N = √((1 − σ) / κ).
Source: N. J. Gunther, "Guerrilla Capacity Planning", Springer 2007, chapter 4.

The same concurrency gives different results from step to step because the machine drifts, and the slices
within one step do not show that drift. So every interval combines a block bootstrap over slices with
Student's t for the additional spread between steps of equal concurrency.
"""

from collections.abc import Mapping, Sequence
from math import inf, log, sqrt
from statistics import fmean
from typing import Any

import attrs

from loadtest_trio.report.extras import need
from loadtest_trio.report.statistics import confidence_interval, resampled_means
from loadtest_trio.tune.plan.observations import Observation
from loadtest_trio.tune.plan.steps import TuneEvent

MIN_CONCURRENCIES = 5
"""Concurrencies needed for a fit: three parameters and two degrees of freedom."""

_RESAMPLES = 200
_SEED = 17
_NEGLIGIBLE = 0.01  # a term that changes throughput by less, at the most workers, is reported as 0


@attrs.frozen
class Point:
    """The measurement of one closed loop.

    Attributes:
        workers: Concurrency.
        observation: The measurement.
    """

    workers: int
    observation: Observation

    @property
    def rate(self) -> float:
        """Messages done a second."""
        return self.observation.goodput


@attrs.frozen
class Curve:
    """A fitted curve.

    Attributes:
        lam: λ, messages per second.
        sigma: σ.
        kappa: κ.
    """

    lam: float
    sigma: float
    kappa: float

    def rate(self, workers: float) -> float:
        """Return X(N)."""
        return self.lam * workers / (1 + self.sigma * (workers - 1) + self.kappa * workers * (workers - 1))

    @property
    def peak_workers(self) -> float:
        """The concurrency with the highest throughput; infinite without coherency cost."""
        return max(1.0, sqrt(max(0.0, 1 - self.sigma) / self.kappa)) if self.kappa > 1e-9 else inf


def fit(workers: Sequence[float], rates: Sequence[float]) -> Curve:
    """Fit the law by least squares on the logarithms (errors are relative).

    Args:
        workers: Concurrencies, three or more different ones.
        rates: Messages a second at each.
    """
    numpy, optimize = need("numpy"), need("scipy.optimize")
    n, x = numpy.asarray(workers, float), numpy.log(numpy.asarray(rates, float))

    def misses(parameters: Any) -> Any:
        log_lam, sigma, kappa = parameters
        return log_lam + numpy.log(n) - numpy.log(1 + sigma * (n - 1) + kappa * n * (n - 1)) - x

    start = (float(x[0] - numpy.log(n[0])), 0.1, 1e-3)
    found = optimize.least_squares(misses, start, bounds=((-inf, 0, 0), (inf, 10, 10)))
    return Curve(float(numpy.exp(found.x[0])), float(found.x[1]), float(found.x[2]))


def scaling(points: Sequence[Point]) -> TuneEvent | None:
    """Return the log line about scaling: points, curve and their intervals.

    Args:
        points: Any number of points per concurrency.

    Returns:
        The line; None with too few different concurrencies.
    """
    levels = _levels(points)
    if len(levels) < MIN_CONCURRENCIES:
        return None
    workers = list(levels)
    rates = [_pooled(steps) for steps in levels.values()]
    samples = _samples(levels)
    curve, curves = fit(workers, rates), [fit(workers, drawn) for drawn in zip(*samples, strict=True)]
    shown = zip(workers, rates, samples, strict=True)
    return TuneEvent(
        "tune_scaling",
        {"points": [_point_fields(*each) for each in shown], **_curve_fields(curve, curves, workers[-1])},
    )


def _curve_fields(curve: Curve, curves: Sequence[Curve], most: int) -> dict[str, Any]:
    """Return the fields of the fit; the peak only if it lies within the measured concurrencies."""
    bounds = {
        "lambda": confidence_interval([each.lam for each in curves]),
        "sigma": confidence_interval([each.sigma for each in curves]),
        "kappa": confidence_interval([each.kappa for each in curves]),
    }
    effects = {"sigma": most - 1, "kappa": most * (most - 1)}
    vanishing = [name for name, effect in effects.items() if bounds[name][0] * effect < _NEGLIGIBLE]
    reached = curve.peak_workers <= most and "kappa" not in vanishing
    told: dict[str, Any] = {
        "lambda": curve.lam,
        "sigma": curve.sigma,
        "kappa": curve.kappa,
        "not_distinguishable_from_0": vanishing,
        "peak_reached": reached,
        "peak_workers": round(curve.peak_workers, 1) if reached else None,
        "peak_rate": curve.rate(curve.peak_workers) if reached else None,
        "intervals": bounds,
    }
    if reached:
        bounds["peak_workers"] = confidence_interval([min(each.peak_workers, most) for each in curves])
        rates = [each.rate(min(each.peak_workers, most)) for each in curves]
        bounds["peak_rate"] = confidence_interval(rates)
    return told


def _levels(points: Sequence[Point]) -> dict[int, list[Observation]]:
    levels: dict[int, list[Observation]] = {}
    for point in sorted(points, key=lambda point: point.workers):
        if point.rate > 0:
            levels.setdefault(point.workers, []).append(point.observation)
    return levels


def _pooled(steps: Sequence[Observation]) -> float:
    return sum(each.goodput * each.seconds for each in steps) / sum(each.seconds for each in steps)


def _samples(levels: Mapping[int, Sequence[Observation]]) -> list[Any]:
    """Return samples of each level's rate: resampled slices times the additional spread between steps."""
    numpy, rng = need("numpy"), need("numpy").random.default_rng(_SEED)
    drift, freedom = between_steps(list(levels.values()))
    drawn = []
    for seed, steps in enumerate(levels.values()):
        slices = [part for step in steps for part in step.slices]
        means = resampled_means(
            [max(each.done, 0.5) for each in slices], [each.seconds for each in slices], seed, _RESAMPLES
        )
        wander = rng.standard_t(freedom, _RESAMPLES) * drift / sqrt(len(steps)) if freedom else 0.0
        drawn.append(means * numpy.exp(wander))
    return drawn


def between_steps(levels: Sequence[Sequence[Observation]]) -> tuple[float, int]:
    """Return the spread between steps of equal concurrency beyond that of their slices, in logarithms.

    Returns:
        The standard deviation and its degrees of freedom: 0 if no concurrency was measured twice.
    """
    squares, freedom, within = 0.0, 0, []
    for steps in levels:
        rates = [log(step.goodput) for step in steps]
        middle = fmean(rates)
        squares += sum((rate - middle) ** 2 for rate in rates)
        freedom += len(steps) - 1
        within += [_variance(step) for step in steps if len(steps) > 1]
    return (sqrt(max(0.0, squares / freedom - fmean(within))), freedom) if freedom else (0.0, 0)


def _variance(step: Observation) -> float:
    """Return the variance of the logarithm of a step's rate, estimated from its slices."""
    rates = [each.rate / step.goodput for each in step.slices]
    return sum((rate - 1) ** 2 for rate in rates) / max(1, len(rates) - 1) / len(rates)


def _point_fields(workers: int, rate: float, sample: Any) -> dict[str, Any]:
    low, high = confidence_interval(sample)
    return {"workers": workers, "rate": round(rate, 2), "low": low, "high": high}
