"""The types of settings, and how their text is parsed, checked and masked. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import attrs
from cattrs import Converter

from loadtest_trio.jobs.message import Operation
from loadtest_trio.settings.allow_list import AllowList, parse_allow_list


class SchedulerMode(StrEnum):
    """How the scheduler decides how many messages are due."""

    RATE = "rate"
    SATURATE = "saturate"


class LogFormat(StrEnum):
    """How log lines look; `AUTO` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class MetricsFormat(StrEnum):
    """`EMF` adds the CloudWatch embedded metric format's header to each metrics line."""

    PLAIN = "plain"
    EMF = "emf"


class Transport(StrEnum):
    """The HTTP transport of S3 requests."""

    LEAN = "lean"
    HTTPX = "httpx"


class Role(StrEnum):
    """A long-lived task that a process can run."""

    SCHEDULER = "scheduler"
    WORKER = "worker"
    API = "api"


class ApiServer(StrEnum):
    """The server of the job API."""

    LEAN = "lean"
    HYPERCORN = "hypercorn"


class ArchiveMode(StrEnum):
    """Where finished jobs are kept after their records have expired."""

    NONE = "none"
    S3 = "s3"


class Workers(int):
    """A number of workers."""

    adapts = False


class AutoWorkers(Workers):
    """The initial number of workers, adjusted later to throughput and latency."""

    adapts = True


@attrs.frozen
class Distribution:
    """The nominal steady mix.

    Attributes:
        weights: Operation -> weight; they need not add up to 100.
    """

    weights: Mapping[Operation, float]

    def share(self, operation: Operation) -> float:
        """Return the operation's nominal share in percent."""
        return 100.0 * self.weights[operation] / sum(self.weights.values())

    def __str__(self) -> str:
        return ",".join(f"{operation}:{weight:g}" for operation, weight in self.weights.items())


_MAX_WEIGHT = 1e9  # keeps sums and shares finite


def parse_distribution(raw: object, _: object = None) -> Distribution:
    """Read ``READ:50,UPDATE:25,CREATE:10,DELETE:15`` or the same as a TOML table.

    Args:
        raw: Text, or a table of operation to weight. Omitted operations have weight 0.

    Returns:
        The distribution over all four operations.

    Raises:
        ValueError: An operation is unknown or named twice, a weight is not a number from 0 to a billion, or
            all weights are 0.
    """
    pairs: Any = raw.items() if isinstance(raw, Mapping) else [p.split(":") for p in str(raw).split(",")]
    given: dict[Operation, float] = {}
    for name, weight in pairs:
        operation = Operation(str(name).strip().upper())
        if operation in given:
            raise ValueError(f"{operation} is named twice")
        given[operation] = float(weight)
    if not all(0 <= weight <= _MAX_WEIGHT for weight in given.values()) or not any(given.values()):
        raise ValueError("weights must be numbers from 0 to a billion, at least one above 0")
    return Distribution({operation: given.get(operation, 0.0) for operation in Operation})


def _parse_integer(raw: object, _: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise ValueError("a whole number is needed")
    return int(raw)


def _parse_number(raw: object, _: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError("a number is needed")
    number = float(raw)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("a finite number is needed")
    return number


def _parse_flag(raw: object, _: object) -> bool:
    words = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(
        ("false", "0", "no", "off"), False
    )
    return words[str(raw).strip().lower()]


def _parse_text(raw: object, _: object) -> str:
    if not isinstance(raw, str):
        raise ValueError("text is needed")
    raw.encode()  # raises UnicodeError, a ValueError, for bytes of the environment that are no UTF-8
    return raw.strip()


def _parse_workers(raw: object, kind: object) -> Workers:
    if isinstance(raw, Workers):
        return raw
    if isinstance(raw, str) and raw.strip().lower() == "auto":
        return AutoWorkers(10)
    return Workers(_parse_integer(raw, kind))


def _parse_roles(raw: object, _: object) -> frozenset[Role]:
    names = raw if isinstance(raw, list) else str(raw).split(",")
    roles = frozenset(Role(str(name).strip().lower()) for name in names)
    if not roles:
        raise ValueError("at least one role is needed")
    return roles


def make_converter() -> Converter:
    """Return the cattrs converter that structures one raw value (text or TOML) into a field's type."""
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(int, _parse_integer)
    converter.register_structure_hook(Workers, _parse_workers)
    converter.register_structure_hook(float, _parse_number)
    converter.register_structure_hook(bool, _parse_flag)
    converter.register_structure_hook(str, _parse_text)
    converter.register_structure_hook(Distribution, parse_distribution)
    converter.register_structure_hook(AllowList, parse_allow_list)
    converter.register_structure_hook_func(lambda t: t == frozenset[Role], _parse_roles)
    for enum in (SchedulerMode, LogFormat, MetricsFormat, Transport, ApiServer, ArchiveMode):
        converter.register_structure_hook(enum, lambda raw, kind: kind(str(raw).strip().lower()))
    converter.register_structure_hook(LogLevel, lambda raw, _: LogLevel(str(raw).strip().upper()))
    return converter


def mask_url(url: object) -> str:
    """Return a URL with all possible secrets hidden, even if it does not parse.

    Hidden are everything before the last ``@``, everything after a ``?``, and a password without a host.
    """
    shown = re.sub(r"(?s)^(\w+://)?.*@", r"\1***@", str(url))
    shown = re.sub(r"(?s)\?.*", "?***", shown)
    return re.sub(r"(?s)^(\w+://)?:.*", r"\1***", shown)


def is_redis_url(_: object, __: object, value: str) -> None:
    """Check that RedisService accepts the URL (redis.io, "Redis URI"); an attrs validator."""
    parts = _address(value, "redis", "rediss")
    allowed = {"ssl_ca_certs"} if parts.scheme == "rediss" else set()
    unknown = set(parse_qs(parts.query, keep_blank_values=True)) - allowed
    # "#1" is no database: it would be passed over, and the queue would be in database 0.
    if not re.fullmatch(r"/?[0-9]{0,9}", parts.path) or unknown or parts.fragment:
        raise ValueError("not such a URL")


def is_s3_endpoint(_: object, __: object, value: str) -> None:
    """Check that an S3 endpoint is empty or has no user, query or fragment; an attrs validator."""
    if not value:
        return
    parts = _address(value, "http", "https")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("not such a URL")
    import httpx  # only here: commands that need no S3 start without it

    try:
        _ = httpx.URL(value).host  # decodes it
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError("not such a URL") from error


def _address(url: str, *schemes: str) -> SplitResult:
    """Return the parts of a URL that has one of the schemes and a valid host name."""
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or (parts.port is not None and parts.port < 1):
        raise ValueError("not such a URL")
    parts.hostname.encode("idna")  # raises UnicodeError, a ValueError, for an empty or overlong label
    return parts


def show(value: object) -> str:
    """Return a setting's value as a user would write it."""
    if value is None:
        return ""
    if isinstance(value, AutoWorkers):
        return "auto"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return ",".join(role.value for role in Role if role in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
