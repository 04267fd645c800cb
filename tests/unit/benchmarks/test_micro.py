"""The table of targets, and clients one against the other."""

import pytest

from benchmarks.client_comparison import Round, kinds, ratios
from benchmarks.micro import FEW, MANY, figures, render
from benchmarks.output import RunInfo

ABOUT = RunInfo({"cpu": "C", "cores": 2, "python": "3", "commit": "abc"}, "now", 3)
PART = {"sign": 6.0, "create": 400.0, "edit": 16.0, "record": 6.0, "line": 1.0}


@pytest.fixture
def requests() -> dict[str, list[Round]]:
    return {
        "GET of 203 KB over HTTP": [
            {"wrk": 50.0, "S3Service": 100.0, "obstore": 200.0},
            {"wrk": 100.0, "S3Service": 190.0, "obstore": 180.0},
            {"wrk": 60.0, "S3Service": 150.0},
        ]
    }


def test_ratios_are_taken_within_a_round(requests: dict[str, list[Round]]) -> None:
    """A slow round slows both sides; a round without one of them has no ratio."""
    (rounds,) = requests.values()
    assert ratios(rounds, "S3Service", "wrk") == [2.0, 1.9, 2.5]
    assert ratios(rounds, "S3Service", "obstore") == [0.5, pytest.approx(190 / 180)]


def test_every_target_has_a_row() -> None:
    """Two per kind of request; one each for signing, CREATE, UPDATE and metrics; two for Redis."""
    queue = {FEW: [50.0], MANY: [30.0]}
    everything = figures([PART], queue, {kind: [] for kind in kinds()})
    targets = [each.row()[1] for each in everything]
    assert targets[:8] == ["≤ 2 × wrk", "< 1 × obstore"] * 4
    assert targets[8:] == ["< 25 µs", "< 1,000 µs", "< 50 µs", "< 60 µs", "< 60 µs", "< 20 µs"]
    assert [each.met for each in everything] == ["not measured"] * 8 + ["yes"] * 6


def test_text_shows_targets_ratios_and_machine(requests: dict[str, list[Round]]) -> None:
    """A row has target, measurement and verdict; ratios have a spread; the heading names the machine."""
    text = render(ABOUT, figures([PART], {}, requests), requests)
    assert "| sign one request | < 25 µs | 6.0 (6.0–6.0) µs | yes |" in text
    assert "| S3Service: GET of 203 KB over HTTP | ≤ 2 × wrk | 2.00 (1.90–2.50) × wrk | yes |" in text
    assert "| S3Service | 150.0 (100.0–190.0) | 2.00 (1.90–2.50) | 0.78 (0.50–1.06) |" in text
    assert "of 3 rounds, ratios within a round. C, 2 cores; Python 3; commit abc, now." in text
