"""``dead``: lists and shows dead letters, puts them back on the queue or deletes them."""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from math import inf

import attrs
import trio

from loadtest_trio.backends.redis import DeadLetter, DeadLetters, RedisObservers, RedisOptions, RedisService
from loadtest_trio.cli.arguments import at_least_one
from loadtest_trio.cli.exits import FAILED, OK, complain
from loadtest_trio.errors import RedisError, RedisUnavailableError
from loadtest_trio.settings import load

_PATIENCE_SECONDS = 10.0
MEANING = "List, show, requeue or purge dead letters."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the four actions."""
    actions = parser.add_subparsers(required=True, dest="action", metavar="list|show|requeue|purge")
    listing = actions.add_parser("list", help="list dead letters, newest first, one per line")
    listing.add_argument("--limit", type=at_least_one, default=20, metavar="N", help="show at most N (20)")
    showing = actions.add_parser("show", help="show one dead letter as JSON")
    showing.add_argument("id")
    requeuing = actions.add_parser("requeue", help="put one or all of them back on the queue")
    which = requeuing.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?")
    which.add_argument("--all", action="store_true")
    actions.add_parser("purge", help="delete all of them permanently")


def execute(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Carry out one action, which needs no bucket."""
    settings = load(environ, options.config, unneeded=frozenset(["S3_BUCKET"])).settings

    async def act() -> int:
        consumer = f"dead-letters-{os.getpid()}-{secrets.token_hex(4)}"
        place = RedisOptions(settings.redis_endpoint, settings.queue_name, consumer)
        patience = _Patience()
        redis = RedisService(place, RedisObservers(on_outage=patience.note), backoff=lambda _: 1.0)
        try:
            with patience.scope:
                await redis.connect()
                return await _ACTIONS[options.action](redis.dead_letters, options)
        finally:
            redis.close()
        raise RedisUnavailableError(f"{patience.error} (given up after {_PATIENCE_SECONDS:g} s)")

    return trio.run(act)


@attrs.define
class _Patience:
    """Ends a command when Redis stays away: a person waits for it, unlike for a service."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    error: RedisError | None = None

    def note(self, error: RedisError | None) -> None:
        """Note that Redis is away, or with None that it is back."""
        if error is not None:
            self.error = error  # kept: a deadline that has passed meanwhile ends the command all the same
        end = inf if error is None else trio.current_time() + _PATIENCE_SECONDS
        self.scope.deadline = end if error is None else min(self.scope.deadline, end)


async def _list(letters: DeadLetters, options: argparse.Namespace) -> int:
    count = await letters.count()
    for letter in await letters.page(limit=options.limit):
        said = (letter.id, f"{letter.operation} {letter.key}", f"attempts={letter.attempts}", letter.error)
        sys.stdout.write("  ".join((_when(letter), *map(_printable, said))) + "\n")
    sys.stdout.write(f"{count} dead letters, {min(count, options.limit)} shown\n")
    return OK


async def _show(letters: DeadLetters, options: argparse.Namespace) -> int:
    letter = await letters.find(options.id)
    if letter is None:
        return complain(FAILED, f"no dead letter has the id {options.id}")
    shown = {
        "id": letter.id,
        "operation": letter.operation,
        "key": letter.key,
        "attempts": letter.attempts,
        "error": letter.error,
        "time": _when(letter),
        "element": letter.element.decode(errors="backslashreplace"),
    }
    sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
    return OK


async def _requeue(letters: DeadLetters, options: argparse.Namespace) -> int:
    if not options.all and not await letters.requeue(options.id):
        return complain(FAILED, f"no dead letter has the id {options.id}")
    moved = await letters.requeue_all() if options.all else 1
    sys.stdout.write(f"{moved} put back on the queue\n")
    return OK


async def _purge(letters: DeadLetters, _: argparse.Namespace) -> int:
    sys.stdout.write(f"{await letters.purge()} deleted\n")
    return OK


def _printable(text: str) -> str:
    """Return the text without control sequences, since anybody may have written to the list."""
    return text if text.isprintable() else ascii(text)


def _when(letter: DeadLetter) -> str:
    return datetime.fromtimestamp(letter.time, UTC).isoformat(timespec="seconds")


_ACTIONS = {"list": _list, "show": _show, "requeue": _requeue, "purge": _purge}
