"""The verdict names the right bottleneck in every clear case, and none in an unclear one."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from loadtest_trio.tune.plan.elasticity import Elasticity
from loadtest_trio.tune.plan.explanation import MIXED
from loadtest_trio.tune.plan.observations import Observation, Slice, Usage
from loadtest_trio.tune.plan.switchback import Trials
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
def test_clear_bottleneck_is_named(
    simulated: Any, right: str, workers: int, limits: dict[str, float]
) -> None:
    """With 10 % noise the right resource is named in all of 25 seeded runs."""
    named: Counter[str] = Counter()
    for seed in range(25):
        simulation = simulated.Modelled(Random(seed), **limits).simulation()
        trials = Trials(workers)
        simulation.run(trials.run(lambda: False))
        named[decide(trials.baseline, trials.found).bottleneck] += 1
    assert named == {right: 25}


def _observation(**usage: float) -> Observation:
    return Observation(slices=(Slice(1.0, 100, 100, 0),), usage=Usage(**usage))


def _sure(value: float) -> Elasticity:
    return Elasticity(value, value - 0.1, value + 0.1)


def test_two_resources_are_mixed() -> None:
    """Half CPU and half waiting for workers is no single bottleneck."""
    saturated = _observation(cpu=0.9, slots=1.0, s3_share=0.9)
    verdict = decide(saturated, {"cpu": _sure(0.55), "more workers": _sure(0.9), "redis": _sure(0.45)})
    assert verdict.bottleneck == MIXED
    assert verdict.because[0].startswith("No resource stands out: CPU 0.55")


@pytest.mark.parametrize(("waited", "said"), [(0.35, True), (0.02, False)])
def test_cpu_wait_is_explained_in_mixed_verdict(waited: float, said: bool) -> None:
    """If other programs use the cores, a mixed verdict says so."""
    verdict = decide(_observation(cpu=0.46, cpu_wait=waited, slots=0.9), {"cpu": _sure(0.3)})
    assert verdict.bottleneck == MIXED
    assert any("waited for a core 35 %" in sentence for sentence in verdict.because) is said


def test_full_core_is_bottleneck() -> None:
    """One event loop cannot use more than a core: at 99.6 % no further evidence is needed."""
    saturated = _observation(cpu=0.996, slots=0.7, s3_share=0.9)
    verdict = decide(saturated, {"cpu": Elasticity(0.39, -0.3, 1.1), "more workers": _sure(0.2)})
    assert verdict.bottleneck == "CPU"


def test_elasticity_interval_with_zero_is_mixed() -> None:
    """An elasticity whose interval contains 0 names no bottleneck."""
    verdict = decide(_observation(cpu=0.95), {"cpu": Elasticity(0.9, -0.2, 2.0)})
    assert verdict.bottleneck == MIXED
    assert verdict.because[0] == (
        "It may be CPU (scores: CPU 0.90, Redis 0.00, configuration 0.00), "
        "but the experiments differ too much to be sure: elasticity 0.90 (-0.20 to 2.00)."
    )


def test_no_evidence_is_mixed() -> None:
    """Without evidence no bottleneck is named."""
    assert decide(_observation(), {}).bottleneck == MIXED


def test_throttling_names_s3() -> None:
    """SlowDown answers prove that S3 is the limit, whatever the experiments show about bytes."""
    verdict = decide(_observation(throttled=0.2, slots=1.0, s3_share=0.5), {"size": _sure(0.9)})
    assert verdict.bottleneck == "S3"
    assert verdict.because == ("S3 answered 20.0 % of the requests with SlowDown.",)


def test_cpu_wait_is_explained_in_cpu_verdict() -> None:
    """If CPU is the bottleneck and other programs use the cores, the verdict says so."""
    verdict = decide(_observation(cpu=0.45, cpu_wait=0.33, slots=0.9), {"cpu": _sure(0.9)})
    assert verdict.bottleneck == "CPU"
    assert any("waited for a core 33 %" in sentence for sentence in verdict.because)


def test_cpu_score_scales_elasticity_by_usage() -> None:
    """Half way up the CPU ramp, the score is half the elasticity."""
    verdict = decide(_observation(cpu=0.55, slots=0.9), {"cpu": _sure(0.8)})
    assert verdict.scores["CPU"] == pytest.approx(0.4)


def test_minor_effects_are_explained() -> None:
    """The explanation covers S3 latency, fewer workers, Redis and loop lag, whatever the bottleneck."""
    found = {name: _sure(0.7) for name in ("cpu", "s3", "fewer workers")} | {"redis": _sure(0.0)}
    said = " ".join(decide(_observation(cpu=0.95, slots=0.9, redis_busy=0.03), found).because)
    assert "time of an S3 request counts too (elasticity 0.70" in said
    assert "more workers would hide it, but not find more CPU" in said
    assert "Fewer workers do less" in said
    assert "Redis calls of one kind were under way 3 % of the time: not shown to count" in said
    late = decide(_observation(slots=0.9, loop_lag_ms=80.0), {}).because
    assert any("up to 80 ms late" in sentence for sentence in late)


def test_busy_redis_server_is_bottleneck() -> None:
    """A Redis server that is always busy is the limit, because it has one thread."""
    verdict = decide(_observation(cpu=0.3, slots=0.6, redis_server=0.97), {"redis": _sure(0.3)})
    assert verdict.bottleneck == "Redis"


def test_s3_needs_evidence_against_workers_and_cpu() -> None:
    """S3 is not named while more workers or CPU may be fully limiting."""
    saturated = _observation(cpu=0.3, slots=1.0, s3_share=0.9)
    unsure = Elasticity(0.0, -4.0, 4.0)
    assert decide(saturated, {"more workers": _sure(0.0), "cpu": _sure(0.0)}).bottleneck == "S3"
    assert decide(saturated, {"more workers": unsure, "cpu": _sure(0.0)}).bottleneck == MIXED
    assert decide(saturated, {"more workers": _sure(0.0), "cpu": unsure}).bottleneck == MIXED
