"""The sweep stops where doubling brings nothing, and the fitted law is the one the data came from."""

from random import Random
from typing import Any

import pytest

from loadtest_trio.tuning.scaling import Curve, Point, fit, scaling, sweep
from loadtest_trio.tuning.steps import Observation, Slice

WORKERS = [1, 2, 4, 8, 16, 32, 64, 128]


def _points(curve: Curve, noise: float, seed: int, slices: int = 6) -> list[Point]:
    rng = Random(seed)
    points = []
    for workers in WORKERS:
        done = [round(curve.rate(workers) * rng.gauss(1, noise)) for _ in range(slices)]
        points.append(Point(workers, Observation(slices=tuple(Slice(1.0, each, each, 0) for each in done))))
    return points


def test_exact_data() -> None:
    """From exact data the parameters come back, and the peak is where theory puts it."""
    truth = Curve(40, 0.05, 0.0005)
    found = fit(WORKERS, [truth.rate(n) for n in WORKERS])
    assert (found.lam, found.sigma, found.kappa) == pytest.approx((40, 0.05, 0.0005), rel=1e-3)
    assert found.peak_workers == pytest.approx((0.95 / 0.0005) ** 0.5, rel=1e-3)


def test_linear_data_has_no_peak() -> None:
    """Without contention and coherency cost the curve is a line."""
    found = fit([1, 2, 4, 8], [10, 20, 40, 80])
    assert found.rate(8) == pytest.approx(80, rel=0.01)
    assert found.peak_workers > 1000


def test_intervals_hold_the_truth() -> None:
    """In 9 of 10 noisy sweeps the interval of the peak rate, widened by 3 %, holds the true one."""
    truth, held = Curve(40, 0.05, 0.001), 0
    peak = truth.rate(truth.peak_workers)
    for seed in range(10):
        line = scaling(_points(truth, 0.1, seed))
        assert line is not None
        low, high = line.fields["intervals"]["peak_rate"]
        held += 0.97 * low <= peak <= 1.03 * high
    assert held >= 9


def test_too_few_points() -> None:
    """Two points give no curve."""
    assert scaling(_points(Curve(40, 0.05, 0.001), 0.0, 1)[:2]) is None


def test_sweep_stops_when_doubling_is_vain(simulated: Any) -> None:
    """With room for 20 workers the sweep ends two doublings after it brought nothing."""
    simulation = simulated.Simulation(
        lambda step, seconds, _, __: round(10 * min(step.workers, 20) * seconds)
    )
    points = simulation.run(sweep(3.0, lambda: False))
    assert [point.workers for point in points] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert max(point.rate for point in points) == 200


def test_sweep_in_a_hurry(simulated: Any) -> None:
    """When time is up, three points are enough."""
    simulation = simulated.Simulation(lambda step, seconds, _, __: round(10 * step.workers * seconds))
    assert len(simulation.run(sweep(3.0, lambda: True))) == 3
