"""The users benchmark: what the server observed, ratios within rounds, targets, command lines."""

import json
from pathlib import Path

import attrs
import pytest

from benchmarks.output import RunInfo
from benchmarks.users import generators
from benchmarks.users.__main__ import parse
from benchmarks.users.comparison import compare
from benchmarks.users.generators import K6, LOCUST, OURS, Generator, find_generators
from benchmarks.users.observed import Observed
from benchmarks.users.report import FEW, MANY, Comparison, Round, render, targets, write_all
from benchmarks.users.trial import GeneratorError, Sample, Schedule
from tests.clients import launch
from tests.clients.launch import ClientLoad

INFO = RunInfo({"cpu": "C", "cores": 2, "python": "3", "commit": "abc"}, "now", 2)
SAMPLE = Sample(
    users=FEW,
    rate=3000.0,
    cpu_us=40.0,
    busy=0.12,
    rss_mb=60.0,
    late_percent=0.0,
    gap_p99_ms=1002,
    failures=0,
)
HELD = attrs.evolve(SAMPLE, users=15_000, rate=15_000.0)
LOAD = ClientLoad(500, 100, seconds=19, job={"type": "sleep", "payload": {"ms": 50}})


def one_round(factor: float = 1.0) -> Round:
    """A round in which a machine that is `factor` slower makes everybody dearer."""
    costs = {OURS: 40.0, K6: 100.0, LOCUST: 160.0}
    sizes = {OURS: 12.0, K6: 270.0, LOCUST: 24.0}
    return {
        (name, users): attrs.evolve(
            SAMPLE, users=users, cpu_us=factor * cost, rss_mb=50 + users * sizes[name] / 1024
        )
        for name, cost in costs.items()
        for users in (FEW, MANY)
    }


def test_observed_counts_are_those_between_two_moments() -> None:
    before = Observed.parse({"requests": 10, "failures": 1, "gaps_ms": {"1000": 5}})
    after = Observed.parse({"requests": 30, "failures": 1, "gaps_ms": {"1000": 7, "1200": 2}})
    assert after.since(before) == Observed(20, 0, {1000: 2, 1200: 2})
    assert before.since(before).gaps_ms == {}


def test_poll_is_late_from_a_tenth_of_a_second_on() -> None:
    seen = Observed(0, 0, {999: 1, 1000: 90, 1099: 5, 1100: 3, 5000: 1})
    assert seen.late_share(1.0) == pytest.approx(0.04)
    assert seen.late_share(5.0) == 0
    assert Observed(0, 0, {}).late_share(1.0) == 0


@pytest.mark.parametrize(("share", "gap"), [(0.5, 1000), (0.9, 1000), (0.99, 1500), (1.0, 4000)])
def test_gap_is_a_percentile_of_all_polls(share: float, gap: int) -> None:
    assert Observed(0, 0, {4000: 1, 1000: 90, 1500: 9}).gap_ms(share) == gap
    assert Observed(0, 0, {}).gap_ms(share) == 0


def test_ratios_are_taken_within_a_round() -> None:
    found = Comparison(INFO, [one_round(), one_round(3.0)], [], {})
    assert found.ratios(OURS, K6, FEW) == [0.4, 0.4]
    assert found.ratios(OURS, LOCUST, MANY) == [0.25, 0.25]


def test_memory_of_a_user_is_the_slope_between_two_populations() -> None:
    found = Comparison(INFO, [one_round()], [], {})
    assert found.kb_a_user(K6) == [pytest.approx(270)]
    few_only = {key: sample for key, sample in one_round().items() if key[1] == FEW}
    assert Comparison(INFO, [few_only], [], {}).kb_a_user(K6) == []


def test_targets_are_met_by_good_users() -> None:
    found = targets(Comparison(INFO, [one_round()], [HELD], {}))
    assert [each.met for each in found] == ["yes"] * 6


@pytest.mark.parametrize(
    ("held", "missed"),
    [
        ([HELD, attrs.evolve(HELD, late_percent=0.01), HELD], "late polls, 15,000 users"),
        ([attrs.evolve(HELD, rate=14_000.0)], "requests a second, 15,000 users"),
    ],
)
def test_held_users_miss_their_target_when_late_or_missing(held: list[Sample], missed: str) -> None:
    found = targets(Comparison(INFO, [one_round()], held, {}))
    assert [each.name for each in found if each.met == "no"] == [missed]


def test_text_and_json_hold_everything(tmp_path: Path) -> None:
    found = Comparison(INFO, [one_round()], [HELD], {"nobody": "not installed"})
    text = write_all(found, tmp_path)
    assert text == render(found)
    assert (
        text.index("| loadtest_trio users |") < text.index("| k6 |") < text.index("| Locust, FastHttpUser |")
    )
    assert "| 15,000 | 15,000 (15,000–15,000) |" in text
    assert "Left out: nobody: not installed" in text
    facts = json.loads((tmp_path / "users.json").read_text())
    assert len(facts["samples"][0]) == 6
    assert facts["held"] == [attrs.asdict(HELD)]


def test_generator_runs_longer_than_it_is_measured() -> None:
    schedule = Schedule(settle_seconds=3, measure_seconds=6)
    assert schedule.seconds(LOAD) > LOAD.ramp_seconds + 3 + 6


def test_our_command_plays_the_same_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "our_command", lambda name: ["python", "-m", "loadtest_trio", name])
    (ours,) = find_generators([OURS])
    words = ours.command("http://127.0.0.1:1", LOAD)[3:]
    assert words[:8] == ["users", "-H", "http://127.0.0.1:1", "-u", "500", "-r", "100", "-t"]
    assert words[8:10] == ["19s", "--headless"]
    assert words[10:] == ["-P", "jobs=3", "-P", "poll=1", "-P", "type=sleep", "-P", 'payload={"ms": 50}']


def test_foreign_clients_are_told_the_same_load(tmp_path: Path) -> None:
    locust = launch.command(LOCUST, "http://h", LOAD, tmp_path)
    assert locust[0] == str(tmp_path / "locust")
    assert locust[3:11] == ["-H", "http://h", "-u", "500", "-r", "100", "-t", "19s"]
    told = launch.variables("http://h", LOAD)
    assert (told["USERS"], told["SECONDS"], told["RAMP_SECONDS"]) == ("500", "19", "5")
    assert json.loads(told["JOB"]) == LOAD.job
    assert "SUMMARY" not in told


def test_generator_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.jobs.services.PEERS_VENV", tmp_path)
    monkeypatch.setattr("benchmarks.users.trial.fast_server", lambda: StubDeployment())
    found, failed = compare(parse(["--rounds", "2", "--only", K6]))
    assert found.rounds == [{}, {}]
    assert found.left_out == {K6: "k6 of the peers is not installed: run scripts/bench jobs"}
    assert not failed


def test_rounds_are_reported_although_users_could_not_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(generator: Generator, load: ClientLoad, schedule: Schedule) -> Sample:
        if load.users == 15_000:
            raise GeneratorError("out of descriptors")
        return attrs.evolve(SAMPLE, users=load.users)

    monkeypatch.setattr("benchmarks.users.comparison.run_trial", trial)
    found, failed = compare(parse(["--rounds", "1", "--only", OURS]))
    assert failed
    assert set(found.rounds[0]) == {(OURS, FEW), (OURS, MANY)}
    assert found.left_out == {"trio, 15,000 users held": "out of descriptors"}


class StubDeployment:
    """A server that is never asked."""

    url = "http://127.0.0.1:9"

    def __enter__(self) -> "StubDeployment":
        return self

    def __exit__(self, *_: object) -> None:
        """Stop nothing."""


@pytest.mark.parametrize("arguments", [["--only", "nobody"], ["--held", "many"]])
def test_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
