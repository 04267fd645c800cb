"""Service times of messages, from the daemon's own histograms."""

from typing import Any

from loadtest_trio.report.histograms import MergedLatencies


def service_times(lines: list[dict[str, Any]], *, after: int) -> dict[str, float]:
    """Return `p50_ms` and `p99_ms` of a message's S3 work over all operations.

    Args:
        lines: Metrics lines, newest first.
        after: A line counts if so many messages were done before its interval began, which excludes
            connecting; if there is no such line, all count.
    """
    began = [line["messages_processed"] for line in lines[1:]]
    late = [line for line, done in zip(lines, began, strict=False) if done >= after] or lines
    merged = MergedLatencies()
    for line in late:
        for path, encoded in line["histograms"].items():
            if path.endswith(".service_ms"):
                merged.add(encoded)
    return {f"p{percent}_ms": merged.percentile_ms(percent) or 0.0 for percent in (50, 99)}
