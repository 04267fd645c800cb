"""What a run will do and cost. Pure.

Steady messages are rate x time. Where DELETE outweighs CREATE, the bucket lives at its floor and refills
(CREATEs, on top of the mix) make up for the difference. S3 charges PUT and LIST as one class and GET as
another; DELETE is free, and so is traffic through a gateway endpoint within the region.
"""

from typing import Any

import attrs

from loadtest_trio.handlers.objects.payload import LINE_BYTES
from loadtest_trio.jobs.message import Operation
from loadtest_trio.metrics.emf import UNITS
from loadtest_trio.settings import Settings

_KEYS_A_PAGE = 1000
_LOG_LINE_BYTES = 13_000  # a metrics line with its histograms, at the latencies of a network
_GB = 1e9


@attrs.frozen
class Plan:
    """What is not a setting of the service but costs money all the same; by default what terraform/ builds.

    Attributes:
        rate: Steady messages a second; None when nobody knows, as in saturate mode before a measurement.
        seconds: Duration of the run.
        memory_gb: Memory of the Fargate task; it has one vCPU.
        architecture: ``X86_64`` or ``ARM64``.
        node_type: The ElastiCache node type.
        engine: ``valkey`` or ``redis``.
        endpoints: Interface endpoints (per zone) that the task needs in private subnets.
        alarms: CloudWatch alarms.
        secrets: In Secrets Manager.
    """

    rate: float | None
    seconds: float
    memory_gb: float = 2.0
    architecture: str = "X86_64"
    node_type: str = "cache.t4g.small"
    engine: str = "valkey"
    endpoints: int = 4
    alarms: int = 7
    secrets: int = 2


@attrs.frozen
class Position:
    """One line of the prediction.

    Attributes:
        service: Whom AWS bills it under.
        what: What is counted.
        quantity: How much of it; None when it hangs on a rate that nobody knows.
        unit: Of the quantity.
        usd: What it costs; None when the quantity or its price is unknown.
    """

    service: str
    what: str
    quantity: float | None
    unit: str
    usd: float | None


def predict(settings: Settings, plan: Plan, prices: dict[str, Any]) -> list[Position]:
    """Return what the run will do and cost, line by line.

    Args:
        settings: The service's configuration: mix, sizes, intervals.
        plan: Rate, time and the machines.
        prices: The price table.
    """
    hours, months = plan.seconds / 3600, plan.seconds / 3600 / prices["hours_a_month"]
    log_gb = plan.seconds / settings.log_interval_seconds * _LOG_LINE_BYTES / _GB
    return [
        _position("Fargate", "1 vCPU", hours, "h", prices["fargate_vcpu_hour"][plan.architecture]),
        _position(
            "Fargate", "memory", plan.memory_gb * hours, "GB h", prices["fargate_gb_hour"][plan.architecture]
        ),
        _position("ElastiCache", f"{plan.node_type}, {plan.engine}", hours, "h", _node_hour(plan, prices)),
        *_s3(settings, plan, prices),
        _position(
            "VPC", "interface endpoints", plan.endpoints * hours, "h", prices["interface_endpoint_hour"]
        ),
        _position("CloudWatch", "log ingestion", log_gb, "GB", prices["log_ingest_gb"]),
        _position("CloudWatch", "metrics", len(UNITS) * months, "months", prices["custom_metric_month"]),
        _position("CloudWatch", "alarms", plan.alarms * months, "months", prices["alarm_month"]),
        _position("CloudWatch", "dashboard", months, "months", prices["dashboard_month"]),
        _position("Secrets Manager", "secrets", plan.secrets * months, "months", prices["secret_month"]),
    ]


def total(positions: list[Position]) -> float:
    """Return the sum of all known prices, in USD."""
    return sum(position.usd or 0.0 for position in positions)


def unknown(positions: list[Position]) -> list[str]:
    """Return what is in no sum, since its quantity or price is unknown."""
    return [f"{position.service} {position.what}" for position in positions if position.usd is None]


def _s3(settings: Settings, plan: Plan, prices: dict[str, Any]) -> list[Position]:
    messages = None if plan.rate is None else plan.rate * plan.seconds
    share = {op: settings.steady_state_distribution.share(op) / 100 for op in Operation}
    refills = max(0.0, share[Operation.DELETE] - share[Operation.CREATE])
    gets = _times(messages, share[Operation.READ] + share[Operation.UPDATE])
    puts = _times(messages, share[Operation.UPDATE] + share[Operation.CREATE] + refills)
    pages = -(-settings.precondition_max_objects // _KEYS_A_PAGE)
    lists = plan.seconds / settings.inventory_reconcile_seconds * pages
    size = _mean_bytes(settings)
    put_usd, get_usd = prices["s3_put_1000"] / 1000, prices["s3_get_1000"] / 1000
    return [
        _position("S3", "GET requests", gets, "requests", get_usd),
        _position("S3", "PUT requests", puts, "requests", put_usd),
        _position("S3", "LIST requests", lists, "requests", put_usd),
        _position("S3", "DELETE requests", _times(messages, share[Operation.DELETE]), "requests", 0.0),
        _position("S3", "downloaded, same region", _times(gets, size / _GB), "GB", 0.0),
        _position("S3", "uploaded", _times(puts, size / _GB), "GB", 0.0),
    ]


def _node_hour(plan: Plan, prices: dict[str, Any]) -> float | None:
    price: float | None = prices["redis_node_hour"].get(plan.node_type)
    if price is None or plan.engine != "valkey":
        return price
    return price * (1.0 - float(prices["valkey_discount"]))


def _position(service: str, what: str, quantity: float | None, unit: str, price: float | None) -> Position:
    free = price == 0.0  # whatever the quantity
    return Position(service, what, quantity, unit, 0.0 if free else _times(quantity, price))


def _times(quantity: float | None, factor: float | None) -> float | None:
    return None if quantity is None or factor is None else quantity * factor


def _mean_bytes(settings: Settings) -> float:
    least, most = settings.min_file_size_bytes, settings.max_file_size_bytes
    if least is not None and most is not None:
        return (least + most) / 2
    return (settings.min_file_uuids + settings.max_file_uuids) / 2 * LINE_BYTES
