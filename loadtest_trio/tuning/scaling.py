"""Throughput against concurrency: the sweep, and the Universal Scalability Law fitted to it. Pure.

    X(N) = λN / (1 + σ(N − 1) + κN(N − 1))

λ is what one worker does alone, σ the share that waits in line (contention), κ the cost of keeping
workers in step (coherency), which makes throughput fall beyond N = √((1 − σ) / κ).
Source: N. J. Gunther, "Guerrilla Capacity Planning", Springer 2007, chapter 4.
"""

from collections.abc import Callable, Sequence
from math import inf, sqrt
from typing import Any

import attrs

from loadtest_trio.reporting.extras import need
from loadtest_trio.reporting.statistics import interval, resampled_means
from loadtest_trio.tuning.search import stage
from loadtest_trio.tuning.steps import Finding, Kind, Observation, Plan, Step, measured

MOST_WORKERS = 256
_WORTHWHILE = 1.05  # a doubling that brings less than 5 % brings nothing
_RESAMPLES = 100


@attrs.frozen
class Point:
    """One concurrency of the sweep.

    Attributes:
        workers: Concurrency.
        observation: What it showed.
    """

    workers: int
    observation: Observation

    @property
    def rate(self) -> float:
        """Messages done a second."""
        return self.observation.goodput


def sweep(seconds: float, hurry: Callable[[], bool], most: int = MOST_WORKERS) -> Plan[list[Point]]:
    """Double the workers of a closed loop until two doublings in a row bring nothing.

    Args:
        seconds: Of each step.
        hurry: Whether time is running out.
        most: More workers are not tried.
    """
    points: list[Point] = []
    workers, vain, best = 1, 0, 0.0
    while workers <= most and vain < 2 and not (hurry() and len(points) >= 3):
        step = Step(Kind.SWEEP, seconds, workers)
        point = Point(workers, (yield from measured(step)))
        yield stage(step, point.observation)
        vain = 0 if point.rate > _WORTHWHILE * best else vain + 1
        best = max(best, point.rate)
        points.append(point)
        workers *= 2
    return points


@attrs.frozen
class Curve:
    """A fitted curve.

    Attributes:
        lam: λ, messages a second.
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
        """Where throughput is highest; infinite without coherency cost."""
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


def scaling(points: Sequence[Point]) -> Finding | None:
    """Return the line about the sweep: points, curve and their intervals; None with too few points."""
    numpy = need("numpy")
    usable = [point for point in points if point.rate > 0]
    if len(usable) < 3:
        return None
    workers = [point.workers for point in usable]
    curve = fit(workers, [point.rate for point in usable])
    samples = [_resampled(point, seed) for seed, point in enumerate(usable)]
    curves = [fit(workers, rates) for rates in numpy.transpose(samples)]
    best = min(curve.peak_workers, workers[-1])
    return Finding(
        "tune_scaling",
        {
            "points": [_shown(point, sample) for point, sample in zip(usable, samples, strict=True)],
            "lambda": curve.lam,
            "sigma": curve.sigma,
            "kappa": curve.kappa,
            "peak_workers": round(best, 1),
            "peak_rate": curve.rate(best),
            "intervals": {
                "lambda": interval([each.lam for each in curves]),
                "sigma": interval([each.sigma for each in curves]),
                "kappa": interval([each.kappa for each in curves]),
                "peak_rate": interval([each.rate(min(each.peak_workers, workers[-1])) for each in curves]),
            },
        },
    )


def _resampled(point: Point, seed: int) -> Any:
    slices = point.observation.slices
    done, seconds = [max(each.done, 0.5) for each in slices], [each.seconds for each in slices]
    return resampled_means(done, seconds, seed, _RESAMPLES)


def _shown(point: Point, sample: Any) -> dict[str, Any]:
    low, high = interval(sample)
    return {"workers": point.workers, "rate": round(point.rate, 2), "low": low, "high": high}
