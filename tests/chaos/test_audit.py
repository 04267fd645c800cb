"""The audit itself is tested: it finds what it exists to find."""

import orjson
import pytest

from loadtest_trio.backends.redis import dead_record
from tests.support.aof_history import Command, History
from tests.support.audit import judge_bucket

INFLIGHT = b"{q}:inflight:a"


def message(identity: str, operation: str = "READ", key: str = "k") -> bytes:
    return orjson.dumps({"id": identity, "operation": operation, "key": key})


def enqueue(*elements: bytes) -> list[Command]:
    return [
        [b"LPUSH", b"{q}:queue", *elements],
        [b"HINCRBY", b"{q}:ledger", b"created", b"%d" % len(elements)],
    ]


def claim(token: bytes, element: bytes) -> list[Command]:
    return [[b"RPOP", b"{q}:queue", b"1"], [b"HSET", INFLIGHT, token, element]]


def settle(token: bytes, outcome: bytes = b"processed") -> list[Command]:
    return [[b"HDEL", INFLIGHT, token], [b"HINCRBY", b"{q}:ledger", outcome, b"1"]]


def replayed(*transactions: list[Command]) -> History:
    history = History(b"{q}:")
    for transaction in transactions:
        history.apply(transaction)
    return history


def test_complete_life_has_no_problems() -> None:
    """Enqueued, claimed, put back, promoted, claimed, done: one creation, one end."""
    a = message("a")
    put_back = [[b"HDEL", INFLIGHT, b"1"], [b"ZADD", b"{q}:retry", b"5", b"a 1\n" + a]]
    promoted = [[b"RPUSH", b"{q}:queue", a], [b"ZREM", b"{q}:retry", b"a 1\n" + a]]
    history = replayed(
        enqueue(a), claim(b"1", a), put_back, promoted + claim(b"2", a), settle(b"2", b"missed")
    )
    assert history.problems == []
    assert [each.id for each in history.ended] == list(history.created) == ["a"]


def test_dead_letter_is_an_end() -> None:
    """A message on the dead list is in one place, and neither processed nor missed."""
    a = message("a")
    record = dead_record(a, error="poison", attempts=5, time=0.0)
    history = replayed(
        enqueue(a), claim(b"1", a), [[b"HDEL", INFLIGHT, b"1"], [b"LPUSH", b"{q}:dead", record]]
    )
    assert history.problems == []
    assert (history.dead_ids, history.ended) == (["a"], [])


A = message("a")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([[[b"RPOP", b"{q}:queue", b"1"]]], id="a claim that keeps no record"),
        pytest.param([claim(b"1", A), [[b"HDEL", INFLIGHT, b"1"]]], id="an end that is not counted"),
        pytest.param([claim(b"1", A), settle(b"1") + settle(b"1")[1:]], id="an end counted twice"),
        pytest.param([claim(b"1", A), settle(b"1"), enqueue(A)], id="a message that comes back"),
        pytest.param([[[b"LPUSH", b"{q}:queue", A]]], id="a message in two places"),
        pytest.param([[[b"DEL", b"{q}:queue"]]], id="a step that is none"),
    ],
)
def test_every_loss_or_duplication_is_found(wrong: list[list[Command]]) -> None:
    """Every violation of "one place, one end, counted once" is a problem."""
    assert replayed(enqueue(A), *wrong).problems != []


def test_bucket_is_checked_against_settlement_order() -> None:
    """The last settled CREATE or DELETE of a key determines whether its object must exist."""
    create, delete = message("c", "CREATE", "x"), message("d", "DELETE", "x")
    late = message("l", "CREATE", "y")
    history = replayed(
        enqueue(create, delete, late),
        claim(b"1", create),
        settle(b"1"),
        claim(b"2", delete),
        settle(b"2"),
        claim(b"3", late),
        settle(b"3"),
    )
    problems: list[str] = []
    assert judge_bucket(history, {"y"}, problems) == (set(), set())
    assert problems == []
    assert judge_bucket(history, {"x"}, problems) == ({"x"}, set())
    assert problems == ["objects are missing: ['y']"]
