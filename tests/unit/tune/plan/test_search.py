"""The search finds a known capacity through noise, in virtual time."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.search import Saturation, Search, StepDurations
from loadtest_trio.tune.plan.steps import Kind, TuneEvent
from loadtest_trio.tune.plan.threshold import rate_interval

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


def test_hard_limit_is_found(simulated: Any) -> None:
    """A hard limit of 300/s with 10 % noise is found within 5 % in 95 of 100 seeded runs."""
    assert _hits(lambda rng: simulated.wall(300, 0.1, rng), 300, 100) >= 95


def test_mmc_capacity_is_found(simulated: Any) -> None:
    """M/M/8 at 50/s per server, with 10 % noise, is found within 5 % in 95 of 100 seeded runs."""
    assert _hits(lambda rng: simulated.mmc(8, 50, 0.1, rng), 400, 100) >= 95


@pytest.mark.parametrize(
    ("limit", "capacity"), [({"throttle": 300.0}, 300), ({"redis_ms": 20.0}, 500), ({"bandwidth": 60e6}, 300)]
)
def test_s3_redis_and_network_limits_are_found(
    simulated: Any, limit: dict[str, float], capacity: float
) -> None:
    """Throttling by S3, a Redis of fixed latency, and a narrow network: within 5 % in 95 of 100 runs."""

    def make(rng: Random) -> Any:
        model = simulated.Modelled(rng, cpu_ms=0.01, s3_ms=0.1, **limit)
        return model.simulation()

    assert _hits(make, capacity, 100) >= 95


def test_without_noise_result_is_within_resolution(simulated: Any) -> None:
    """Without noise the result is within the resolution, in less than two minutes."""
    simulation = simulated.wall(300, 0.0, Random(1))
    found = _search(simulation, 90)
    assert found.offered == pytest.approx(300, rel=0.03)
    assert found.windows_passed >= 3
    assert simulation.clock < 120


def test_limit_of_collapsing_system_is_found(simulated: Any) -> None:
    """The search finds the limit of a system that does only a tenth under overload."""

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        return round((200 if waiting < 100 else 20) * seconds)

    found = _search(simulated.Simulation(serve), 60)
    assert found.offered == pytest.approx(200, rel=0.05)


def test_transient_trouble_does_not_end_climb(simulated: Any) -> None:
    """One bad step is probed again, passes, and the climb continues past it."""
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


def test_system_drains_after_each_failure(simulated: Any) -> None:
    """After a failed step the system comes to rest before the next step."""
    simulation = simulated.wall(300, 0.0, Random(1))
    _search(simulation, 100)
    failed = [event for event in simulation.events if event.fields["passed"] is False]
    probes = [event for event in failed if event.fields["kind"] != Kind.CONFIRM]
    assert len([step for step in simulation.steps if step.kind is Kind.DRAIN]) == len(probes) > 0


def test_latency_objective_limits_rate(simulated: Any) -> None:
    """The rate at which p99 exceeds the objective is the limit, even if throughput could grow further."""

    def latency(backlog: int, rate: float) -> float:
        return 10 + 90 * rate / 200

    simulation = simulated.Simulation(lambda step, seconds, _, __: 10_000, latency_ms=latency)
    found = _search(simulation, 50, Limits(objective_p99_ms=100))
    assert found.offered == pytest.approx(200, rel=0.04)
    assert "over the objective" in found.reasons[0]


def test_error_share_limits_rate(simulated: Any) -> None:
    """The rate at which more than 1 % of the attempts fail is the limit."""
    simulation = simulated.Simulation(
        lambda step, seconds, _, __: 10_000, errors=lambda step, offered: max(0.0, offered - 150)
    )
    found = _search(simulation, 50)
    assert found.offered == pytest.approx(151.5, rel=0.04)
    assert "attempts fail" in found.reasons[0]


def test_first_rate_above_limit_is_lowered(simulated: Any) -> None:
    """A first rate that is too high is lowered."""
    assert _search(simulated.wall(100, 0.0, Random(1)), 1000).offered == pytest.approx(100, rel=0.04)


def test_system_that_does_nothing_has_no_saturation_point(simulated: Any) -> None:
    """For a system that does nothing, the search ends with rate 0."""
    found = _search(simulated.Simulation(lambda *_: 0), 100)
    assert (found.offered, found.goodput) == (0, 0)


def test_steps_are_long_only_near_the_limit(simulated: Any) -> None:
    """Far from the limit a step takes the minimum time; near it, longer."""
    simulation = simulated.wall(300, 0.1, Random(4))
    _search(simulation, 60)
    seconds = {}
    for event in simulation.events:
        if event.fields["kind"] in (Kind.CLIMB, Kind.BISECT):
            seconds[event.fields["nominal_per_second"]] = event.fields["seconds"]
    far = [each for rate, each in seconds.items() if rate < 200]
    near = [each for rate, each in seconds.items() if 280 < rate < 320]
    assert max(far) == StepDurations().shortest
    assert max(near) > StepDurations().shortest


def test_out_of_time_search_confirms_instead_of_bisecting(simulated: Any) -> None:
    """When time is up, the search confirms what it has instead of bisecting further."""
    simulation = simulated.wall(300, 0.0, Random(1))
    found = _search(simulation, 100, out_of_time=lambda: simulation.clock > 20)
    assert Kind.BISECT not in [step.kind for step in simulation.steps]
    assert found.offered == 225
    assert found.confirmed


def test_out_of_time_search_still_confirms_twice(simulated: Any) -> None:
    """A refuted rate is followed by one lower attempt; then the highest rate not refuted is the answer."""

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        return round((100 if step.kind is Kind.CONFIRM else 1000) * seconds)

    simulation = simulated.Simulation(serve)
    found = _search(simulation, 900, out_of_time=lambda: True)
    confirmed = {step.rate for step in simulation.steps if step.kind is Kind.CONFIRM}
    assert len(confirmed) == 2
    assert not found.confirmed
    assert found.offered < min(confirmed)
    assert (found.windows, found.windows_passed) == (2, 0)


def test_failed_bisection_is_probed_again(simulated: Any) -> None:
    """One bad bisection step is treated as transient, like one bad step of the climb."""
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


def test_slow_growth_fails_confirmation(simulated: Any) -> None:
    """1 % overload passes every single window; all windows together reveal the growth."""

    def serve(step: Any, seconds: float, waiting: int, created: int) -> int:
        limit = 297 if step.kind is Kind.CONFIRM else 300
        return round(limit * seconds)

    found = _search(simulated.Simulation(serve), 300 / 1.5**2)
    assert found.confirmed
    assert found.offered <= 297


def test_interrupted_search_knows_highest_passed_rate(simulated: Any) -> None:
    """An interrupted search returns the highest rate that passed."""
    search = Search(10, 90, ANY_LATENCY)
    simulation = simulated.wall(300, 0.0, Random(1))
    plan, answer = search.run(), None
    while len(search.sustained) < 3:
        item = plan.send(answer)
        answer = None if isinstance(item, TuneEvent) else simulation.measure(item)
    known = search.known()
    assert known.offered == pytest.approx(202.5)
    assert not known.confirmed


@pytest.mark.parametrize("changes_at", [9.0, 25.0, 45.0, 60.0])
def test_search_follows_a_host_that_slows_down(simulated: Any, changes_at: float) -> None:
    """When the host loses 30 % at any time, the log says so and the rate is right for its new speed."""
    simulation = simulated.wall(300, 0.02, Random(1))
    simulation.speed = lambda clock: 1.0 if clock < changes_at else 0.7
    found = _search(simulation, 90)
    said = [event for event in simulation.events if event.name == "tune_host_changed"]
    assert said
    assert found.goodput / found.speed == pytest.approx(300, rel=0.05)
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(300, rel=0.1)


def test_search_on_a_restless_host_ends(simulated: Any) -> None:
    """A host whose speed changes in every step does not make the search repeat for ever."""
    simulation = simulated.wall(300, 0.02, Random(1))
    simulation.speed = lambda clock: 1.0 if int(clock) % 2 else 0.7
    assert _search(simulation, 90).goodput > 100
    repeated = [event.fields["repeated"] for event in simulation.events if event.name == "tune_host_changed"]
    assert sum("made again" in what for what in repeated) == 6


def test_interval_holds_the_limit(simulated: Any) -> None:
    """The interval overlaps what can pass, from the capacity to 3 % above, in 38 of 40 seeded runs."""
    hits = 0
    for seed in range(40):
        found = _search(simulated.wall(300, 0.1, Random(seed)), 100)
        assert found.interval is not None
        hits += found.interval[0] <= 300 / 0.97 and found.interval[1] >= 300
        assert found.interval[1] / found.interval[0] < 1.25
    assert hits >= 38


def test_interval_needs_both_results() -> None:
    """Without a failure there is no upper end, and one early failure does not move the interval."""
    assert rate_interval([(100.0, True), (120.0, True)]) is None
    steady = [(95.0, True)] * 4 + [(105.0, False)] * 3
    one_failure = rate_interval([(50.0, False), *steady])
    assert one_failure is not None
    assert 90 < one_failure[0] < one_failure[1] < 110
