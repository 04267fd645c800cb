"""The picture, the heading and the account of a soak."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy", reason="the report extra is not installed")
pytest.importorskip("matplotlib", reason="the report extra is not installed")

from benchmarks.soak.report import _plot, _text, annotate, fit_all
from benchmarks.soak.subjects import SUBJECTS, Samples, Subject

USERS = {
    "requests": 1_800_000,
    "failures": 3,
    "jobs_submitted": 900,
    "jobs_finished": 899,
    "jobs_failed": 0,
    "jobs_abandoned": 1,
    "uptime_seconds": 1800.0,
}
LEDGER = {"created": 900, "processed": 900, "missed": 0, "dead": 0, "purged": 0, "cancelled": 0, "lost": 0}
RUN: dict[str, Any] = {
    "started": "2026-11-25T16:00:00Z",
    "backends": "backends",
    "users": 750,
    "ttl_seconds": 120,
    "users_stopped": USERS,
    "service_started": {
        "settings": {"SCHEDULER_MESSAGES_PER_SECOND": "60", "WORKER_CONCURRENCY": "10"},
        "machine": {"cpus": 2, "cpu_model": "CPU", "platform": "Linux"},
    },
    "service_stopped": {"ledger": LEDGER},
}
TITLES = {
    "load": "Soak: 30 minutes at 60 messages a second, 10 workers",
    "jobs": "Soak: 30 minutes of the job service under 750 users, 1,000 requests a second",
}
COUNTS = ("messages_created", "messages_processed", "messages_missed", "messages_withheld", "dead", "errors")
either = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)


@pytest.fixture
def samples() -> Samples:
    seconds = [10.0 * number for number in range(181)]
    series = {name for subject in SUBJECTS.values() for name in subject.panels | subject.fitted} | {*COUNTS}
    zeros = {name: [0.0] * len(seconds) for name in ("ledger_difference", "lost")}
    return {
        "uptime_seconds": seconds,
        **{name: [5.0 + at / 600 for at in seconds] for name in series},
        **zeros,
    }


@either
def test_every_series_that_must_not_grow_is_fitted_and_has_a_panel(subject: Subject) -> None:
    """What decides the exit code can be seen."""
    assert set(subject.must_not_grow) <= subject.fitted.keys() & subject.panels.keys()
    assert "cpu_percent" in subject.panels
    assert len(subject.panels) == 7


@pytest.mark.parametrize("service", SUBJECTS)
def test_title_names_duration_and_load(samples: Samples, service: str) -> None:
    """A chart explains itself."""
    assert SUBJECTS[service].title(RUN, samples) == TITLES[service]


@either
def test_chart_is_drawn(subject: Subject, samples: Samples, tmp_path: Path) -> None:
    """Seven panels and a legend are written to a file."""
    slopes = fit_all(subject, samples, 300.0)
    _plot(tmp_path / "soak.png", subject, RUN, samples, slopes, 300.0)
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


@either
def test_difference_of_the_ledger_is_a_fault(subject: Subject, samples: Samples) -> None:
    """One line that does not add up is enough."""
    assert subject.faults(RUN, samples) == []
    samples["ledger_difference"][7] = 1.0
    assert subject.faults(RUN, samples) == ["ledger difference is not 0"]
    assert "NOT 0 in every line" in subject.account(RUN, samples)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"created": 901}, "1 of 901 jobs have not ended"),
        ({"created": 899, "processed": 899}, "1 of 900 accepted jobs are missing in the ledger"),
    ],
    ids=["unfinished", "missing"],
)
def test_job_without_an_end_is_a_fault(samples: Samples, change: dict[str, int], fault: str) -> None:
    """Every accepted job is in the ledger, and every job of the ledger has ended."""
    run = RUN | {"service_stopped": {"ledger": LEDGER | change}}
    assert SUBJECTS["jobs"].faults(run, samples) == [fault]


def test_report_shows_faults_and_the_note(samples: Samples, tmp_path: Path) -> None:
    """What is wrong stands below the table; what else ran stands above it."""
    (tmp_path / "run.json").write_text("{}")
    annotate(tmp_path, "Other work ran beside it.")
    assert "Other work ran beside it." in (tmp_path / "run.json").read_text()
    samples["lost"][-1] = 2.0
    subject = SUBJECTS["jobs"]
    text = _text(subject, RUN | {"note": "Other work."}, samples, fit_all(subject, samples, 300.0), 5.0)
    assert "three minutes. Other work." in text
    assert "**Wrong: lost is not 0.**" in text
    assert "900 jobs were accepted" in text
