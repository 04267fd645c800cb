"""Messages: decoding reverses encoding, and invalid elements are refused with one error."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.errors import MalformedMessageError
from loadtest_trio.jobs.message import Message, Operation, Phase, decode

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
messages = st.builds(
    Message,
    id=texts,
    operation=st.sampled_from(Operation),
    key=texts,
    phase=st.sampled_from(Phase),
    created_at=st.floats(0, 1e12),
    retries=st.integers(0, 2**53),
    params=st.dictionaries(texts, st.integers(0, 2**53) | texts, max_size=3),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**53), 2**53) | texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=8,
)
MINIMAL = {"id": "1", "operation": "READ", "key": "k"}


@given(messages)
def test_message_round_trip(message: Message) -> None:
    """Every message is equal after encoding and decoding."""
    assert decode(message.encode()) == message


@given(st.binary())
def test_any_bytes_decode_or_are_malformed(element: bytes) -> None:
    """Arbitrary bytes are a message or a `MalformedMessageError`, never another exception."""
    try:
        message = decode(element)
    except MalformedMessageError:
        return
    assert isinstance(message, Message)


@given(json_values)
def test_any_json_decodes_or_is_malformed(value: Any) -> None:
    """Arbitrary JSON is a message or a `MalformedMessageError`."""
    try:
        decode(orjson.dumps(value))
    except MalformedMessageError:
        return
    assert isinstance(value, dict)


@given(st.sampled_from(["id", "operation", "key", "phase", "created_at", "retries", "params"]), json_values)
def test_any_field_decodes_or_is_malformed(field: str, value: Any) -> None:
    """Any value of one field gives a well-typed message or the typed error."""
    try:
        message = decode(orjson.dumps({**MINIMAL, field: value}))
    except MalformedMessageError:
        return
    assert isinstance(message.id, str)
    assert isinstance(message.key, str)
    assert message.id
    assert message.key
    assert isinstance(message.operation, str)
    assert message.operation
    assert isinstance(message.phase, Phase)
    assert isinstance(message.created_at, float)
    assert isinstance(message.retries, int)
    assert 0 <= message.retries <= 2**53
    assert isinstance(message.params, dict)


def test_id_and_operation_are_enough() -> None:
    """A foreign message needs only id and operation; unknown fields are ignored."""
    assert decode(orjson.dumps({**MINIMAL, "colour": "red"})) == Message("1", Operation.READ, "k")
    assert decode(b'{"id": "1", "operation": "sleep"}') == Message("1", "sleep")


def test_message_without_key_has_no_key_field() -> None:
    """An absent key is not encoded, because an empty one is refused."""
    message = Message("1", "sleep", params={"ms": 5})
    assert "key" not in orjson.loads(message.encode())
    assert decode(message.encode()) == message


@pytest.mark.parametrize("field", ["id", "operation"])
def test_missing_field_is_named(field: str) -> None:
    """The reason names the missing field."""
    fields = {name: value for name, value in MINIMAL.items() if name != field}
    with pytest.raises(MalformedMessageError, match=f"field '{field}' is missing"):
        decode(orjson.dumps(fields))


@pytest.mark.parametrize(
    "change",
    [
        {"operation": ""},
        {"operation": 7},
        {"key": ""},
        {"id": 7},
        {"id": ""},
        {"key": None},
        {"phase": "later"},
        {"created_at": "now"},
        {"created_at": True},
        {"created_at": -1},
        {"retries": -1},
        {"retries": "1"},
        {"retries": 2**53 + 1},
        {"retries": 2**64 - 1},
        {"retries": 1e300},
        {"params": []},
    ],
    ids=str,
)
def test_wrong_types_are_refused(change: dict[str, Any]) -> None:
    """A field of the wrong type makes the whole element malformed."""
    with pytest.raises(MalformedMessageError):
        decode(orjson.dumps({**MINIMAL, **change}))


def test_deep_nesting_is_refused() -> None:
    """Excessive nesting is a malformed message, not a crash."""
    with pytest.raises(MalformedMessageError):
        decode(b"[" * 100_000)


def test_retry_changes_only_the_counts() -> None:
    """A retried message differs only in its counts; it keeps the time when it was due."""
    message = Message("1", Operation.UPDATE, "k", Phase.STEADY, 5.0, 2, 5, {"x": 1})
    again = message.put_back(retries=3, attempts=9)
    assert again == Message("1", Operation.UPDATE, "k", Phase.STEADY, 5.0, 3, 9, {"x": 1})


FORMER = b'{"id":"h-1","operation":"CREATE","key":"loadtest/x.txt","phase":"steady","created_at":5.0,"retries":0,"attempts":0,"params":{"uuids":7}}'  # noqa: E501


def test_messages_of_the_s3_operations_are_those_of_the_former_version() -> None:
    """Version 0.1.0 wrote this element: it is read, and written the same, so both can share a queue."""
    message = decode(FORMER)
    assert message == Message(
        "h-1", Operation.CREATE, "loadtest/x.txt", Phase.STEADY, 5.0, params={"uuids": 7}
    )
    assert message.encode() == FORMER
