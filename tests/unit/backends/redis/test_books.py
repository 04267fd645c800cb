"""The memory of the books: what raises suspicion, and what does not."""

from loadtest_trio.backends.redis.books import LossWatch
from loadtest_trio.jobs.ledger import Books


def reply(epoch: bytes = b"e", created: int = 0, processed: int = 0) -> list[bytes | None]:
    return [epoch, b"%d" % created, b"%d" % processed, None, None, None]


def test_counters_missing_from_redis_are_zero() -> None:
    """A fresh ledger has no fields yet."""
    assert Books.parse([b"e", None, None, None, None, None]) == Books(b"e", 0, 0, 0, 0, 0)


def test_growing_books_are_followed() -> None:
    """Books that grow are remembered without suspicion."""
    watch = LossWatch()
    for created in (0, 5, 5, 9):
        watch.saw(reply(created=created))
    assert watch.remembered is not None
    assert (watch.remembered.created, watch.suspicious) == (9, False)


def test_another_epoch_is_suspicious() -> None:
    """A new epoch means an empty restart; the old books stay remembered for the repair."""
    watch = LossWatch()
    watch.saw(reply(created=9))
    watch.saw(reply(epoch=b"f", created=20))
    assert watch.suspicious
    assert watch.remembered == Books(b"e", 9, 0, 0, 0, 0)


def test_older_past_does_not_overwrite() -> None:
    """Settlements upon an older past that still has its old epoch do not lower what was created."""
    watch = LossWatch()
    watch.saw(reply(created=9))
    watch.saw(reply(created=8, processed=5))
    assert watch.remembered == Books(b"e", 9, 0, 0, 0, 0)


def test_older_reply_does_not_overwrite() -> None:
    """A reply handled out of order does not lower what is remembered."""
    watch = LossWatch()
    watch.saw(reply(created=9, processed=5))
    watch.saw(reply(created=9, processed=4))
    assert watch.remembered == Books(b"e", 9, 5, 0, 0, 0)
    assert not watch.suspicious


def test_repair_ends_suspicion() -> None:
    """After the repair the repaired books are the ones remembered."""
    watch = LossWatch()
    watch.saw(reply(created=9))
    watch.saw(reply(epoch=b"f"))
    watch.repaired(reply(epoch=b"f", created=9))
    assert watch.remembered == Books(b"f", 9, 0, 0, 0, 0)
    assert not watch.suspicious
