"""The memory of the books: what raises suspicion, and what does not."""

from loadtest_trio.backends.redis.loss import SeenBooks
from loadtest_trio.jobs.ledger import Books


def reply(epoch: bytes = b"e", created: int = 0, processed: int = 0) -> list[bytes | None]:
    return [epoch, b"%d" % created, b"%d" % processed, None, None, None]


def test_counters_missing_from_redis_are_zero() -> None:
    """A fresh ledger has no fields yet."""
    assert Books.parse([b"e", None, None, None, None, None]) == Books(b"e", 0, 0, 0, 0, 0)


def test_growing_books_are_followed() -> None:
    """Books that grow are remembered without suspicion."""
    seen = SeenBooks()
    for created in (0, 5, 5, 9):
        seen.saw(reply(created=created))
    assert seen.latest is not None
    assert (seen.latest.created, seen.suspicious) == (9, False)


def test_another_epoch_is_suspicious() -> None:
    """A new epoch means an empty restart; the old books stay remembered for the repair."""
    seen = SeenBooks()
    seen.saw(reply(created=9))
    seen.saw(reply(epoch=b"f", created=20))
    assert seen.suspicious
    assert seen.latest == Books(b"e", 9, 0, 0, 0, 0)


def test_older_past_does_not_overwrite() -> None:
    """Settlements upon an older past that still has its old epoch do not lower what was created."""
    seen = SeenBooks()
    seen.saw(reply(created=9))
    seen.saw(reply(created=8, processed=5))
    assert seen.latest == Books(b"e", 9, 0, 0, 0, 0)


def test_older_reply_does_not_overwrite() -> None:
    """A reply handled out of order does not lower what is remembered."""
    seen = SeenBooks()
    seen.saw(reply(created=9, processed=5))
    seen.saw(reply(created=9, processed=4))
    assert seen.latest == Books(b"e", 9, 5, 0, 0, 0)
    assert not seen.suspicious


def test_repair_ends_suspicion() -> None:
    """After the repair the repaired books are the ones remembered."""
    seen = SeenBooks()
    seen.saw(reply(created=9))
    seen.saw(reply(epoch=b"f"))
    seen.repaired(reply(epoch=b"f", created=9))
    assert seen.latest == Books(b"f", 9, 0, 0, 0, 0)
    assert not seen.suspicious
