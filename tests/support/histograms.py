"""What HdrHistogram itself says of a distribution."""

from hdrh.histogram import HdrHistogram


def as_said(merged: HdrHistogram) -> dict[str, float | None]:
    """Return the percentiles as HdrHistogram itself finds them, in milliseconds."""
    if not merged.get_total_count():
        return {"p50": None, "p95": None, "p99": None, "max": None}
    found = merged.get_percentile_to_value_dict([50, 95, 99, 100])
    return dict(zip(("p50", "p95", "p99", "max"), (value / 1000 for value in found.values()), strict=True))
