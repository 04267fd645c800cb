"""On a shared machine, the verdict knows whose processes use its CPUs."""

from collections import Counter
from random import Random
from typing import Any

import attrs
import pytest

from loadtest_trio.tune.plan.elasticity import Elasticity
from loadtest_trio.tune.plan.explanation import MIXED
from loadtest_trio.tune.plan.machine_use import MachineUse, users_of_machine
from loadtest_trio.tune.plan.observations import Observation, Slice, Usage
from loadtest_trio.tune.plan.verdict import Verdict, decide

# Two CPUs that the service shares with SeaweedFS and Redis: CPU seconds per second of each, and whether the
# experiments show an effect (of `cpu`, `redis`, `more workers`).
PLAIN: dict[str, Any] = {"cpu": 0.4, "cpu_wait": 0.3, "s3_cpu": 1.35, "redis_cpu": 0.06, "machine_cpu": 0.96}
SLOW_S3 = {"cpu": 0.15, "cpu_wait": 0.02, "s3_cpu": 0.5, "redis_cpu": 0.03, "machine_cpu": 0.36}
SLOW_REDIS = {
    "cpu": 0.2,
    "cpu_wait": 0.02,
    "s3_cpu": 0.4,
    "redis_cpu": 0.02,
    "machine_cpu": 0.35,
    "slots": 0.3,
}
BURNT = {"cpu": 0.25, "cpu_wait": 0.35, "s3_cpu": 0.7, "redis_cpu": 0.04, "machine_cpu": 1.0}
SETUPS: dict[str, tuple[str, dict[str, Any], tuple[float, float, float]]] = {
    "nothing slowed": ("S3", PLAIN, (0.9, 0.1, 0.1)),
    "slow SeaweedFS": ("S3", SLOW_S3, (0.0, 0.0, 0.0)),
    "slow Redis": ("Redis", SLOW_REDIS, (0.0, 0.9, 0.3)),
    "burnt core": ("CPU", BURNT, (0.8, 0.1, 0.1)),
}
EXPERIMENTS = ("cpu", "redis", "more workers")


def _observation(**usage: Any) -> Observation:
    shared = {"machine_cpus": 2, "slots": 0.95, "s3_share": 0.95} | usage
    return Observation(slices=(Slice(1.0, 100, 100, 0),), usage=Usage(**shared))


def _noisy(rng: Random, effects: tuple[float, ...], half_width: float) -> dict[str, Elasticity]:
    values = [rng.gauss(effect, half_width / 2) for effect in effects]
    found = [Elasticity(value, value - half_width, value + half_width) for value in values]
    return dict(zip(EXPERIMENTS, found, strict=True))


@pytest.mark.parametrize("setup", SETUPS)
def test_cause_is_named_on_a_shared_machine(setup: str) -> None:
    """With CPU figures off by 10 % and elasticities by 0.1, in at least 95 of 100 searches."""
    right, usage, effects = SETUPS[setup]
    named: Counter[str] = Counter()
    for seed in range(100):
        rng = Random(seed)
        seen = {
            name: min(1.0, value * rng.gauss(1, 0.1)) for name, value in usage.items() if name != "s3_cpu"
        }
        seen["s3_cpu"] = usage["s3_cpu"] * rng.gauss(1, 0.1)
        named[decide(_observation(**seen), _noisy(rng, effects, 0.2)).bottleneck] += 1
    assert named[right] >= 95, named


def _plain_verdict(**usage: Any) -> Verdict:
    unclear = {"cpu": Elasticity(0.5, -0.1, 1.1), "more workers": Elasticity(0.4, -0.3, 1.1)}
    return decide(_observation(**(PLAIN | usage)), unclear)


def test_server_that_needs_most_of_the_machine_is_named() -> None:
    """Experiments that show nothing clear do not matter: the CPU time of the processes does."""
    verdict = _plain_verdict()
    assert verdict.bottleneck == "S3"
    assert verdict.because[0] == "S3's server needs 68 % of this machine's 2 CPUs."
    assert "It waited for a core 30 % of the time." in verdict.because
    assert (
        "This machine's 2 CPUs were 96 % busy: the service 20 %, Redis's server 3 %, S3's server 68 %, "
        "other programs 5 %." in verdict.because
    )
    assert verdict.evidence["s3_cpu"] == 1.35


def test_without_the_cpu_of_the_servers_the_same_is_mixed() -> None:
    """What cannot be read is not guessed: the verdict says so."""
    verdict = _plain_verdict(s3_cpu=None)
    assert verdict.bottleneck == MIXED
    assert any(sentence.startswith("The CPU of S3's server is not known") for sentence in verdict.because)


def test_other_programs_that_use_most_of_the_machine_are_named_cpu() -> None:
    verdict = decide(_observation(**BURNT), {})
    assert verdict.bottleneck == "CPU"
    assert verdict.because[0] == (
        "The service and programs other than the backends' servers use 63 % of this machine's 2 CPUs."
    )


def test_busy_server_of_an_idle_machine_is_not_held_responsible() -> None:
    """S3's server uses the most CPU, but the machine has enough: a single worker is the limit."""
    seen = _observation(cpu=0.2, s3_cpu=0.5, redis_cpu=0.02, machine_cpu=0.37)
    assert decide(seen, _noisy(Random(2), (0.0, 0.0, 1.0), 0.1)).bottleneck == "configuration"


def test_redis_whose_only_thread_is_busy_is_named() -> None:
    seen = _observation(cpu=0.3, slots=0.4, s3_cpu=0.3, redis_cpu=0.99, machine_cpu=0.8, machine_cpus=4)
    assert decide(seen, {}).bottleneck == "Redis"


def test_shares_add_up_to_busy_time() -> None:
    use = MachineUse.of(_observation(**PLAIN).usage)
    assert use is not None
    assert attrs.astuple(use) == pytest.approx((0.2, 0.03, 0.675, 0.055, 0.96))


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert users_of_machine(Usage()) == ()
