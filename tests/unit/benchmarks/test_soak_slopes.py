"""Slopes of a soak: growth is found, waves and noise are not taken for it."""

from random import Random

import pytest

pytest.importorskip("scipy", reason="the report extra is not installed")

from benchmarks.soak.slopes import fit

SECONDS = [10.0 * i for i in range(270)]  # 45 minutes


def test_constant_is_flat_with_certainty() -> None:
    """A value that never changes has slope 0 and an interval of width 0."""
    slope = fit(SECONDS, [24.0] * len(SECONDS))
    assert (slope.per_hour, slope.low, slope.high, slope.verdict) == (0.0, 0.0, 0.0, "flat")


def test_growth_under_noise_is_found() -> None:
    """6 MB per hour under 1 MB of noise: the interval contains the truth and excludes zero."""
    rng = Random(1)
    slope = fit(SECONDS, [60 + 6 * at / 3600 + rng.gauss(0, 1) for at in SECONDS])
    assert slope.low < 6 < slope.high
    assert slope.verdict == "grows"


def test_waves_are_rarely_reported_as_growth() -> None:
    """Without growth but with waves of minutes (an AR(1) process), far fewer than one in five is misjudged.

    Least squares on all samples misjudges most of these series.
    """
    misjudged = sum(fit(SECONDS, wave(Random(seed))).verdict != "flat" for seed in range(200))
    assert misjudged < 200 / 8


def test_too_short_run_is_refused() -> None:
    """Three blocks are too few for a slope."""
    with pytest.raises(ValueError, match="too few"):
        fit(SECONDS[:50], SECONDS[:50])


def wave(rng: Random) -> list[float]:
    """An AR(1) series whose correlation falls to a third within five samples."""
    value, series = 0.0, []
    for _ in SECONDS:
        value = 0.8 * value + rng.gauss(0, 1)
        series.append(value)
    return series
