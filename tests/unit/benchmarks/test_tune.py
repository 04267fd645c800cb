"""Searches in a row: their log lines are kept, and one report shows them side by side."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import tune


def _lines(rate: float, start: str) -> str:
    about = {"timestamp": f"2026-11-25T{start}:00.000Z", "level": "INFO"}
    found = {"rate": rate, "rate_normalised": rate, "speed": 1.0, "workers": 10, "confirmed": True}
    events = ({"event": "tune_started", "settings": {}}, {"event": "tune_saturation", **found})
    return "".join(json.dumps(about | event) + "\n" for event in events)


def test_searches_in_a_row_have_one_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three searches leave three files of log lines and one report that compares them."""
    rates = iter([100.0, 102.0, 104.0])

    def search(_: Namespace, environ: Mapping[str, str], folder: Path) -> int:
        folder.mkdir(parents=True)
        rate = next(rates)
        (folder / "tune.jsonl").write_text(_lines(rate, f"10:{round(rate) - 100}0"))
        return 0

    monkeypatch.setattr(tune, "search", search)
    options = tune.parse(
        ["--searches", "3", "--embedded", "--output", str(tmp_path / "out"), "--", "--seconds", "9"]
    )
    assert options.rest == ["--seconds", "9"]
    assert tune.search_repeatedly(options, {}) == 0
    said = (tmp_path / "out" / "REPORT.md").read_text()
    assert "| rate, normalised | 100 | 102 | 104 | 4.0 % |" in said
    logs = sorted(path.name for path in (tmp_path / "out").glob("*.gz"))
    assert logs == ["search-1.jsonl.gz", "search-2.jsonl.gz", "search-3.jsonl.gz"]
    assert not list((tmp_path / "out").glob("search-?"))


def test_failed_search_ends_the_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The exit code of the first search that fails is the command's."""
    monkeypatch.setattr(tune, "search", lambda *_: 3)
    options = tune.parse(["--searches", "3", "--output", str(tmp_path)])
    assert tune.search_repeatedly(options, {}) == 3


def test_embedded_searches_keep_the_environment() -> None:
    """Embedded searches use this environment, with the number of workers if one is given."""
    with tune.backends(tune.parse(["--embedded", "--workers", "5"])) as environ:
        assert environ["WORKER_CONCURRENCY"] == "5"
        assert "PATH" in environ
