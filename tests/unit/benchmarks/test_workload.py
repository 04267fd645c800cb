"""The work that every contender gets."""

from collections import Counter

import orjson
import pytest

from benchmarks.measure import UUID_LINES
from benchmarks.workload import DISTANCE, MIX, Workload, initial_keys, initial_objects, workload
from loadtest_trio.jobs.message import Message, decode

MESSAGES = 4_000


@pytest.fixture(scope="module")
def keys() -> list[str]:
    return initial_keys(MESSAGES)


@pytest.fixture(scope="module")
def work(keys: list[str]) -> Workload:
    return workload(MESSAGES, keys, now=1.0)


@pytest.fixture(scope="module")
def messages(work: Workload) -> list[Message]:
    return [decode(element) for element in work.elements]


def test_mix_is_exact_in_every_20_messages(messages: list[Message]) -> None:
    """Every 20 messages have the brief's mix, so every window of a run is the same work."""
    for start in range(0, MESSAGES, 20):
        counts = Counter(str(message.operation) for message in messages[start : start + 20])
        assert counts == {name: share // 5 for name, share in MIX.items()}


def test_no_message_can_meet_a_missing_key(messages: list[Message], keys: list[str]) -> None:
    """A key is used only well after its CREATE and deleted only well after its last use."""
    born, last_use, gone = dict.fromkeys(keys, -DISTANCE), dict[str, int](), set[str]()
    for number, message in enumerate(messages):
        assert message.key not in gone
        if message.operation == "CREATE":
            born[message.key] = number
            continue
        assert number - born[message.key] >= DISTANCE
        if message.operation == "DELETE":
            assert number - last_use.get(message.key, -DISTANCE) >= DISTANCE
            gone.add(message.key)
        else:
            last_use[message.key] = number


def test_remaining_keys_are_those_the_messages_leave(
    messages: list[Message], keys: list[str], work: Workload
) -> None:
    """The expected bucket is the first keys, plus what is created, less what is deleted."""
    created = {message.key for message in messages if message.operation == "CREATE"}
    deleted = {message.key for message in messages if message.operation == "DELETE"}
    assert work.remaining == (set(keys) | created) - deleted
    assert len(work.remaining) == 500


def test_create_carries_a_number_of_uuids(messages: list[Message]) -> None:
    """The number is within the brief's bounds; other operations carry none."""
    for message in messages:
        if message.operation == "CREATE":
            assert 1_000 <= message.params["uuids"] <= 10_000
        else:
            assert not message.params


def test_contenders_get_equal_messages(keys: list[str], work: Workload) -> None:
    """Messages depend only on their number and the time, so contenders get equal work."""
    again = workload(MESSAGES, keys, now=1.0)
    assert again == work
    assert orjson.loads(workload(20, keys, now=2.5).elements[0])["created_at"] == 2.5


def test_initial_objects_are_files_of_uuids(keys: list[str]) -> None:
    """Each initial object has 1,000-10,000 complete lines of UUIDs."""
    objects = dict(initial_objects(0))
    assert list(objects) == keys[:500]
    for body in objects.values():
        assert 1_000 <= len(body) / 37 <= 10_000
    assert UUID_LINES.fullmatch(next(iter(objects.values())))
