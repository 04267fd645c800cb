"""The benchmark of computations: what it calls, and the tables it makes."""

import pytest

from benchmarks import compute
from benchmarks.output import RunInfo
from loadtest_trio.handlers.compute.pool import INLINE_SECONDS

ABOUT = RunInfo({"cpu": "a CPU", "cores": 2, "python": "3.11", "commit": "abc"}, "2026-01-01T00:00:00Z", 2)


def test_computations_lie_on_both_sides_of_the_inline_bound() -> None:
    """Of both kinds of work some are estimated to run inline and some in a process."""
    for kind in ("!", "sha512"):
        estimates = [estimate for name, (estimate, _) in compute.computations().items() if kind in name]
        assert min(estimates) < INLINE_SECONDS < max(estimates)


def test_table_shows_measurement_beside_estimate() -> None:
    text = compute.render(ABOUT, {"100!": [0.001, 0.003, 0.002]}, {"each further call (µs)": [90.0, 110.0]})
    assert "| 100! | 2.000 (1.000–3.000) | 0.004 |" in text
    assert "| each further call (µs) | 100.00 (90.00–110.00) |" in text


def test_fastest_of_several_calls_counts() -> None:
    calls: list[int] = []

    def call() -> bytes:
        calls.append(1)
        return b""

    assert compute.fastest_seconds(call) == pytest.approx(0, abs=0.01)
    assert len(calls) == 20
