"""One room a kind of work: a handler takes a message, does the S3 work, and returns or raises.

A worker knows only this registry, by the operation's name. Another kind of work is one more handler.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from random import Random

from loadtest_trio.handlers.objects.create import create
from loadtest_trio.handlers.objects.delete import delete
from loadtest_trio.handlers.objects.read import read
from loadtest_trio.handlers.objects.store import ObjectStore
from loadtest_trio.handlers.objects.update import update
from loadtest_trio.jobs.message import Message, Operation

Handler = Callable[[Message], Awaitable[None]]
"""Does one message's work. Returning means done; `ObjectMissingError` means missed; else it failed."""


def build_registry(store: ObjectStore, rng: Random, draw_uuids: Callable[[], int]) -> Mapping[str, Handler]:
    """Return the handler of each operation.

    Args:
        store: Where the objects live.
        rng: The source of payloads and edits.
        draw_uuids: Lines of a CREATE that does not say how many.
    """
    return {
        Operation.READ: partial(read, store=store),
        Operation.UPDATE: partial(update, store=store, rng=rng),
        Operation.CREATE: partial(create, store=store, rng=rng, draw_uuids=draw_uuids),
        Operation.DELETE: partial(delete, store=store),
    }


__all__ = ["Handler", "ObjectStore", "build_registry"]
