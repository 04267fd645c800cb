"""The interactive page: the report's words, its figures' values, and nothing to fetch; and the replay."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest_trio.cli.main import main
from loadtest_trio.report import interactive as room
from loadtest_trio.report import write_report
from loadtest_trio.report.extras import MissingExtraError
from loadtest_trio.report.interactive import write_comparison, write_interactive
from loadtest_trio.report.replay import lines_to_replay
from tests.unit.report.conftest import START, LogLine, run_lines, stamp

Write = Callable[..., Path]
RATES = [100, 120, 80, 100, 110, 90, 100, 100]


def place(folder: Path, lines: list[LogLine], name: str = "run.jsonl") -> Path:
    """Write lines into a file."""
    path = folder / name
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


def figures(page: str) -> dict[str, Any]:
    """Return the figures of a page by name."""
    found = re.findall(r'<script type="application/json" id="figure-([\w-]+)">(.*?)</script>', page, re.S)
    return {name: orjson.loads(text) for name, text in found}


def test_the_page_has_the_words_and_the_values(tmp_path: Path) -> None:
    """Headings and tables as in the Markdown; the curves are the lines' values; nothing is fetched."""
    run = place(tmp_path, run_lines(RATES))
    report = write_report([run], tmp_path / "out")
    page = write_interactive([run], report, tmp_path / "out" / "REPORT.html").read_text()
    for heading in re.findall(r"^#+ (.*)$", report.read_text(), re.M):
        assert f">{heading}</h" in page
    shown = figures(page)
    assert shown.keys() == {"run-time", "run-latency", "run-mix"}
    for name in shown:
        assert f'data-figure="figure-{name}"' in page
    rates = [trace["y"] for trace in shown["run-time"]["data"] if trace["yaxis"] == "y"]
    assert rates[0] == pytest.approx(RATES, rel=0.01)
    assert not re.search(r'(?:src|href)="(?!data:)', page.split("<script>")[0])


def test_a_log_cannot_write_into_the_page(tmp_path: Path) -> None:
    """Markup in a run's texts is text in the page, also inside the figures."""
    lines = run_lines(RATES)
    for line in lines:
        line.get("by_operation", {})["</script><img src=x>"] = {"share_nominal": 1.0, "share_actual": 1.0}
    run = place(tmp_path, lines)
    report = write_report([run], tmp_path / "out")
    page = write_interactive([run], report, tmp_path / "REPORT.html").read_text()
    assert "</script><img" not in page
    assert "</script><img src=x>" in figures(page)["run-mix"]["data"][0]["x"]


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    """Three runs: a column each, a curve each in every panel, and each but the first against the first."""
    runs = [place(tmp_path, run_lines([rate] * 12), f"{rate}.jsonl") for rate in (100, 150, 50)]
    pairs = [(runs[:1], [other]) for other in runs[1:]]
    page = write_comparison(pairs, tmp_path / "page" / "compare.html").read_text()
    data = figures(page)["all-time"]["data"]
    assert {trace["name"] for trace in data} == {"A: 100.jsonl", "B: 150.jsonl", "C: 50.jsonl"}
    assert len(data) == 15
    assert page.count(" against ") == 2
    assert page.index("faster") < page.index("slower")


def test_without_plotly_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the extra's name."""
    run = place(tmp_path, run_lines(RATES))
    report = write_report([run], tmp_path)
    monkeypatch.setattr(room, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="plotly is needed"):
        write_interactive([run], report, tmp_path / "REPORT.html")


def test_the_command_writes_and_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--open` shows the page; without a browser it says to open it."""
    run, opened = place(tmp_path, run_lines(RATES)), list[str]()

    def show(url: str) -> bool:
        opened.append(url)
        return False

    monkeypatch.setattr("webbrowser.open", show)
    assert main(["report", str(run), "--open", "--output", str(tmp_path / "out")]) == 0
    assert opened == [(tmp_path / "out" / "REPORT.html").resolve().as_uri()]
    assert "open the page yourself" in capsys.readouterr().err


def test_a_replay_has_the_lines_of_the_latest_run(tmp_path: Path) -> None:
    """As they were written, without what reading adds to them."""
    first, second = run_lines(RATES), run_lines(RATES, start=1_700_100_000.0)
    lines = lines_to_replay([place(tmp_path, first + second)])
    assert len([line for line in lines if line["event"] == "metrics"]) == len(RATES) + 1
    assert all(name == "_aws" or not name.startswith("_") for line in lines for name in line)
    assert lines[-1]["timestamp"] == second[-1]["timestamp"]


def test_uses_of_controls_are_marked(tmp_path: Path) -> None:
    """A line stands in the figure over time wherever a control was used, with its name."""
    lines = run_lines(RATES)
    use = {"event": "control_used", "timestamp": stamp(START + 2.5), "control": "rate", "value": "250"}
    run = place(tmp_path, [*lines[:4], use | {"level": "INFO"}, *lines[4:]])
    report = write_report([run], tmp_path / "out")
    shown = figures(write_interactive([run], report, tmp_path / "out" / "REPORT.html").read_text())
    (mark,) = shown["run-time"]["layout"]["shapes"]
    assert (mark["x0"], mark["x1"], mark["label"]["text"]) == (2.5, 2.5, "rate: 250")
