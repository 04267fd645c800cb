"""The handlers: one operation each, on the bucket in memory."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from loadtest_trio.errors import MalformedMessageError, ObjectMissingError, S3UnreachableError
from loadtest_trio.handlers.objects import object_handlers
from loadtest_trio.handlers.objects.payload import LINE_BYTES, uuid_lines
from loadtest_trio.handlers.registry import Handler, Registry
from loadtest_trio.jobs.message import Message, Operation
from loadtest_trio.jobs.retry import RetryPolicy
from tests.support.memory_bucket import Fault, MemoryBucket


def build(bucket: MemoryBucket, drawn: int = 5) -> Registry:
    """Return the registry on a bucket; a CREATE that does not say gets `drawn` lines."""
    return Registry(object_handlers(bucket, Random(1), lambda: drawn, RetryPolicy(3)))


def message(operation: Operation, key: str = "k", **params: Any) -> Message:
    """Return a message for a handler."""
    return Message("1", operation, key, params=params)


async def test_every_operation_has_a_handler() -> None:
    """The registry knows exactly these operations, by name."""
    assert build(MemoryBucket()).operations == list(Operation) == ["READ", "UPDATE", "CREATE", "DELETE"]


async def test_create_uploads_requested_number_of_lines() -> None:
    """CREATE puts an object with that many UUID lines at its key; repeating it leaves one."""
    bucket = MemoryBucket()
    for _ in range(2):
        await build(bucket)["CREATE"].run(message(Operation.CREATE, "new", uuids=7))
    assert list(bucket.objects) == ["new"]
    assert len(bucket.objects["new"]) == 7 * LINE_BYTES


async def test_create_without_size_draws_one() -> None:
    """A CREATE without a size gets a random one."""
    bucket = MemoryBucket()
    await build(bucket, drawn=3)["CREATE"].run(message(Operation.CREATE))
    assert len(bucket.objects["k"]) == 3 * LINE_BYTES


@pytest.mark.parametrize("uuids", [0, -1, 1_000_001, "7", 1.5, True, [7]])
async def test_create_refuses_invalid_size(uuids: Any) -> None:
    """A size other than a whole number from 1 to a million is malformed; nothing is uploaded."""
    bucket = MemoryBucket()
    with pytest.raises(MalformedMessageError):
        build(bucket).find(message(Operation.CREATE, uuids=uuids))
    assert bucket.requests == {}


async def test_read_is_one_get() -> None:
    """READ is one GET."""
    bucket = MemoryBucket()
    bucket.objects["k"] = b"body"
    await build(bucket)["READ"].run(message(Operation.READ))
    assert bucket.requests == {"GET": 1}
    assert bucket.objects == {"k": b"body"}


async def test_update_changes_two_hex_digits() -> None:
    """UPDATE downloads, changes exactly two bytes, and uploads the same length."""
    bucket = MemoryBucket()
    before = bucket.objects["k"] = bytes(uuid_lines(20, Random(2)))
    await build(bucket)["UPDATE"].run(message(Operation.UPDATE))
    after = bucket.objects["k"]
    assert len(after) == len(before)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 2
    assert bucket.requests == {"GET": 1, "PUT": 1}


async def test_object_without_digits_is_not_updated() -> None:
    """An object without two hex digits cannot be updated and stays unchanged."""
    bucket = MemoryBucket()
    bucket.objects["k"] = b"xyz"
    with pytest.raises(MalformedMessageError, match="UPDATE of k: the file holds fewer than two hex digits"):
        await build(bucket)["UPDATE"].run(message(Operation.UPDATE))
    assert bucket.objects == {"k": b"xyz"}


async def test_delete_removes_object() -> None:
    """DELETE removes the object; a missing one counts as removed."""
    bucket = MemoryBucket()
    bucket.objects = {"k": b"x", "other": b"y"}
    for _ in range(2):
        await build(bucket)["DELETE"].run(message(Operation.DELETE))
    assert bucket.objects == {"other": b"y"}


@pytest.mark.parametrize("operation", [Operation.READ, Operation.UPDATE])
async def test_missing_object_is_reported(operation: Operation) -> None:
    """READ and UPDATE of a missing object raise; UPDATE does not recreate it."""
    bucket = MemoryBucket()
    with pytest.raises(ObjectMissingError):
        await build(bucket)[operation].run(message(operation))
    assert bucket.objects == {}


@pytest.mark.parametrize("operation", list(Operation))
async def test_s3_errors_pass_through(operation: Operation) -> None:
    """S3 errors reach the worker, which judges them."""
    bucket = MemoryBucket()
    bucket.objects["k"] = b"00"
    bucket.break_down(Fault.UNREACHABLE)
    with pytest.raises(S3UnreachableError):
        await build(bucket)[operation].run(message(operation))


@pytest.mark.parametrize("operation", list(Operation))
def test_every_object_operation_needs_a_key(operation: Operation) -> None:
    """Without a key there is no object, so the message is refused."""
    with pytest.raises(MalformedMessageError, match=f"{operation} needs a key"):
        build(MemoryBucket()).find(Message("1", operation))


async def test_new_kind_of_work_is_one_handler() -> None:
    """A new operation can have no key, return a result, and refuse invalid params."""

    async def shout(message: Message) -> bytes:
        return str(message.params["text"]).upper().encode()

    def check(params: Mapping[str, Any]) -> None:
        if "text" not in params:
            raise MalformedMessageError("params.text is missing")

    registry = Registry([Handler("shout", shout, RetryPolicy(0), check=check)])
    hello = Message("1", "shout", params={"text": "hello"})
    assert await registry.find(hello).run(hello) == b"HELLO"
    with pytest.raises(MalformedMessageError, match="text is missing"):
        registry.find(Message("2", "shout"))
    with pytest.raises(MalformedMessageError, match="unknown operation 'whisper': known are shout"):
        registry.find(Message("3", "whisper"))


def test_duplicate_operation_is_refused() -> None:
    """The second handler would never be called."""
    handler = build(MemoryBucket())["READ"]
    with pytest.raises(ValueError, match="two handlers for READ"):
        Registry([handler, handler])
