"""What gave in, by the evidence of one step."""

from typing import Any, cast

import attrs
import pytest

from loadtest_trio.report.users_conditions import QUEUE, THROUGHPUT, Breach
from loadtest_trio.report.users_verdict import CPU, REDIS, UNKNOWN, WORKERS, cause_of


@attrs.frozen
class Readings:
    """The means of one step, as far as a verdict asks for them."""

    values: dict[str, float]
    limited: tuple[str, ...] = ()

    def mean(self, name: str) -> float | None:
        """Return a mean, or None for what could not be read."""
        return self.values.get(name)


@pytest.mark.parametrize(
    ("condition", "readings", "cause"),
    [
        (QUEUE, {"target_cpu": 90.0, "redis_ms": 50.0}, CPU),
        (QUEUE, {"target_cpu": 60.0, "target_wait": 30.0, "redis_ms": 50.0}, CPU),
        (QUEUE, {"target_cpu": 55.0, "target_wait": 20.0, "redis_ms": 29.0}, CPU),
        (QUEUE, {"target_cpu": 12.0, "target_wait": 39.0, "redis_ms": 4.0}, CPU),
        (QUEUE, {"target_cpu": 20.0, "redis_ms": 29.0}, REDIS),
        (QUEUE, {"target_cpu": 75.0, "redis_cpu": 90.0}, REDIS),
        (THROUGHPUT, {"target_cpu": 10.0, "redis_ms": 1.0}, WORKERS),
        (QUEUE, {}, WORKERS),
        (QUEUE, {"target_cpu": 75.0}, UNKNOWN),
    ],
)
def test_cause_follows_from_the_evidence(condition: str, readings: dict[str, float], cause: str) -> None:
    """A Redis that is slow only because the service waits for its CPU is not what gave in."""
    breach = Breach(condition=condition, step=1, evidence="")
    assert cause_of([breach], cast(Any, Readings(readings))) == cause
