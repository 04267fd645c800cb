"""The advice agrees with the verdict."""

import pytest

from loadtest_trio.report.advice import advice


@pytest.mark.parametrize("bottleneck", ["CPU", "Redis", "S3", "network", "configuration", "mixed"])
def test_every_verdict_has_steps(bottleneck: str) -> None:
    """Whatever is named, there is something to do, and nothing about others who are not there."""
    steps = [step for step, _ in advice(bottleneck)]
    assert steps
    assert not any("Other programs" in step for step in steps)


@pytest.mark.parametrize("bottleneck", ["CPU", "mixed", "S3"])
def test_a_shared_machine_comes_first(bottleneck: str) -> None:
    """Where others hold the cores, that is the first thing to change; more processes would only wait too."""
    steps = [step for step, _ in advice(bottleneck, cpu_wait=0.3)]
    assert steps[0].startswith("Other programs hold this machine's CPUs")
    assert not any("more worker processes" in step for step in steps)


def test_unknown() -> None:
    """A name that nobody knows has no advice."""
    assert list(advice("weather")) == []
