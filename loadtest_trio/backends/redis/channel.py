"""The way from Trio to Redis and back: a thread a call, observed, repeated for as long as Redis is away.

A thread inside a call is never abandoned: the call may be a claim, and the messages it takes would be
forgotten. It ends by itself, since every wait on the socket is bounded.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from loadtest_trio.backends.redis.connection import Connections
from loadtest_trio.backends.redis.scripts import Scripts
from loadtest_trio.errors import RedisError, RedisUnavailableError
from loadtest_trio.metrics.counters import Observer

SOON_ATTEMPTS, SOON_SECONDS = 2, 1.0
"""A call that must not wait long is tried again once, unless the first attempt has taken so long."""


def _nothing(_: Any) -> int:
    return 0


def constant(size: int) -> Callable[[Any], int]:
    """Return what says that a call moves so many elements, whatever its reply."""
    return lambda _: size


class Channel:
    """Calls Redis from Trio tasks.

    Args:
        connections: What commands are sent over.
        scripts: What scripts are run with.
        threads: How many calls may be under way at once; their threads are nobody else's.
        backoff: Seconds to wait after the given failed attempt (1 is the first).
        observe: Called with every attempt.
        on_outage: Called with the error of every attempt that failed because Redis is away, and with None
            when it is back.
    """

    def __init__(
        self,
        connections: Connections,
        scripts: Scripts,
        *,
        threads: int,
        backoff: Callable[[int], float],
        observe: Observer,
        on_outage: Callable[[RedisError | None], None],
    ) -> None:
        self._connections = connections
        self._scripts = scripts
        self._limiter = trio.CapacityLimiter(threads)
        self._backoff = backoff
        self._observe = observe
        self._on_outage = on_outage
        self._failing: set[str] = set()
        self._out = False

    async def script(self, name: str, *arguments: object, size: Callable[[Any], int] = _nothing) -> Any:
        """Run a script, again and again until Redis answers.

        Args:
            name: Of the Lua file, and the kind of call for the observer.
            arguments: What follows the consumer in ``ARGV``.
            size: Elements moved, from the reply.

        Returns:
            The reply.

        Raises:
            RedisRejectedError: The answer is no.
        """
        return await self._persist(name, size, self._scripts.run, name, *arguments)

    async def command(self, kind: str, *command: object) -> Any:
        """Send a plain command, again and again until Redis answers; otherwise as `script`."""
        return await self._persist(kind, _nothing, self._connections.execute, *command)

    async def script_soon(
        self,
        name: str,
        *arguments: object,
        size: Callable[[Any], int] = _nothing,
        then: tuple[object, ...] = (),
    ) -> Any:
        """Run a script for somebody who would rather be refused than wait.

        It is tried again when the connection broke, since a failover or a restart may be over, but not after
        a first attempt that timed out.

        Args:
            name: Of the Lua file, and the kind of call for the observer.
            arguments: What follows the consumer in ``ARGV``.
            size: Elements moved, from the reply.
            then: A command to send over the same connection after it.

        Returns:
            The reply; with `then`, both replies.

        Raises:
            RedisUnavailableError: No answer, or one that says "later".
            RedisRejectedError: The answer is no.
        """
        call = partial(self._scripts.run, then=then) if then else self._scripts.run
        return await self._persist(name, size, call, name, *arguments, soon=True)

    async def command_soon(self, kind: str, *command: object, size: Callable[[Any], int] = _nothing) -> Any:
        """Send a plain command; otherwise as `script_soon`."""
        return await self._persist(kind, size, self._connections.execute, *command, soon=True)

    async def command_once(self, kind: str, *command: object) -> Any:
        """Send a plain command once.

        Raises:
            RedisUnavailableError: No answer, or one that says "later".
            RedisRejectedError: The answer is no.
        """
        return await self._attempt(kind, _nothing, self._connections.execute, *command)

    async def script_once(self, name: str, *arguments: object) -> Any:
        """Run a script once; otherwise as `command_once`."""
        return await self._attempt(name, _nothing, self._scripts.run, name, *arguments)

    async def _persist(
        self,
        kind: str,
        size: Callable[[Any], int],
        call: Callable[..., Any],
        *arguments: object,
        soon: bool = False,
    ) -> Any:
        attempt, began = 0, trio.current_time()
        try:
            while True:
                try:
                    reply = await self._attempt(kind, size, call, *arguments)
                    break
                except RedisUnavailableError as error:
                    attempt += 1
                    self._out = True
                    self._failing.add(kind)
                    self._on_outage(error)
                    if soon and (attempt == SOON_ATTEMPTS or trio.current_time() - began > SOON_SECONDS):
                        raise
                await trio.sleep(self._backoff(attempt))
        finally:
            if attempt:
                self._failing.discard(kind)
        # One kind of call may fail while another succeeds (a full Redis refuses only what adds to it).
        if self._out and not self._failing:
            self._out = False
            self._on_outage(None)
        return reply

    async def _attempt(
        self, kind: str, size: Callable[[Any], int], call: Callable[..., Any], *arguments: object
    ) -> Any:
        try:
            seconds, reply, error = await trio.to_thread.run_sync(
                _timed, call, arguments, limiter=self._limiter
            )
        except RuntimeError as failure:  # the system gives no thread now; the call has not begun
            raise RedisUnavailableError(f"Redis cannot be asked: {failure}") from failure
        self._observe(kind, seconds, 0 if error else size(reply), error)
        if error:
            raise error
        return reply


def _timed(call: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[float, Any, RedisError | None]:
    # In the thread, so that waiting for one is not counted as Redis's time.
    start = time.perf_counter()
    try:
        reply = call(*arguments)
        return time.perf_counter() - start, reply, None
    except RedisError as error:
        return time.perf_counter() - start, None, error
