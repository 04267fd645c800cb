"""The sweep stops when doubling gains nothing, and the fit recovers the law behind the data."""

from random import Random
from typing import Any

import pytest

from loadtest_trio.tune.plan.observations import Observation, Slice
from loadtest_trio.tune.plan.plan import sweep
from loadtest_trio.tune.plan.scaling import Curve, Point, between_steps, fit, scaling

WORKERS = [1, 2, 4, 8, 16, 32, 64, 128]


def _points(curve: Curve, noise: float, seed: int, slices: int = 6) -> list[Point]:
    rng = Random(seed)
    points = []
    for workers in WORKERS:
        done = [round(curve.rate(workers) * rng.gauss(1, noise)) for _ in range(slices)]
        points.append(Point(workers, Observation(slices=tuple(Slice(1.0, each, each, 0) for each in done))))
    return points


def test_fit_recovers_parameters() -> None:
    """From exact data the fit recovers the parameters and the theoretical peak."""
    truth = Curve(40, 0.05, 0.0005)
    found = fit(WORKERS, [truth.rate(n) for n in WORKERS])
    assert (found.lam, found.sigma, found.kappa) == pytest.approx((40, 0.05, 0.0005), rel=1e-3)
    assert found.peak_workers == pytest.approx((0.95 / 0.0005) ** 0.5, rel=1e-3)


def test_linear_data_has_no_peak() -> None:
    """Without contention and coherency cost the curve is a straight line."""
    found = fit([1, 2, 4, 8], [10, 20, 40, 80])
    assert found.rate(8) == pytest.approx(80, rel=0.01)
    assert found.peak_workers > 1000


def test_peak_interval_contains_true_peak() -> None:
    """In 9 of 10 noisy sweeps the interval of the peak rate, widened by 3 %, contains the true peak."""
    truth, held = Curve(40, 0.05, 0.001), 0
    peak = truth.rate(truth.peak_workers)
    for seed in range(10):
        line = scaling(_points(truth, 0.1, seed))
        assert line is not None
        low, high = line.fields["intervals"]["peak_rate"]
        held += 0.97 * low <= peak <= 1.03 * high
    assert held >= 9


def _drifting(curve: Curve, drift: float, seed: int, repeats: int = 6) -> list[Point]:
    """Steps that differ from one another by more than their slices do; one concurrency is repeated."""
    rng, points = Random(seed), []
    for workers in (*WORKERS, *[10] * repeats):
        middle = curve.rate(workers) * rng.gauss(1, drift)
        slices = tuple(
            Slice(1.0, each, each, 0) for each in (round(middle * rng.gauss(1, 0.02)) for _ in range(6))
        )
        points.append(Point(workers, Observation(slices=slices)))
    return points


def test_drift_between_steps_is_estimated() -> None:
    """The extra spread between repeated steps is estimated within a third, on average."""
    truth, spreads = Curve(40, 0.05, 0.001), []
    for seed in range(30):
        points = [point for point in _drifting(truth, 0.08, seed) if point.workers == 10]
        spread, freedom = between_steps([[point.observation for point in points]])
        assert freedom == 5
        spreads.append(spread)
    assert sum(spreads) / 30 == pytest.approx(0.08, rel=0.33)
    assert between_steps([[points[0].observation]]) == (0.0, 0)


def test_intervals_contain_truth_despite_drift() -> None:
    """With 8 % drift between steps and 2 % noise between slices, 9 of 10 intervals contain the truth."""
    truth, held, all_points = Curve(40, 0.05, 0.001), 0, 0
    for seed in range(20):
        line = scaling(_drifting(truth, 0.08, seed))
        assert line is not None
        for point in line.fields["points"]:
            held += point["low"] <= truth.rate(point["workers"]) <= point["high"]
            all_points += 1
    assert held / all_points >= 0.9


def test_too_few_concurrencies_give_no_curve() -> None:
    """Four concurrencies give no curve, however often they are measured."""
    points = _points(Curve(40, 0.05, 0.001), 0.0, 1)
    assert scaling(points[:4] * 3) is None
    assert scaling(points[:5]) is not None


def test_peak_beyond_measured_range_is_not_reported() -> None:
    """If the curve still rises at 8 workers, neither a peak nor an insignificant κ is reported."""
    found = scaling(_points(Curve(40, 0.2, 1e-5), 0.02, 1)[:4] + _points(Curve(40, 0.2, 1e-5), 0.02, 2)[4:5])
    assert found is not None
    assert found.fields["peak_reached"] is False
    assert (found.fields["peak_workers"], found.fields["peak_rate"]) == (None, None)
    assert found.fields["not_distinguishable_from_0"] == ["kappa"]


def test_sweep_stops_after_two_gainless_doublings(simulated: Any) -> None:
    """With room for 20 workers the sweep ends after two doublings without gain."""
    simulation = simulated.Simulation(
        lambda step, seconds, _, __: round(10 * min(step.workers, 20) * seconds)
    )
    points: list[Point] = []
    simulation.run(sweep(3.0, lambda: False, points))
    assert [point.workers for point in points] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert max(point.rate for point in points) == 200


def test_out_of_time_sweep_makes_enough_points_for_a_fit(simulated: Any) -> None:
    """When time is up, the sweep still makes the points that a fit needs."""
    simulation = simulated.Simulation(lambda step, seconds, _, __: round(10 * step.workers * seconds))
    points: list[Point] = []
    simulation.run(sweep(3.0, lambda: True, points))
    assert [point.workers for point in points] == [1, 2, 4, 8, 16]
