"""Before money is spent: can the backends do it, and what will it cost?"""

from loadtest_trio.cli.preflight.checks import Finding, Grade, check_redis, check_s3
from loadtest_trio.cli.preflight.cost import Plan, Position, predict, total, unknown
from loadtest_trio.cli.preflight.prices import load_prices

__all__ = [
    "Finding",
    "Grade",
    "Plan",
    "Position",
    "check_redis",
    "check_s3",
    "load_prices",
    "predict",
    "total",
    "unknown",
]
