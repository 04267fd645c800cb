"""The picture and the heading of a soak."""

from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="the report extra is not installed")
pytest.importorskip("matplotlib", reason="the report extra is not installed")

from benchmarks.soak.report import FITTED, PANELS, Samples, _plot, _title, fit_all

RUN = {"service_started": {"settings": {"SCHEDULER_MESSAGES_PER_SECOND": "60", "WORKER_CONCURRENCY": "10"}}}


@pytest.fixture
def samples() -> Samples:
    seconds = [10.0 * number for number in range(181)]
    return {"uptime_seconds": seconds, **{name: [5.0 + at / 600 for at in seconds] for name in PANELS}}


def test_every_fitted_series_has_a_panel() -> None:
    """Every series in the table of slopes is drawn, CPU included."""
    assert FITTED.keys() <= PANELS.keys()


def test_title_names_duration_rate_and_workers(samples: Samples) -> None:
    """A chart explains itself."""
    assert _title(RUN, samples) == "Soak: 30 minutes at 60 messages a second, 10 workers"


def test_chart_is_drawn(samples: Samples, tmp_path: Path) -> None:
    """Seven panels and a legend are written to a file."""
    _plot(tmp_path / "soak.png", "title", samples, fit_all(samples, 300.0), 300.0)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
