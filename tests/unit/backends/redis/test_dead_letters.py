"""Dead records: any element goes in and comes out."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.backends.redis import DeadLetter, dead_record
from loadtest_trio.jobs.message import Message, Operation, decode


def test_record_of_a_message() -> None:
    """The record says what the message was, why it died and when, with the element readable."""
    message = Message("m1", Operation.UPDATE, "loadtest/ä.txt", retries=3)
    record = dead_record(message.encode(), error="503 SlowDown", attempts=4, time=12.5)
    assert orjson.loads(record) == {
        "id": "m1",
        "operation": "UPDATE",
        "key": "loadtest/ä.txt",
        "attempts": 4,
        "error": "503 SlowDown",
        "time": 12.5,
        "element": message.encode().decode(),
    }


@given(element=st.binary(), error=st.text())
def test_any_element_survives(element: bytes, error: str) -> None:
    """Whatever bytes were on the queue come back out of the record, and the letter has an id."""
    letter = DeadLetter.parse(dead_record(element, error=error, attempts=1, time=0.0))
    assert letter.element == element
    assert letter.id


@given(record=st.binary())
def test_any_record_can_be_read(record: bytes) -> None:
    """A record that somebody else put on the dead list is shown as it is, not stumbled over."""
    letter = DeadLetter.parse(record)
    assert letter.record == record


@pytest.mark.parametrize(
    "record", [b'{"element":5}', b'{"element_base64":null}', b"[]", b"null", b'"element"']
)
def test_record_of_a_wrong_shape(record: bytes) -> None:
    """JSON that is not a dead record is its own element."""
    assert DeadLetter.parse(record).element == record


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": "yesterday"},
        {"time": None},
        {"time": -1},
        {"time": 1e300},
        {"attempts": "3"},
        {"id": 7},
        {"operation": None},
        {"key": ["k"]},
        {"error": {}},
        {"element": 5},
    ],
)
def test_record_with_a_wrong_value(wrong: dict[str, object]) -> None:
    """A record that looks like ours but holds what ours never do is shown as unreadable."""
    record = orjson.dumps(orjson.loads(dead_record(b"x", error="e", attempts=1, time=1.0)) | wrong)
    letter = DeadLetter.parse(record)
    assert letter.id.startswith("unreadable-")
    assert (letter.error, letter.element) == ("not a dead record: somebody else put it here", record)
    datetime.fromtimestamp(letter.time, UTC)  # what a list of them shows


def test_long_error_is_cut() -> None:
    """A record's size is bounded whatever the error says."""
    assert len(DeadLetter.parse(dead_record(b"x", error="e" * 5000, attempts=1, time=0.0)).error) == 1000


def test_lone_surrogates_are_replaced() -> None:
    """An error made of undecodable bytes does not stop the record from being written."""
    assert DeadLetter.parse(dead_record(b"x", error="\udcff", attempts=1, time=0.0)).error == "?"


def test_renewed_message_starts_again() -> None:
    """Back on the queue, a message is the same with no retries on its account."""
    message = Message("m1", Operation.CREATE, "k", retries=3, params={"uuids": 5})
    letter = DeadLetter.parse(dead_record(message.encode(), error="e", attempts=4, time=0.0))
    assert decode(letter.renewed()) == Message("m1", Operation.CREATE, "k", params={"uuids": 5})


def test_renewed_garbage_is_unchanged() -> None:
    """What is no message goes back as the bytes it was."""
    assert (
        DeadLetter.parse(dead_record(b"\xff\x00", error="e", attempts=1, time=0.0)).renewed() == b"\xff\x00"
    )
