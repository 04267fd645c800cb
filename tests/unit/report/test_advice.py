"""The advice agrees with the verdict."""

import pytest

from loadtest_trio.report.advice import advice


@pytest.mark.parametrize("bottleneck", ["CPU", "Redis", "S3", "network", "configuration", "mixed"])
def test_every_verdict_has_steps(bottleneck: str) -> None:
    """Each bottleneck has steps; other programs are mentioned only where they disturb."""
    steps = [step for step, _ in advice(bottleneck)]
    assert steps
    assert not any("Other programs" in step for step in steps)


@pytest.mark.parametrize("bottleneck", ["CPU", "mixed", "S3"])
def test_a_shared_machine_is_the_first_step(bottleneck: str) -> None:
    """When other programs use the cores, more processes would only wait too."""
    steps = [step for step, _ in advice(bottleneck, cpu_wait=0.3)]
    assert steps[0].startswith("Other programs use this machine's CPUs")
    assert not any("more worker processes" in step for step in steps)


def test_an_unknown_bottleneck_has_no_advice() -> None:
    """A newer log may name one."""
    assert list(advice("weather")) == []
