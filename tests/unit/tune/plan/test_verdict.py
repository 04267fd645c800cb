"""The right bottleneck is named in every clear case, and none in an unclear one."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from loadtest_trio.tune.plan.elasticity import Elasticity
from loadtest_trio.tune.plan.experiments import Trials
from loadtest_trio.tune.plan.reasons import MIXED
from loadtest_trio.tune.plan.steps import Observation, Slice, Usage
from loadtest_trio.tune.plan.verdict import decide

CLEAR: list[tuple[str, int, dict[str, float]]] = [
    ("CPU", 10, {"cpu_ms": 3.0}),
    ("Redis", 10, {"redis_ms": 60.0}),
    ("S3", 10, {"s3_capacity": 300.0}),
    ("S3", 10, {"throttle": 300.0}),
    ("network", 10, {"bandwidth": 60e6}),
    ("configuration", 10, {"s3_ms": 40.0}),
    ("configuration", 1, {}),
]


@pytest.mark.parametrize(("right", "workers", "limits"), CLEAR, ids=lambda value: str(value))
def test_clear_cases(simulated: Any, right: str, workers: int, limits: dict[str, float]) -> None:
    """With 10 % noise the right name in all of 25 seeded runs."""
    named: Counter[str] = Counter()
    for seed in range(25):
        simulation = simulated.Modelled(Random(seed), **limits).simulation()
        trials = Trials(workers, 3.0)
        simulation.run(trials.run(2, lambda: False, lambda *each: decide(*each).bottleneck != MIXED))
        named[decide(trials.baseline, trials.found).bottleneck] += 1
    assert named == {right: 25}


def _observation(**usage: float) -> Observation:
    return Observation(slices=(Slice(1.0, 100, 100, 0),), usage=Usage(**usage))


def _sure(value: float) -> Elasticity:
    return Elasticity(value, value - 0.1, value + 0.1)


def test_two_resources_are_mixed() -> None:
    """Half of it CPU and half of it waiting for workers is no single bottleneck."""
    saturated = _observation(cpu=0.9, slots=1.0, s3_share=0.9)
    verdict = decide(saturated, {"cpu": _sure(0.55), "more workers": _sure(0.9), "redis": _sure(0.45)})
    assert verdict.bottleneck == MIXED
    assert verdict.because[0].startswith("No resource stands out: CPU 0.55")


@pytest.mark.parametrize(("waited", "said"), [(0.35, True), (0.02, False)])
def test_a_shared_machine_is_told(waited: float, said: bool) -> None:
    """Where no resource stands out and others hold the cores, the reader hears of it."""
    verdict = decide(_observation(cpu=0.46, cpu_wait=waited, slots=0.9), {"cpu": _sure(0.3)})
    assert verdict.bottleneck == MIXED
    assert any("waited for a core 35 %" in sentence for sentence in verdict.because) is said


def test_a_whole_core_is_the_limit() -> None:
    """One event loop cannot use more than a core: at 99.6 % nothing else has to be shown."""
    saturated = _observation(cpu=0.996, slots=0.7, s3_share=0.9)
    verdict = decide(saturated, {"cpu": Elasticity(0.39, -0.3, 1.1), "more workers": _sure(0.2)})
    assert verdict.bottleneck == "CPU"


def test_unsure_is_mixed() -> None:
    """An elasticity whose interval holds 0 names nothing."""
    verdict = decide(_observation(cpu=0.95), {"cpu": Elasticity(0.9, -0.2, 2.0)})
    assert verdict.bottleneck == MIXED
    assert verdict.because[0] == (
        "It may be CPU (scores: CPU 0.90, Redis 0.00, configuration 0.00), "
        "but the experiments differ too much to be sure: elasticity 0.90 (-0.20 to 2.00)."
    )


def test_nothing_known_is_mixed() -> None:
    """Without any evidence no name is forced."""
    assert decide(_observation(), {}).bottleneck == MIXED


def test_throttling_counts_at_once() -> None:
    """SlowDown answers are S3's own word, whatever the experiments say about bytes."""
    verdict = decide(_observation(throttled=0.2, slots=1.0, s3_share=0.5), {"size": _sure(0.9)})
    assert verdict.bottleneck == "S3"
    assert verdict.because == ("S3 answered 20.0 % of the requests with SlowDown.",)


def test_a_crowded_cpu_is_told() -> None:
    """Where CPU is what counts and others hold the cores, the reader hears of it too."""
    verdict = decide(_observation(cpu=0.45, cpu_wait=0.33, slots=0.9), {"cpu": _sure(0.9)})
    assert verdict.bottleneck == "CPU"
    assert any("waited for a core 33 %" in sentence for sentence in verdict.because)


def test_the_ramp_counts_once() -> None:
    """Half way up the ramp of CPU, the score is half the elasticity."""
    verdict = decide(_observation(cpu=0.55, slots=0.9), {"cpu": _sure(0.8)})
    assert verdict.scores["CPU"] == pytest.approx(0.4)


def test_what_counts_and_is_no_bottleneck() -> None:
    """S3's latency, fewer workers, Redis and a late loop are weighed in words, whatever is named."""
    found = {name: _sure(0.7) for name in ("cpu", "s3", "fewer workers")} | {"redis": _sure(0.0)}
    said = " ".join(decide(_observation(cpu=0.95, slots=0.9, redis_busy=0.03), found).because)
    assert "time of an S3 request counts too (elasticity 0.70" in said
    assert "more workers would hide it, but not find more CPU" in said
    assert "Fewer workers do less" in said
    assert "Redis calls of one kind were under way 3 % of the time: not shown to count" in said
    late = decide(_observation(slots=0.9, loop_lag_ms=80.0), {}).because
    assert any("up to 80 ms late" in sentence for sentence in late)


def test_a_redis_server_without_a_rest() -> None:
    """A Redis server that works all the time is the limit: it has one thread."""
    verdict = decide(_observation(cpu=0.3, slots=0.6, redis_server=0.97), {"redis": _sure(0.3)})
    assert verdict.bottleneck == "Redis"


def test_what_is_left_has_to_be_shown() -> None:
    """S3 is not named as long as more workers, or CPU, may be all that counts."""
    saturated = _observation(cpu=0.3, slots=1.0, s3_share=0.9)
    unsure = Elasticity(0.0, -4.0, 4.0)
    assert decide(saturated, {"more workers": _sure(0.0), "cpu": _sure(0.0)}).bottleneck == "S3"
    assert decide(saturated, {"more workers": unsure, "cpu": _sure(0.0)}).bottleneck == MIXED
    assert decide(saturated, {"more workers": _sure(0.0), "cpu": unsure}).bottleneck == MIXED
