"""The four S3 operations of the load (read, update, create, delete) and their payloads."""

from collections.abc import Callable
from functools import partial
from random import Random

from loadtest_trio.handlers.objects.create import check_uuids, create
from loadtest_trio.handlers.objects.delete import delete
from loadtest_trio.handlers.objects.read import read
from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.handlers.objects.update import update
from loadtest_trio.handlers.registry import Handler
from loadtest_trio.jobs.message import Operation
from loadtest_trio.jobs.retry import RetryPolicy


def object_handlers(
    store: ObjectStore, rng: Random, draw_uuids: Callable[[], int], retry: RetryPolicy
) -> list[Handler]:
    """Return the handlers of READ, UPDATE, CREATE and DELETE.

    Args:
        store: Stores the objects.
        rng: The source of payloads and edits.
        draw_uuids: Draws the number of lines of a CREATE that does not set it.
        retry: The retry policy of each operation.
    """
    keyed = partial(Handler, retry=retry, needs_key=True, ordered=True)
    return [
        keyed(Operation.READ, partial(read, store=store)),
        keyed(Operation.UPDATE, partial(update, store=store, rng=rng)),
        keyed(
            Operation.CREATE,
            partial(create, store=store, rng=rng, draw_uuids=draw_uuids),
            check=check_uuids,
        ),
        keyed(Operation.DELETE, partial(delete, store=store)),
    ]


__all__ = ["ObjectStore", "object_handlers"]
