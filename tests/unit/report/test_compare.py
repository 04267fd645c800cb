"""`compare` says faster, slower or no difference shown."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from loadtest_trio.report import UnreadableRunError, compare

Write = Callable[..., Path]


def _rates(mean: float, seed: int, count: int = 60) -> list[int]:
    rng = Random(seed)
    return [round(rng.gauss(mean, mean / 10)) for _ in range(count)]


def _scored(make: Any, rates: list[int], score: float, spread: float | None = None) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = make.run_lines(rates)
    lines[0] |= {"score": score, "score_spread": spread}
    return lines


@pytest.mark.parametrize(("mean", "verdict"), [(230, "faster than A"), (170, "slower than A")])
def test_a_clear_difference_is_reported(write: Write, make: Any, mean: float, verdict: str) -> None:
    """15 % more or less at 10 % noise is said plainly."""
    a = write(make.run_lines(_rates(200, 1)), "a.jsonl")
    b = write(make.run_lines(_rates(mean, 2)), "b.jsonl")
    assert f"**B is {verdict}** in messages a second." in compare([a], [b])


def test_noise_is_not_reported_as_a_difference(write: Write, make: Any) -> None:
    """Of 40 pairs of runs that differ by noise alone, no more than 4 are said to differ."""
    wrong = 0
    for seed in range(40):
        a = write(make.run_lines(_rates(200, seed)), "a.jsonl")
        b = write(make.run_lines(_rates(200, 1000 + seed)), "b.jsonl")
        wrong += "**B is not shown to differ**" not in compare([a], [b])
    assert wrong <= 4


def test_scores_normalise_different_machines(write: Write, make: Any) -> None:
    """Twice the rate on a machine with twice the score is no difference."""
    a = write(_scored(make, _rates(200, 1), 1.0), "a.jsonl")
    b = write(_scored(make, [2 * rate for rate in _rates(200, 1)], 2.0), "b.jsonl")
    said = compare([a], [b])
    assert "**B is not shown to differ**" in said
    assert "Normalised by the calibration scores" in said


def test_differing_settings_are_listed(write: Write, make: Any) -> None:
    """Settings that differ are listed."""
    a = write(make.run_lines(_rates(200, 1)), "a.jsonl")
    b = write(make.run_lines(_rates(200, 2), settings={"WORKER_CONCURRENCY": "20"}), "b.jsonl")
    assert "| WORKER_CONCURRENCY | 10 | 20 |" in compare([a], [b])


def test_a_short_run_cannot_be_compared(write: Write, make: Any) -> None:
    """A run of a few intervals cannot be compared, and that is said."""
    a = write(make.run_lines([5, 5]), "a.jsonl")
    with pytest.raises(UnreadableRunError, match="2 intervals of the steady phase"):
        compare([a], [a])


@pytest.mark.parametrize(("spread", "verdict"), [(0.005, "faster than A"), (0.1, "not shown to differ")])
def test_an_uncertain_score_widens_the_interval(write: Write, make: Any, spread: float, verdict: str) -> None:
    """12 % more is a difference with scores known to half a percent, and none with scores 10 % apart."""
    a = write(_scored(make, _rates(200, 1), 1.0, spread), "a.jsonl")
    b = write(_scored(make, _rates(224, 2), 1.0, spread), "b.jsonl")
    said = compare([a], [b])
    assert f"**B is {verdict}**" in said
    assert f"(1 ± {100 * spread:.1f} % and" in said


def test_a_score_without_spread_counts_as_5_percent(write: Write, make: Any) -> None:
    """A score whose line does not say how sure it is counts as known to 5 %."""
    a = write(_scored(make, _rates(200, 1), 1.0), "a.jsonl")
    assert "(1 ± 5.0 % and 1 ± 5.0 %)" in compare([a], [a])


def test_run_that_stood_still_for_a_while_can_be_compared(write: Write, make: Any) -> None:
    """A tenth of it did nothing, as in an outage: there is no cost per message, and still a verdict."""
    rates = _rates(200, 1)
    still = [0 if 12 <= place < 26 else rate for place, rate in enumerate(rates)]
    a, b = write(make.run_lines(rates), "a.jsonl"), write(make.run_lines(still), "b.jsonl")
    assert "CPU ms a message" in compare([a], [b])
    assert "CPU ms a message" in compare([b], [a])
