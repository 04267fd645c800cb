"""The limits of the ECS task that this process runs in: what "100 %" means on Fargate.

Source: Amazon ECS Developer Guide, "Task metadata endpoint version 4". The container agent puts the
endpoint's address into the environment. Outside ECS there is no such variable and there are no limits.
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import httpx

from loadtest_trio.errors import describe
from loadtest_trio.metrics import logs

_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
_TIMEOUT_SECONDS = 2.0


@attrs.frozen
class TaskLimits:
    """What the task may use; None where it is not known.

    Attributes:
        cpu_limit: Virtual CPUs.
        memory_limit_mb: Memory in MiB.
    """

    cpu_limit: float | None = None
    memory_limit_mb: float | None = None


async def read_task_limits(
    environ: Mapping[str, str], transport: Callable[[], httpx.AsyncBaseTransport] = httpx.AsyncHTTPTransport
) -> TaskLimits:
    """Ask the metadata endpoint for the limits; a failure is logged and otherwise ignored.

    Args:
        environ: Holds the endpoint's address.
        transport: Makes the transport for the request.

    Returns:
        The limits, empty outside ECS.
    """
    address = environ.get(_VARIABLE)
    if not address:
        return TaskLimits()
    try:
        async with httpx.AsyncClient(transport=transport(), timeout=_TIMEOUT_SECONDS) as client:
            response = await client.get(f"{address}/task")
            return parse_limits(response.raise_for_status().json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        logs.event("task_limits_unknown", "WARNING", error=describe(error))
        return TaskLimits()


def parse_limits(task: Any) -> TaskLimits:
    """Read the answer to ``/task``: ``{"Limits": {"CPU": 1, "Memory": 2048}, …}``.

    Raises:
        ValueError: The answer has no limits.
    """
    limits = task.get("Limits") if isinstance(task, dict) else None
    if not isinstance(limits, dict):
        raise ValueError("the answer has no Limits")
    numbers = {name: value for name, value in limits.items() if isinstance(value, int | float)}
    return TaskLimits(numbers.get("CPU"), numbers.get("Memory"))
