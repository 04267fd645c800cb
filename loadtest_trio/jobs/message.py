"""The message: one element of the Redis list, a JSON object."""

import re
from enum import StrEnum
from typing import Any

import attrs
import orjson
from cattrs import Converter

from loadtest_trio.errors import MalformedMessageError


class Operation(StrEnum):
    """The four operations of the S3 load; other kinds of work have their own names."""

    READ = "READ"
    UPDATE = "UPDATE"
    CREATE = "CREATE"
    DELETE = "DELETE"


class Phase(StrEnum):
    """Why a message was scheduled: to fill or drain the bucket, or as part of the steady mix."""

    PRECONDITION = "precondition"
    STEADY = "steady"


@attrs.frozen
class Message:
    """One unit of work.

    Attributes:
        id: Unique over all instances and restarts.
        operation: What to do: the name of a handler.
        key: The object of the work, such as an S3 key; "" if the operation has none. If the handler asks for
            it, messages with the same key are processed one at a time and in order.
        phase: Why it was scheduled.
        created_at: When it was *due*, in Unix seconds; 0 if a foreign producer left it out.
        retries: How often it has been put back after a transient failure.
        attempts: Failed attempts in earlier deliveries, without those during outages.
        params: Parameters of the operation besides the key; CREATE: ``{"uuids": n}``.
        job: Whether it is a job: a message with a record under its id.
        client: The client that submitted the job.
        ordered: Whether the job waits for the client's earlier ordered jobs.
    """

    id: str
    operation: str
    key: str = ""
    phase: Phase = Phase.STEADY
    created_at: float = 0.0
    retries: int = 0
    attempts: int = 0
    params: dict[str, Any] = attrs.field(factory=dict)
    job: bool = False
    client: str = ""
    ordered: bool = True

    def encode(self) -> bytes:
        """Return the message as one queue element."""
        fields: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "key": self.key,
            "phase": self.phase,
            "created_at": self.created_at,
            "retries": self.retries,
            "attempts": self.attempts,
            "params": self.params,
        }
        if not self.key:
            del fields["key"]
        if self.job:  # first, because the scripts look for it there (see jobs.lua)
            fields = {"job": True, **fields}
        if self.client:
            fields["client"] = self.client
        if not self.ordered:
            fields["ordered"] = False
        return orjson.dumps(fields)

    def put_back(self, *, retries: int, attempts: int) -> "Message":
        """Return the message with updated counts of retries and attempts."""
        return attrs.evolve(self, retries=retries, attempts=attempts)


_JOB = re.compile(rb'{"job":true,"id":"([^"\\]+)"')


def job_id(text: bytes) -> str:
    """Return the job id in an element or a dead record; "" for other messages."""
    if text[2:3] != b"j":
        return ""
    found = _JOB.match(text)
    return found[1].decode(errors="replace") if found else ""


_MAX_DETAIL = 300  # the detail may quote the element, which can have any size
_MAX_NUMBER = 2**53  # larger counts might not survive JSON and the dead record


def _text(value: object, _: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a non-empty string is needed")
    return value


def _number(value: object, target: type[float]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is needed")
    if not 0 <= value <= _MAX_NUMBER:
        raise ValueError("a number from 0 to 2**53 is needed")
    return target(value)


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is needed")
    return value


def _object(value: object, _: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("a JSON object is needed")
    return value


_converter = Converter(detailed_validation=False)
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(bool, _truth)
_converter.register_structure_hook(float, _number)
_converter.register_structure_hook(int, _number)
_converter.register_structure_hook_func(lambda target: target == dict[str, Any], _object)
_converter.register_structure_hook(Phase, lambda value, _: Phase(value))


def decode(element: bytes) -> Message:
    """Decode one queue element.

    Only `id` and `operation` are required here; the operation's handler may require more. Unknown fields are
    ignored.

    Args:
        element: The bytes of one list element, from any producer.

    Returns:
        The message.

    Raises:
        MalformedMessageError: The element is not JSON, not an object, or a field is missing or of the
            wrong kind.
    """
    try:
        fields = orjson.loads(element)
        return _converter.structure(_object(fields, None), Message)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        detail = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise MalformedMessageError(f"not a message: {detail[:_MAX_DETAIL]}") from error
