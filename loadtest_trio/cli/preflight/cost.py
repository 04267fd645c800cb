"""Predicts the requests, bytes and cost of a run or of the job service. Pure.

Steady messages are rate x time. If DELETE outweighs CREATE, the bucket stays at its minimum and refills
(CREATEs in addition to the mix) make up the difference. S3 charges PUT and LIST as one class and GET as
another; DELETE is free, and so is traffic through a gateway endpoint within the region.

The job service is charged as `terraform/` deploys it with `service = "jobs"`: its fewest tasks all the time,
one capacity unit of the load balancer, and one PUT for each job if jobs are archived. Results too large for
Redis are not counted.
"""

from typing import Any

import attrs

from loadtest_trio.handlers.objects.payload import LINE_BYTES
from loadtest_trio.jobs.message import Operation
from loadtest_trio.metrics.emf import UNITS
from loadtest_trio.settings import ArchiveMode, Role, Settings

_KEYS_A_PAGE = 1000
_LOG_LINE_BYTES = 13_000  # a metrics line with its histograms, at the latencies of a network
_GB = 1e9


@attrs.frozen
class CostInputs:
    """The inputs of the prediction that are not settings of the service; the defaults match `terraform/`.

    Attributes:
        rate: Steady messages or jobs per second; None if unknown, as in saturate mode before a measurement.
        seconds: Duration of the run.
        memory_gb: Memory of a Fargate task; it has one vCPU.
        architecture: ``X86_64`` or ``ARM64``.
        node_type: The ElastiCache node type.
        engine: ``valkey`` or ``redis``.
        endpoints: Interface endpoints (per zone) that the task needs in private subnets.
        alarms: Metrics in CloudWatch alarms, those of scaling included.
        secrets: Secrets in Secrets Manager.
        tasks: Fargate tasks.
        nodes: Redis nodes, replicas included.
        metrics: Custom metrics of CloudWatch.
        addresses: Public IPv4 addresses of the load balancer, one a zone.
        load_balancers: 1 for the job service.
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
    tasks: int = 1
    nodes: int = 1
    metrics: int = len(UNITS)
    addresses: int = 0
    load_balancers: int = 0

    def of_job_service(self) -> "CostInputs":
        """Return the same for the job service: two API tasks and a worker, two zones, a replica of Redis."""
        return attrs.evolve(
            self,
            endpoints=8,
            alarms=14,
            secrets=3,
            tasks=3,
            nodes=2,
            metrics=2 * (len(UNITS) - 1),  # no `objects`, which only a scheduler knows
            addresses=2,
            load_balancers=1,
        )


@attrs.frozen
class LineItem:
    """One line of the prediction.

    Attributes:
        service: The AWS service on the bill.
        what: What is charged for.
        quantity: The quantity; None if it depends on an unknown rate.
        unit: Unit of the quantity.
        usd: The cost; None if the quantity or its price is unknown.
    """

    service: str
    what: str
    quantity: float | None
    unit: str
    usd: float | None


def predict(settings: Settings, inputs: CostInputs, prices: dict[str, Any]) -> list[LineItem]:
    """Return quantities and costs of the run, line by line.

    Args:
        settings: The service's configuration: mix, sizes, intervals.
        inputs: Rate, duration and machines.
        prices: The price table.
    """
    hours, months = inputs.seconds / 3600, inputs.seconds / 3600 / prices["hours_a_month"]
    log_gb = inputs.tasks * inputs.seconds / settings.log_interval_seconds * _LOG_LINE_BYTES / _GB
    return [
        *_machines(inputs, hours, prices),
        *(_archive if Role.API in settings.roles else _s3)(settings, inputs, prices),
        *_front(inputs, hours, prices),
        _line_item(
            "VPC", "interface endpoints", inputs.endpoints * hours, "h", prices["interface_endpoint_hour"]
        ),
        _line_item("CloudWatch", "log ingestion", log_gb, "GB", prices["log_ingest_gb"]),
        _line_item("CloudWatch", "metrics", inputs.metrics * months, "months", prices["custom_metric_month"]),
        _line_item("CloudWatch", "alarms", inputs.alarms * months, "months", prices["alarm_month"]),
        _line_item("CloudWatch", "dashboard", months, "months", prices["dashboard_month"]),
        _line_item("Secrets Manager", "secrets", inputs.secrets * months, "months", prices["secret_month"]),
    ]


def total(items: list[LineItem]) -> float:
    """Return the sum of all known prices, in USD."""
    return sum(item.usd or 0.0 for item in items)


def unknown(items: list[LineItem]) -> list[str]:
    """Return the items missing from the total, because their quantity or price is unknown."""
    return [f"{item.service} {item.what}" for item in items if item.usd is None]


def _machines(inputs: CostInputs, hours: float, prices: dict[str, Any]) -> list[LineItem]:
    vcpu, gb = (prices[name][inputs.architecture] for name in ("fargate_vcpu_hour", "fargate_gb_hour"))
    node = f"{inputs.node_type}, {inputs.engine}"
    return [
        _line_item("Fargate", "1 vCPU", inputs.tasks * hours, "h", vcpu),
        _line_item("Fargate", "memory", inputs.tasks * inputs.memory_gb * hours, "GB h", gb),
        _line_item("ElastiCache", node, inputs.nodes * hours, "h", _node_hour(inputs, prices)),
    ]


def _front(inputs: CostInputs, hours: float, prices: dict[str, Any]) -> list[LineItem]:
    balancers = inputs.load_balancers * hours
    if not balancers:
        return []
    name = "load balancer"
    return [
        _line_item("ELB", name, balancers, "h", prices["load_balancer_hour"]),
        _line_item("ELB", f"{name}'s capacity unit", balancers, "h", prices["load_balancer_unit_hour"]),
        _line_item("ELB", f"{name}'s addresses", inputs.addresses * hours, "h", prices["public_ipv4_hour"]),
    ]


def _archive(settings: Settings, inputs: CostInputs, prices: dict[str, Any]) -> list[LineItem]:
    jobs = _times(inputs.rate, inputs.seconds) if settings.job_archive is ArchiveMode.S3 else 0.0
    return [_line_item("S3", "PUT requests of archived jobs", jobs, "requests", prices["s3_put_1000"] / 1000)]


def _s3(settings: Settings, inputs: CostInputs, prices: dict[str, Any]) -> list[LineItem]:
    messages = None if inputs.rate is None else inputs.rate * inputs.seconds
    share = {op: settings.steady_state_distribution.share(op) / 100 for op in Operation}
    refills = max(0.0, share[Operation.DELETE] - share[Operation.CREATE])
    gets = _times(messages, share[Operation.READ] + share[Operation.UPDATE])
    puts = _times(messages, share[Operation.UPDATE] + share[Operation.CREATE] + refills)
    pages = -(-settings.precondition_max_objects // _KEYS_A_PAGE)
    lists = inputs.seconds / settings.inventory_reconcile_seconds * pages
    size = _mean_bytes(settings)
    put_usd, get_usd = prices["s3_put_1000"] / 1000, prices["s3_get_1000"] / 1000
    return [
        _line_item("S3", "GET requests", gets, "requests", get_usd),
        _line_item("S3", "PUT requests", puts, "requests", put_usd),
        _line_item("S3", "LIST requests", lists, "requests", put_usd),
        _line_item("S3", "DELETE requests", _times(messages, share[Operation.DELETE]), "requests", 0.0),
        _line_item("S3", "downloaded, same region", _times(gets, size / _GB), "GB", 0.0),
        _line_item("S3", "uploaded", _times(puts, size / _GB), "GB", 0.0),
    ]


def _node_hour(inputs: CostInputs, prices: dict[str, Any]) -> float | None:
    price: float | None = prices["redis_node_hour"].get(inputs.node_type)
    if price is None or inputs.engine != "valkey":
        return price
    return price * (1.0 - float(prices["valkey_discount"]))


def _line_item(service: str, what: str, quantity: float | None, unit: str, price: float | None) -> LineItem:
    free = price == 0.0  # even if the quantity is unknown
    return LineItem(service, what, quantity, unit, 0.0 if free else _times(quantity, price))


def _times(quantity: float | None, factor: float | None) -> float | None:
    return None if quantity is None or factor is None else quantity * factor


def _mean_bytes(settings: Settings) -> float:
    least, most = settings.min_file_size_bytes, settings.max_file_size_bytes
    if least is not None and most is not None:
        return (least + most) / 2
    return (settings.min_file_uuids + settings.max_file_uuids) / 2 * LINE_BYTES
