"""The four S3 operations of the load, and the payloads they move."""

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
        store: Where the objects live.
        rng: The source of payloads and edits.
        draw_uuids: Lines of a CREATE that does not say how many.
        retry: How often each is tried.
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
