"""The sweeps of the jobs benchmark: sizes, ratios, verdicts, memory."""

import json
from pathlib import Path

import pytest

from benchmarks.jobs.__main__ import main, parse
from benchmarks.jobs.cache import Place
from benchmarks.jobs.cache import render as render_cache
from benchmarks.jobs.memory import MemoryResult, MemoryUse
from benchmarks.jobs.memory import render as render_memory
from benchmarks.jobs.services import GIN, OURS, arq_length, ledger_difference, list_length
from benchmarks.jobs.sweep_report import Measured, Sweep, render, verdict, write_sweep
from benchmarks.jobs.sweeps import STORED, SWEEPS, WAITING, chosen_mix, chosen_service, sizes
from benchmarks.output import RunInfo

INFO = RunInfo({"cpu": "C", "cores": 2, "python": "3", "commit": "abc"}, "now", 2)
MEMORY = MemoryResult(
    1_000_000, 600, MemoryUse(1.0, 2), MemoryUse(651.0, 1_000_002), MemoryUse(1.5, 3), ["{bench}:ledger"]
)


class StubRedis:
    """Answers with fixed values."""

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        assert key == "{bench}:ledger"
        return {b"created": b"10", b"processed": b"6", b"dead": b"1", b"cancelled": b"1", b"epoch": b"e-1"}

    def llen(self, key: str) -> int:
        assert key == "jobs"
        return 3

    def zcard(self, key: str) -> int:
        assert key == "arq:queue"
        return 4


def test_unfinished_jobs_are_read_off_each_service_in_its_way() -> None:
    stub = StubRedis()
    assert ledger_difference(stub) == 2  # type: ignore[arg-type] # only what is read
    assert list_length(stub) == 3  # type: ignore[arg-type]
    assert arq_length(stub) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ([0.9, 1.15, 3.0], "yes"),
        ([1.0, 1.16, 1.2], "no, dearer"),
        ([0.5, 0.84, 1.0], "no, cheaper"),
    ],
)
def test_median_ratio_decides_whether_cost_is_flat(ratios: list[float], said: str) -> None:
    assert verdict(ratios) == said


def test_sweep_shows_ratios_within_rounds(tmp_path: Path) -> None:
    measured = Measured()
    measured.add("CPU µs a request", 10_000, 50.0, 55.0)
    measured.add("CPU µs a request", 10_000, 100.0, 105.0)
    sweep = Sweep("stored", "Stored jobs", "finished jobs in Redis", 0, measured)
    text = write_sweep(sweep, INFO, tmp_path)
    assert text == render(sweep, INFO)
    assert "| 10,000 | 75.0 (50.0–100.0) | 80.0 (55.0–105.0) | 1.08 (1.05–1.10) | yes |" in text
    facts = json.loads((tmp_path / "jobs-stored.json").read_text())
    assert facts["measured"][0]["pairs"][1] == {"first": 100.0, "other": 105.0}


def test_memory_is_held_to_700_bytes_a_job_and_to_nothing_after_the_ttl() -> None:
    assert [each.met for each in MEMORY.targets] == ["yes"] * 4
    text = render_memory(MEMORY, INFO)
    assert "| bytes a job | ≤ 700 bytes | 650 (650–650) bytes | yes |" in text
    assert "Keys after the TTL: `{bench}:ledger`." in text


def test_target_of_memory_shrinks_with_the_number_of_jobs() -> None:
    few = MemoryResult(1000, 600, MemoryUse(1.0, 2), MemoryUse(1.8, 1002), MemoryUse(2.5, 900), [])
    assert [each.met for each in few.targets] == ["no", "no", "no", "no"]


def test_table_of_the_cache_has_a_row_for_each_place() -> None:
    text = render_cache([Place("the archive on S3", [1.0] * 98 + [3.0, 5.0], 0, 100)], INFO)
    assert "GET of 100 finished jobs" in text
    assert "| the archive on S3 | 1.06 | 1.00 | 1.00 | 4.98 | 0 | 100 |" in text


def test_larger_sizes_are_left_out() -> None:
    options = parse(["--sweep", "stored", "--most", "100000"])
    assert sizes(STORED, options) == [0, 10_000, 100_000]
    assert sizes(WAITING, options) == [20_000, 100_000]


def test_sweep_is_of_our_service_unless_another_is_named() -> None:
    assert chosen_service(parse([])).name == OURS
    assert chosen_service(parse(["--only", GIN])).name == GIN
    assert not chosen_mix(parse(["--unordered", "--clients", "5"])).ordered


def test_every_sweep_has_a_name() -> None:
    assert set(SWEEPS) == {"stored", "clients", "waiting", "memory", "cache"}


def test_sweep_of_a_missing_service_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.contenders.shutil.which", lambda _: None)
    monkeypatch.setattr("benchmarks.jobs.__main__.pin", lambda _: None)
    assert main(["--sweep", "clients", "--only", GIN]) == 2
    assert "apt-get install golang" in capsys.readouterr().err
