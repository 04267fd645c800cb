"""The search finds a known capacity, in virtual time, through noise."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.search import Pace, Saturation, Search
from loadtest_trio.tune.plan.steps import Finding, Kind

ANY_LATENCY = Limits(objective_p99_ms=1e9)


def _search(simulation: Any, start: float, limits: Limits = ANY_LATENCY, **more: Any) -> Saturation:
    found: Saturation = simulation.run(Search(10, start, limits, **more).run())
    return found


def _hits(make: Callable[[Random], Any], capacity: float, seeds: int) -> int:
    hits = 0
    for seed in range(seeds):
        rng = Random(seed)
        found = _search(make(rng), capacity * rng.uniform(0.2, 0.5))
        hits += abs(found.offered / capacity - 1) <= 0.05
    return hits


def test_cpu_wall(simulated: Any) -> None:
    """A hard wall of 300/s with 10 % noise: within 5 % in 95 of 100 seeded runs."""
    assert _hits(lambda rng: simulated.wall(300, 0.1, rng), 300, 100) >= 95


def test_mmc(simulated: Any) -> None:
    """M/M/8 at 50/s a server, its pace disturbed by 10 %: within 5 % in 95 of 100 seeded runs."""
    assert _hits(lambda rng: simulated.mmc(8, 50, 0.1, rng), 400, 100) >= 95


@pytest.mark.parametrize(
    ("limit", "capacity"), [({"throttle": 300.0}, 300), ({"redis_ms": 20.0}, 500), ({"bandwidth": 60e6}, 300)]
)
def test_other_limits(simulated: Any, limit: dict[str, float], capacity: float) -> None:
    """An S3 that throttles at R, a Redis of fixed latency, a narrow network: within 5 % in 95 of 100."""

    def make(rng: Random) -> Any:
        model = simulated.Modelled(rng, cpu_ms=0.01, s3_ms=0.1, **limit)
        return model.simulation()

    assert _hits(make, capacity, 100) >= 95


def test_without_noise(simulated: Any) -> None:
    """Without noise the result is within the resolution, and takes less than two minutes."""
    simulation = simulated.wall(300, 0.0, Random(1))
    found = _search(simulation, 90)
    assert found.offered == pytest.approx(300, rel=0.03)
    assert found.windows_passed >= 3
    assert simulation.clock < 120


def test_collapse(simulated: Any) -> None:
    """A system that does a tenth when overloaded is found at its limit all the same."""

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        return round((200 if waiting < 100 else 20) * seconds)

    found = _search(simulated.Simulation(serve), 60)
    assert found.offered == pytest.approx(200, rel=0.05)


def test_passing_trouble(simulated: Any) -> None:
    """One bad step is probed again, passes, and the climb goes on past it."""
    trouble = {"left": 5}

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        if step.kind is Kind.CLIMB and step.rate and step.rate > 120 and trouble["left"]:
            trouble["left"] -= 1
            return 10
        return round(400 * seconds)

    simulation = simulated.Simulation(serve)
    found = _search(simulation, 100)
    assert Kind.PROBE_AGAIN in [step.kind for step in simulation.steps]
    assert found.offered == pytest.approx(400, rel=0.04)


def test_drains_after_each_failure(simulated: Any) -> None:
    """After a failed step the system comes to rest before anything else is tried."""
    simulation = simulated.wall(300, 0.0, Random(1))
    _search(simulation, 100)
    failed = [finding for finding in simulation.findings if finding.fields["passed"] is False]
    probes = [finding for finding in failed if finding.fields["kind"] != Kind.CONFIRM]
    assert len([step for step in simulation.steps if step.kind is Kind.DRAIN]) == len(probes) > 0


def test_objective(simulated: Any) -> None:
    """The rate at which p99 passes the objective is the limit, though throughput could go on."""

    def latency(backlog: int, rate: float) -> float:
        return 10 + 90 * rate / 200

    simulation = simulated.Simulation(lambda step, seconds, _, __: 10_000, latency_ms=latency)
    found = _search(simulation, 50, Limits(objective_p99_ms=100))
    assert found.offered == pytest.approx(200, rel=0.04)
    assert "over the objective" in found.reasons[0]


def test_errors(simulated: Any) -> None:
    """The rate at which more than 1 % of the attempts fail is the limit."""
    simulation = simulated.Simulation(
        lambda step, seconds, _, __: 10_000, errors=lambda step, offered: max(0.0, offered - 150)
    )
    found = _search(simulation, 50)
    assert found.offered == pytest.approx(151.5, rel=0.04)
    assert "attempts fail" in found.reasons[0]


def test_start_above_the_limit(simulated: Any) -> None:
    """A first rate that is too high is taken back."""
    assert _search(simulated.wall(100, 0.0, Random(1)), 1000).offered == pytest.approx(100, rel=0.04)


def test_nothing_works(simulated: Any) -> None:
    """A system that does nothing has no saturation point; the search ends and says so."""
    found = _search(simulated.Simulation(lambda *_: 0), 100)
    assert (found.offered, found.goodput) == (0, 0)


def test_steps_are_long_only_near_the_limit(simulated: Any) -> None:
    """Far from the limit a step takes the shortest time; near it, longer."""
    simulation = simulated.wall(300, 0.1, Random(4))
    _search(simulation, 60)
    seconds = {}
    for finding in simulation.findings:
        if finding.fields["kind"] in (Kind.CLIMB, Kind.BISECT):
            seconds[finding.fields["nominal_per_second"]] = finding.fields["seconds"]
    far = [each for rate, each in seconds.items() if rate < 200]
    near = [each for rate, each in seconds.items() if 280 < rate < 320]
    assert max(far) == Pace().shortest
    assert max(near) > Pace().shortest


def test_in_a_hurry(simulated: Any) -> None:
    """When time is up, the search confirms what it has instead of bisecting on."""
    simulation = simulated.wall(300, 0.0, Random(1))
    found = _search(simulation, 100, hurry=lambda: simulation.clock > 20)
    assert Kind.BISECT not in [step.kind for step in simulation.steps]
    assert found.offered == 225
    assert found.confirmed


def test_two_confirmations_also_in_a_hurry(simulated: Any) -> None:
    """A rate that was refuted is tried once more, lower; then the highest sound rate is the answer."""

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        return round((100 if step.kind is Kind.CONFIRM else 1000) * seconds)

    simulation = simulated.Simulation(serve)
    found = _search(simulation, 900, hurry=lambda: True)
    confirmed = {step.rate for step in simulation.steps if step.kind is Kind.CONFIRM}
    assert len(confirmed) == 2
    assert not found.confirmed
    assert found.offered < min(confirmed)
    assert (found.windows, found.windows_passed) == (2, 0)


def test_a_failed_bisection_is_tried_again(simulated: Any) -> None:
    """One bad bisection is passing trouble as much as one bad step of the climb."""
    trouble = {"left": 5}

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        if step.kind is Kind.BISECT and trouble["left"]:
            trouble["left"] -= 1
            return 10
        return round(300 * seconds)

    simulation = simulated.Simulation(serve)
    found = _search(simulation, 90)
    assert found.offered == pytest.approx(300, rel=0.04)
    kinds = [step.kind for step in simulation.steps if step.seconds and not step.continues]
    assert kinds[kinds.index(Kind.BISECT) + 1] is Kind.PROBE_AGAIN


def test_slow_growth_is_refuted(simulated: Any) -> None:
    """1 % too much passes every window by itself; all of them together show the growth."""

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        limit = 297 if step.kind is Kind.CONFIRM else 300
        return round(limit * seconds)

    found = _search(simulated.Simulation(serve), 300 / 1.5**2)
    assert found.confirmed
    assert found.offered <= 297


def test_interrupted(simulated: Any) -> None:
    """A search that is cut short knows the highest rate that passed."""
    search = Search(10, 90, ANY_LATENCY)
    simulation = simulated.wall(300, 0.0, Random(1))
    plan, answer = search.run(), None
    while len(search.kept) < 3:
        item = plan.send(answer)
        answer = None if isinstance(item, Finding) else simulation.measure(item)
    known = search.known()
    assert known.offered == pytest.approx(202.5)
    assert not known.confirmed
