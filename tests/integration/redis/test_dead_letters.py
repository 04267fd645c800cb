"""The dead list: look, requeue, purge; the ledger stays closed throughout."""

from typing import Any

import pytest

from loadtest_trio.backends.redis import RedisService, dead_record
from loadtest_trio.errors import RedisRejectedError
from loadtest_trio.jobs.delivery import Settlement
from loadtest_trio.jobs.message import Message, Operation, decode


async def bury(service: RedisService, elements: list[bytes]) -> None:
    """Put elements through the queue onto the dead list."""
    await service.enqueue(elements)
    settlements = [
        Settlement.dead(delivery.token, dead_record(delivery.element, error="e", attempts=2, time=1.0))
        for delivery in await service.claim(len(elements))
    ]
    assert all(await service.settle(settlements))


def message(n: int) -> bytes:
    return Message(f"m{n}", Operation.READ, f"k{n}", retries=3).encode()


async def test_pages_newest_first(make_service: Any) -> None:
    """Letters come in bounded pages, the newest first."""
    service = make_service()
    await bury(service, [message(n) for n in range(5)])
    assert await service.dead_letters.count() == 5
    assert [letter.id for letter in await service.dead_letters.page(0, 2)] == ["m4", "m3"]
    assert [letter.id for letter in await service.dead_letters.page(4, 2)] == ["m0"]
    assert await service.dead_letters.page(5) == []
    assert await service.dead_letters.page(0, 0) == await service.dead_letters.page(0, -1) == []


async def test_find_by_id(make_service: Any) -> None:
    """A letter is found by its id, on whatever page; garbage has an id too; an unknown id finds nothing."""
    service = make_service()
    await bury(service, [message(n) for n in range(250)] + [b"\xff"])
    letter = await service.dead_letters.find("m1")
    assert (letter.operation, letter.key, letter.attempts, letter.error) == ("READ", "k1", 2, "e")
    (garbage,) = await service.dead_letters.page(0, 1)
    assert await service.dead_letters.find(garbage.id) == garbage
    assert await service.dead_letters.find("nobody") is None


async def test_requeue_one(make_service: Any) -> None:
    """The message is back on the queue with its retries at 0, and no longer dead; `created` is unchanged."""
    service = make_service()
    await bury(service, [message(1), message(2)])
    assert await service.dead_letters.requeue("m1")
    assert not await service.dead_letters.requeue("m1")
    (delivery,) = await service.claim(5)
    assert decode(delivery.element) == Message("m1", Operation.READ, "k1")
    snapshot = await service.snapshot()
    assert (snapshot.created, snapshot.dead, snapshot.surplus) == (2, 1, 0)


async def test_requeue_all(make_service: Any) -> None:
    """All go back, oldest first, garbage unchanged, what somebody else put there too."""
    service = make_service()
    await bury(service, [*(message(n) for n in range(250)), b"\xff\x00"])
    assert await service.dead_letters.requeue_all() == 251
    assert await service.dead_letters.requeue_all() == 0
    elements = [delivery.element for delivery in await service.claim(300)]
    assert [decode(element).id for element in elements[:-1]] == [f"m{n}" for n in range(250)]
    assert elements[-1] == b"\xff\x00"
    assert (await service.snapshot()).surplus == 0


async def test_equal_letters_are_separate(make_service: Any) -> None:
    """Two letters equal to the last byte are two messages."""
    service = make_service()
    await bury(service, [message(1)] * 2)
    assert await service.dead_letters.requeue("m1")
    assert await service.dead_letters.count() == 1
    assert await service.dead_letters.requeue_all() == 1
    assert await service.length() == 2


async def test_two_clients_under_one_name_are_noticed(make_service: Any) -> None:
    """A move that would be taken for a repeat of the other client's is refused, not silently left undone."""
    one, two = make_service("same"), make_service("same")
    await bury(one, [message(1), message(2)])
    assert await two.dead_letters.requeue("m1")
    one.dead_letters._number = two.dead_letters._number - 10
    with pytest.raises(RedisRejectedError, match="same consumer name"):
        await one.dead_letters.requeue("m2")
    assert await one.dead_letters.count() == 1


async def test_delete(make_service: Any) -> None:
    """One letter goes for good, by its id, and the others stay; the ledger stays closed."""
    service = make_service()
    await bury(service, [message(n) for n in range(3)])
    victim, *kept = await service.dead_letters.page()
    assert await service.dead_letters.delete(victim.id)
    assert not await service.dead_letters.delete(victim.id)
    assert await service.dead_letters.page() == kept
    snapshot = await service.snapshot()
    assert (snapshot.dead, snapshot.purged, snapshot.created, snapshot.surplus) == (2, 1, 3, 0)


async def test_purge(make_service: Any) -> None:
    """Purged letters are gone and counted."""
    service = make_service()
    await bury(service, [message(n) for n in range(3)])
    assert await service.dead_letters.purge() == 3
    assert await service.dead_letters.purge() == 0
    snapshot = await service.snapshot()
    assert (snapshot.dead, snapshot.purged, snapshot.created, snapshot.surplus) == (0, 3, 3, 0)


async def test_foreign_record_is_shown_and_requeued_as_it_is(make_service: Any, bare: Any) -> None:
    """What is no dead record can still be looked at and put on the queue."""
    service = make_service()
    bare.client.lpush("{q}:dead", b"\x00foreign")
    (letter,) = await service.dead_letters.page()
    assert letter.element == b"\x00foreign"
    assert await service.dead_letters.requeue(letter.id)
    assert bare.queue() == [b"\x00foreign"]
