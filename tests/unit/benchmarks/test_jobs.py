"""The jobs benchmark: what wrk prints, ratios within rounds, targets, tables."""

import json
import shutil
import sys
from pathlib import Path

import attrs
import pytest

from benchmarks.jobs.__main__ import parse
from benchmarks.jobs.comparison import compare
from benchmarks.jobs.load import LoadError, LoadResult, Mix, parse_summary, run_wrk
from benchmarks.jobs.report import Comparison, Round, cpu_us, rate, render, targets, write_all
from benchmarks.jobs.services import FASTAPI, GIN, OURS, find_services
from benchmarks.jobs.trial import Sample
from benchmarks.output import RunInfo
from tests.support.job_api import JobApi, serve

INFO = RunInfo({"cpu": "C", "cores": 2, "python": "3", "commit": "abc"}, "now", 3)
SAMPLE = Sample(
    requests=1000,
    rate=10_000.0,
    p50_ms=1.0,
    p95_ms=2.0,
    p99_ms=3.0,
    cpu_us=60.0,
    cpu_us_job=200.0,
    not_2xx=0,
    busy=0.9,
    behind_seconds=0.1,
    rss_mb=50.0,
)
SUMMARY = {
    "sent": 108,
    "requests": 100,
    "seconds": 2.0,
    "submitted": 30,
    "not_2xx": 0,
    "socket_errors": 0,
    "p50_ms": 1.0,
    "p95_ms": 2.0,
    "p99_ms": 3.0,
    "last_ids": ["a", "b"],
}


def one_round(ours: Sample, gin: Sample, fastapi: Sample) -> Round:
    return {
        (name, count): sample
        for name, sample in ((OURS, ours), (GIN, gin), (FASTAPI, fastapi))
        for count in (64, 500)
    }


def comparison(*rounds: Round) -> Comparison:
    return Comparison(INFO, 6, 30, list(rounds), {})


GOOD = one_round(
    SAMPLE, attrs.evolve(SAMPLE, cpu_us=40.0), attrs.evolve(SAMPLE, cpu_us=500.0, rate=1000.0, p95_ms=400.0)
)


def test_summary_is_last_line_of_json() -> None:
    text = f"Running 6s test\n{json.dumps(SUMMARY)}\n"
    assert parse_summary(text) == LoadResult(**SUMMARY)  # type: ignore[arg-type]
    assert parse_summary(text).last_ids == ("a", "b")


def test_load_without_summary_says_what_wrk_said() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        parse_summary("", "unable to connect to 127.0.0.1:1")


def test_load_without_answers_is_an_error() -> None:
    with pytest.raises(LoadError, match="no request was answered"):
        parse_summary(json.dumps(SUMMARY | {"requests": 0}))


def test_mix_becomes_arguments_of_the_script() -> None:
    mix = Mix(submit=100, clients=10, ordered=False, limit=5, factorial=69, known_ids=("x",))
    assert mix.arguments() == ["submit=100", "clients=10", "ordered=0", "limit=5", "n=69", "id=x"]


def test_ratios_are_taken_within_a_round() -> None:
    slow = {key: attrs.evolve(sample, cpu_us=2 * sample.cpu_us) for key, sample in GOOD.items()}
    partial = {key: sample for key, sample in GOOD.items() if key[0] == OURS}
    assert comparison(GOOD, slow, partial).ratios(OURS, FASTAPI, 64, cpu_us) == [0.12, 0.12]
    assert comparison(GOOD).ratios(OURS, FASTAPI, 500, rate) == [10.0]


def test_targets_are_met_by_a_good_service() -> None:
    met = {each.name: each.met for each in targets(comparison(GOOD))}
    missed = [name for name, verdict in met.items() if verdict != "yes"]
    assert missed == ["CPU a request, 64 connections: the aim", "CPU a request, 500 connections: the aim"]


@pytest.mark.parametrize(
    ("bad", "missed"),
    [
        (attrs.evolve(SAMPLE, p95_ms=60.0), "p95 response time, 500 connections"),
        (attrs.evolve(SAMPLE, rate=4043.0), "requests a second, 64 connections"),
        (attrs.evolve(SAMPLE, cpu_us=80.1), "CPU a request, 64 connections"),
        (attrs.evolve(SAMPLE, not_2xx=1), "answers other than 2xx, 64 connections"),
    ],
)
def test_target_is_missed_by_a_service_beyond_it(bad: Sample, missed: str) -> None:
    ours = {key: bad for key in GOOD if key[0] == OURS}
    verdicts = [each.met for each in targets(comparison(GOOD | ours)) if each.name == missed]
    assert "no" in verdicts


def test_one_bad_round_out_of_three_misses_the_target_of_no_failures() -> None:
    failing = GOOD | {(OURS, 64): attrs.evolve(SAMPLE, not_2xx=3)}
    found = targets(comparison(GOOD, failing, GOOD))
    verdicts = {each.name: each.met for each in found if each.name.startswith("answers")}
    assert verdicts == {
        "answers other than 2xx, 64 connections": "no",
        "answers other than 2xx, 500 connections": "yes",
    }


def test_targets_without_our_service_are_not_measured() -> None:
    others = {key: sample for key, sample in GOOD.items() if key[0] != OURS}
    assert {each.met for each in targets(comparison(others))} == {"not measured"}


def test_text_shows_services_by_cost_and_why_one_is_missing() -> None:
    found = Comparison(INFO, 6, 30, [GOOD], {"go-batched": "no Go"}, {"fastapi": "1.0"})
    text = render(found)
    assert text.index("| Go, gin + redigo |") < text.index("| loadtest_trio jobs |")
    assert "Left out: go-batched: no Go" in text
    assert "fastapi 1.0." in text
    assert (
        "| CPU a request, 64 connections | ≤ 0.15 × fastapi-arq | 0.120 (0.120–0.120) × fastapi-arq | yes |"
        in text
    )


def test_results_hold_every_sample(tmp_path: Path) -> None:
    write_all(comparison(GOOD, GOOD), tmp_path)
    facts = json.loads((tmp_path / "jobs.json").read_text())
    assert [len(samples) for samples in facts["samples"]] == [6, 6]
    assert facts["samples"][0][0] == {"service": OURS, "connections": 64, **attrs.asdict(SAMPLE)}
    assert (tmp_path / "jobs.md").read_text().startswith("### Job services\n")


def test_services_are_found_by_name() -> None:
    assert [each.name for each in find_services([GIN])] == [GIN]
    assert OURS in {each.name for each in find_services([])}


def test_command_line_gives_our_service_settings() -> None:
    options = parse(["--only", OURS, "--setting", "JOB_RATE_LIMIT_PER_MINUTE=100", "--setting", "A=b=c"])
    assert options.only == [OURS]
    assert options.settings == {"JOB_RATE_LIMIT_PER_MINUTE": "100", "A": "b=c"}


@pytest.mark.parametrize("arguments", [["--only", "nobody"], ["--setting", "NAME"], ["--sweep", "weather"]])
def test_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)


def test_service_that_cannot_run_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contenders.shutil.which", lambda _: None)
    found, failed = compare(parse(["--rounds", "2", "--only", GIN]))
    assert found.rounds == [{}, {}]
    assert "apt-get install golang" in found.left_out[GIN]
    assert not failed


needs_wrk = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("wrk"), reason="apt-get install wrk"
)


@needs_wrk
def test_wrk_mixes_submissions_with_polls_of_submitted_jobs() -> None:
    with serve(JobApi()) as api:
        result = run_wrk(api.url, Mix(submit=30, clients=50), connections=4, seconds=1)
    assert result.not_2xx == result.socket_errors == 0
    assert result.requests <= result.sent <= result.requests + 4
    assert 0.2 < result.submitted / result.requests < 0.4
    assert all(path.startswith("/api/jobs/job-") for path in api.polls)
    assert {json.loads(body)["type"] for _, body in api.submissions} == {"sha512", "factorial"}
    assert len({client for client, _ in api.submissions}) > 10


@needs_wrk
def test_wrk_stops_at_the_limit() -> None:
    mix = Mix(submit=100, limit=40, factorial=69, ordered=False)
    with serve(JobApi()) as api:
        result = run_wrk(api.url, mix, connections=2, seconds=20)
    assert 40 <= result.submitted <= 42
    assert json.loads(api.submissions[0][1]) == {"type": "factorial", "payload": {"n": 69}, "ordered": False}


@needs_wrk
def test_refused_requests_are_counted() -> None:
    with serve(JobApi(refused_first=3)) as api:
        result = run_wrk(api.url, Mix(), connections=1, seconds=1)
    assert result.not_2xx == 3
