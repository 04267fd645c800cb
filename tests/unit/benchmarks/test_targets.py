"""Targets and their verdicts."""

import pytest

from benchmarks.targets import Target


@pytest.mark.parametrize(
    ("sign", "values", "met"),
    [
        ("<", [1.0, 1.9, 9.0], "yes"),
        ("<", [1.0, 2.0, 2.0], "no"),
        ("≤", [1.0, 2.0, 2.0], "yes"),
        ("≤", [1.0, 2.1, 2.1], "no"),
        ("≥", [2.0, 2.0, 0.0], "yes"),
        ("≥", [1.9, 1.9, 9.0], "no"),
        (">", [2.0, 2.0, 9.0], "no"),
        ("=", [2.0], "yes"),
        ("≤", [], "not measured"),
    ],
)
def test_median_decides_whether_target_is_met(sign: str, values: list[float], met: str) -> None:
    assert Target("x", values, 2, sign).met == met


def test_row_shows_name_target_measurement_and_verdict() -> None:
    assert Target("rate", [9.0, 8.0, 7.0], 8, "≥", "× peer").row() == [
        "rate",
        "≥ 8 × peer",
        "8.00 (7.00–9.00) × peer",
        "yes",
    ]


def test_figure_without_values_shows_a_dash() -> None:
    assert Target("rate", [], 8, "≥", "× peer").row()[2:] == ["–", "not measured"]
