"""The whole plan on simulated services: every part logs its result, within its time."""

from collections import Counter
from random import Random
from typing import Any

import attrs
import pytest

from loadtest_trio.tune.plan.cost_stages import Work
from loadtest_trio.tune.plan.criteria import Limits
from loadtest_trio.tune.plan.loop import final_events
from loadtest_trio.tune.plan.plan import Goal, tune
from loadtest_trio.tune.plan.steps import Kind, Step, TuneEvent

MIX = {"READ": 50.0, "UPDATE": 25.0, "CREATE": 10.0, "DELETE": 15.0}
GOAL = Goal(workers=10, mix=MIX, limits=Limits(objective_p99_ms=1e9))


def _run(simulation: Any, goal: Goal = GOAL) -> dict[str, dict[str, Any]]:
    def work(step: Step, done: int) -> Work:
        mix = step.mix or MIX
        counts = {name: round(done * weight / sum(mix.values())) for name, weight in mix.items()}
        moved = round(100_000 * step.handicap.size * done)
        return Work(
            cpu_seconds=0.001 * done,
            seconds=3.0,
            done=counts,
            bytes_read=moved,
            bytes_written=moved,
            unit_us=100.0,
        )

    simulation.work = work
    simulation.run(tune(goal, lambda: simulation.clock))
    return {event.name: event.fields for event in simulation.events}


@pytest.mark.parametrize("seed", range(3))
def test_every_part_logs_its_result_in_time(simulated: Any, seed: int) -> None:
    """The plan finds saturation, scaling, verdict and costs within the given time."""
    simulation = simulated.Modelled(Random(seed), cpu_ms=3.0).simulation()
    found = _run(simulation, attrs.evolve(GOAL, seconds=400))
    assert found["tune_saturation"]["offered_per_second"] == pytest.approx(333, rel=0.06)
    assert found["tune_scaling"]["points"][0]["workers"] == 1
    assert found["tune_verdict"]["bottleneck"] == "CPU"
    assert found["tune_costs"]["predictions"][0]["cpu_us"] == pytest.approx(1000, rel=0.05)
    assert simulation.clock < 400


def test_next_bottleneck_after_configuration_is_named(simulated: Any) -> None:
    """If the configuration is the limit, the plan also names the bottleneck that would come next."""
    simulation = simulated.Modelled(Random(1), s3_ms=40.0, cpu_ms=2.0, noise=0.02).simulation()
    found = _run(simulation, attrs.evolve(GOAL, seconds=600))
    assert found["tune_verdict"]["bottleneck"] == "configuration"
    assert found["tune_next_verdict"]["bottleneck"] == "CPU"
    assert found["tune_next_verdict"]["workers"] > 10


@pytest.mark.parametrize("seconds", [60.0, 150.0])
def test_short_of_time_main_questions_are_answered(simulated: Any, seconds: float) -> None:
    """With little time the plan still answers the main questions and ends soon after."""
    simulation = simulated.Modelled(Random(1), s3_capacity=300.0, noise=0.02).simulation()
    found = _run(simulation, attrs.evolve(GOAL, seconds=seconds))
    assert {"tune_saturation", "tune_scaling", "tune_verdict"} <= set(found)
    assert simulation.clock < seconds + 120


@pytest.mark.parametrize(
    ("kind", "events"),
    [
        (Kind.BISECT, {"tune_stage", "tune_saturation"}),
        (
            Kind.COST,
            {
                "tune_stage",
                "tune_saturation",
                "tune_scaling",
                "tune_window",
                "tune_experiment",
                "tune_verdict",
            },
        ),
    ],
)
def test_interrupted_plan_logs_results_so_far(simulated: Any, kind: Kind, events: set[str]) -> None:
    """Interrupted during bisection, the plan logs the highest rate that passed; later, all results so far."""
    simulation = simulated.Modelled(Random(1), cpu_ms=3.0).simulation()
    plan, answer, found = tune(GOAL, lambda: simulation.clock), None, []
    while True:
        item = plan.send(answer)
        answer = None
        if isinstance(item, TuneEvent):
            found.append(item)
        elif item.kind is kind:
            break
        else:
            answer = simulation.measure(item)
    found += final_events(plan)
    assert {event.name for event in found} == events
    (saturation,) = [event.fields for event in found if event.name == "tune_saturation"]
    assert saturation["rate"] > 0
    assert not (kind is Kind.BISECT and saturation["confirmed"])


def test_interrupted_experiment_logs_completed_experiments(simulated: Any) -> None:
    """An interruption logs the experiments with an interval, and the curve from the sweep."""
    simulation = simulated.Modelled(Random(1), cpu_ms=3.0).simulation()
    plan, answer = tune(GOAL, lambda: simulation.clock), None
    windows: Counter[str] = Counter()
    while True:
        item = plan.send(answer)
        answer = None
        if not isinstance(item, TuneEvent):
            windows[item.change] += item.kind is Kind.EXPERIMENT
            if windows["half the file size"] == 3:
                break
            answer = simulation.measure(item)
    said = list(final_events(plan))
    made = [each.fields["experiment"] for each in said if each.name == "tune_experiment"]
    assert set(made) == {"cpu", "size", "redis", "s3", "more workers", "fewer workers"}
    assert "tune_scaling" in [each.name for each in said]
