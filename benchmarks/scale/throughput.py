"""Throughput by number of workers when S3 is distant: the sweep `throughput` as table and chart."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.charts import Series, draw
from benchmarks.output import spread, table
from benchmarks.scale.sweeps import DISTANCE_SECONDS, MESSAGES_A_WORKER, MOST_MESSAGES
from benchmarks.scale.trial import Rounds, Sample

NOTE = (
    f"{MESSAGES_A_WORKER} messages a worker, {MOST_MESSAGES:,} at most. "
    f"Every S3 request waits {1000 * DISTANCE_SECONDS:.0f} ms at the endpoint, and an UPDATE makes two. "
    "p50 and p99 are a message's S3 work, after the queue: the queue was filled beforehand, so waiting in it "
    "says only how long it was."
)


def plot(path: Path, rounds: Rounds) -> None:
    """Draw throughput and CPU by number of workers, on logarithmic axes."""

    def of(value: Callable[[Sample], float]) -> dict[int, list[float]]:
        return {size: [value(samples[size]) for samples in rounds] for size in rounds[0]}

    busy = of(lambda sample: 100 * sample.busy)
    panels = [
        Series("messages a second", of(lambda sample: sample.rate), ideal=True),
        Series("CPU, % of one core", busy, levels={"a full core": [100]}, ideal=True),
    ]
    title = f"The service on one core, every S3 request waits {1000 * DISTANCE_SECONDS:.0f} ms"
    draw(path, title, "workers", panels)


def throughput_table(rounds: Rounds) -> str:
    """Return the table of throughput, CPU and service times by number of workers."""
    heads = ["workers", "msg/s", "CPU %", "CPU µs a message", "p50 ms", "p99 ms", "in flight", "RSS MB"]
    rows = []
    for size in rounds[0]:
        samples = [each[size] for each in rounds]
        rows.append(
            [
                f"{size:,}",
                spread([each.rate for each in samples]),
                spread([100 * each.busy for each in samples], 1),
                spread([each.cpu_us for each in samples]),
                spread([each.p50_ms for each in samples], 1),
                spread([each.p99_ms for each in samples], 1),
                f"{max(each.in_flight for each in samples):,}",
                spread([each.rss_mb for each in samples]),
            ]
        )
    return table(heads, rows)
