"""Verdicts of the scale benchmark, and the synthetic LIST it needs."""

from typing import Any

import attrs
import pytest

from benchmarks.output import RunInfo
from benchmarks.scale.latency import service_times
from benchmarks.scale.report import Scale, listing, memory, ratios, render, verdict
from benchmarks.scale.sweeps import STARTS
from benchmarks.scale.trial import Rounds, Sample
from benchmarks.stub_s3 import list_page
from loadtest_trio.backends.s3.listing import parse_listing
from loadtest_trio.metrics.latencies import Latencies, histogram

SAMPLE = Sample(
    cpu_us=500.0, rate=1000.0, busy=0.5, rss_mb=70.0, in_flight=8, cpu_before=1.0, p50_ms=40.0, p99_ms=80.0
)


def sample(cpu_us: float, rss_mb: float = 70.0, cpu_before: float = 1.0) -> Sample:
    return attrs.evolve(SAMPLE, cpu_us=cpu_us, rss_mb=rss_mb, cpu_before=cpu_before)


@pytest.fixture
def rounds() -> Rounds:
    return [
        {8: sample(500.0), 64: sample(550.0, 80.0), 512: sample(600.0, 304.0, 2.0)},
        {8: sample(1000.0), 64: sample(1000.0, 82.0), 512: sample(1300.0, 306.0, 2.0)},
    ]


def test_ratios_are_taken_within_a_round(rounds: Rounds) -> None:
    """The second round was twice as slow; its ratios are the same."""
    assert ratios(rounds, 8) == [1.0, 1.0]
    assert ratios(rounds, 512) == [1.2, 1.3]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.15, 0.85, 1.0], "yes"),
        ([1.14, 1.16, 1.2], "no, dearer"),
        ([0.86, 0.84, 0.5], "no, cheaper"),
    ],
)
def test_flat_is_within_15_percent_in_both_directions(values: list[float], expected: str) -> None:
    """The median decides; otherwise the verdict names the direction."""
    assert verdict(values) == expected


def test_memory_per_worker_is_the_slope_above_the_base(rounds: Rounds) -> None:
    """224 MB over 448 workers are 0.5 MB each; without a larger size there is no slope."""
    assert memory(rounds) == (81.0, 0.5)
    assert memory([{8: SAMPLE, 64: SAMPLE}]) is None


def test_listing_has_a_cost_per_key(rounds: Rounds) -> None:
    """504 more keys cost one CPU second more."""
    assert listing(rounds) == pytest.approx(1e6 / 504)
    assert listing([{100: SAMPLE}]) is None


def test_text_has_every_size_and_verdict(rounds: Rounds) -> None:
    """Tables show sizes, ratios and limits of the sweeps that were measured."""
    machine: dict[str, str | int] = {"cpu": "C", "cores": 2, "python": "3", "commit": "abc"}
    starts = {start.title: [1.4, 1.6, 1.7] for start in STARTS}
    text = render(Scale(RunInfo(machine, "now", 2), 100, {"workers": rounds}, starts))
    assert "| 512 | 950 (600–1,300) | 1.25 (1.20–1.30) | no, dearer |" in text
    assert "| a further worker | 0.50 | 0.6 | yes |" in text
    assert "| 1.60 (1.40–1.70) | 1.5 | no |" in text
    assert "Known objects" not in text


def test_throughput_has_its_own_table(rounds: Rounds) -> None:
    """Throughput has no flatness verdict; latencies are in the same row."""
    machine: dict[str, str | int] = {"cpu": "C", "cores": 2, "python": "3", "commit": "abc"}
    text = render(Scale(RunInfo(machine, "now", 2), 100, {"throughput": rounds}, {}))
    assert "| 64 | 1,000 (1,000–1,000) | 50.0 (50.0–50.0) | 775 (550–1,000) | 40.0 (40.0–40.0) |" in text
    assert "flat" not in text


def test_service_times_exclude_connecting() -> None:
    """Only intervals that began after the first mark count, and only the S3 work in them."""

    def line(done: int, milliseconds: int) -> dict[str, Any]:
        latencies = Latencies()
        latencies.record(milliseconds / 1000)
        encoded = histogram(latencies.collect()).encode().decode()
        histograms = {"READ.service_ms": encoded, "READ.queue_wait_ms": "", "DELETE.service_ms": encoded}
        return {"messages_processed": done, "histograms": histograms}

    newest_first = [line(300, 40), line(200, 40), line(100, 900)]
    assert service_times(newest_first, after=100)["p99_ms"] == pytest.approx(40, rel=0.01)
    assert service_times(newest_first[2:], after=100)["p50_ms"] == pytest.approx(900, rel=0.01)


def test_stub_lists_every_key_once() -> None:
    """Our own parser reads page after page; the last one is shorter and has no token."""
    target, keys = b"/bench?list-type=2", []
    while True:
        page = parse_listing(list_page(target, 2500))
        keys += [each.key for each in page.objects]
        if page.next_token is None:
            break
        target = b"/bench?continuation-token=" + page.next_token.encode() + b"&list-type=2"
    assert len(keys) == len(set(keys)) == 2500
