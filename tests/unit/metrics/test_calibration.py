"""The score says how sure it is, and takes about as long as it is given."""

import time

import pytest

from loadtest_trio.metrics import calibration


def test_the_score_and_its_spread_are_positive() -> None:
    """A score and its spread, both positive, in little more CPU than was asked for."""
    began = time.process_time()
    said = calibration.score(calibration.QUICK_SECONDS)
    assert said["score"] > 0
    assert 0 <= said["score_spread"] < 1
    assert time.process_time() - began < 1


def test_a_disturbed_group_changes_the_spread_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """One disturbed group widens the spread and leaves the score alone."""
    bests = iter([0.0032, 0.0040, 0.0032, 0.0033])
    monkeypatch.setattr(calibration, "_best", lambda seconds: next(bests))
    said = calibration.score(1.0)
    assert said["score"] == 1.0
    assert said["score_spread"] == pytest.approx(0.031, rel=0.02)
