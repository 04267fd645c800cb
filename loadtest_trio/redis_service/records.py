"""What goes into and comes out of RedisService: plain data."""

from enum import StrEnum
from typing import Any

import attrs

from loadtest_trio.redis_service.books import Books


@attrs.frozen
class Delivery:
    """One message as handed to this consumer.

    Attributes:
        token: Names this delivery of the message; settle or release it under this name.
        element: The list element, whatever bytes somebody enqueued.
    """

    token: str
    element: bytes


class Outcome(StrEnum):
    """How a delivery ended."""

    PROCESSED = "processed"
    MISSED = "missed"
    RETRY = "retry"
    DEAD = "dead"


@attrs.frozen
class Settlement:
    """The end of one delivery; the class methods build each kind.

    Attributes:
        token: Of the delivery.
        outcome: What became of it.
        payload: RETRY: the element to deliver later. DEAD: the dead record.
        delay: RETRY: how long it waits, in seconds.
    """

    token: str
    outcome: Outcome
    payload: bytes = b""
    delay: float = 0.0

    @classmethod
    def processed(cls, token: str) -> "Settlement":
        """The work is done."""
        return cls(token, Outcome.PROCESSED)

    @classmethod
    def missed(cls, token: str) -> "Settlement":
        """There was nothing to do any more: the object was already gone."""
        return cls(token, Outcome.MISSED)

    @classmethod
    def retry(cls, token: str, element: bytes, delay: float) -> "Settlement":
        """Deliver `element` in its place, at least `delay` seconds from now."""
        return cls(token, Outcome.RETRY, element, delay)

    @classmethod
    def dead(cls, token: str, record: bytes) -> "Settlement":
        """Give up: move it to the dead list as `record` (see `dead_record`)."""
        return cls(token, Outcome.DEAD, record)

    def action(self) -> bytes:
        """Return the outcome as settle.lua reads it."""
        match self.outcome:
            case Outcome.PROCESSED:
                return b"p"
            case Outcome.MISSED:
                return b"m"
            case Outcome.RETRY:
                return b"r%d\n%b" % (max(0, round(self.delay * 1000)), self.payload)
            case Outcome.DEAD:
                return b"d" + self.payload


@attrs.frozen
class ReapResult:
    """What one call of the reaper found.

    Attributes:
        consumers: Consumers removed because their heartbeat had stopped.
        requeued: Messages of theirs that went back to the queue.
        dead: Messages of theirs that had been delivered too often and went to the dead list.
    """

    consumers: int
    requeued: int
    dead: int


@attrs.frozen
class QueueSnapshot:
    """Where all messages are, at one instant of the Redis server.

    Attributes:
        queued: Waiting on the queue.
        in_flight: Claimed and not settled, by all consumers.
        delayed: Waiting for their retry.
        dead: On the dead list.
        consumers: Consumers registered.
        epoch: Names this life of the server; it changes with every restart and failover.
        created: Messages enqueued, those included that Redis itself forgot.
        processed: Messages settled as processed.
        missed: Messages settled as missed.
        purged: Messages deleted from the dead list for good.
        lost: Messages that Redis itself forgot.
    """

    queued: int
    in_flight: int
    delayed: int
    dead: int
    consumers: int
    epoch: str
    created: int
    processed: int
    missed: int
    purged: int
    lost: int

    @classmethod
    def parse(cls, reply: list[Any]) -> "QueueSnapshot":
        """Read what snapshot.lua returns."""
        books = Books.parse(reply[0])
        places = dict(zip(("queued", "in_flight", "delayed", "dead", "consumers"), reply[1:], strict=True))
        counters = attrs.asdict(books) | {"epoch": books.epoch.decode()}
        return cls(**places, **counters)

    @property
    def surplus(self) -> int:
        """Messages beyond those created: 0, or what others pushed onto the list by themselves."""
        ended = self.processed + self.missed + self.dead + self.purged + self.lost
        return ended + self.queued + self.delayed + self.in_flight - self.created


@attrs.frozen
class ServerInfo:
    """What the server says about itself (redis.io, "INFO").

    Attributes:
        server: ``redis`` or ``valkey``.
        version: Of that server.
        mode: ``standalone``, ``cluster`` or ``sentinel``.
        role: ``master`` or ``slave``.
        append_only: Whether writes go to an append-only file.
        maxmemory: The limit in bytes; 0 means none.
        maxmemory_policy: What happens at the limit; anything but ``noeviction`` may lose messages.
    """

    server: str
    version: str
    mode: str
    role: str
    append_only: bool
    maxmemory: int
    maxmemory_policy: str

    @classmethod
    def parse(cls, info: bytes) -> "ServerInfo":
        """Read the reply to ``INFO``."""
        lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
        fields = {name: value for name, _, value in lines}
        server = fields.get("server_name", "redis")
        return cls(
            server=server,
            version=fields.get(f"{server}_version", fields.get("redis_version", "")),
            mode=fields.get("redis_mode") or fields.get("server_mode", ""),
            role=fields.get("role", ""),
            append_only=fields.get("aof_enabled") == "1",
            maxmemory=int(fields.get("maxmemory", 0)),
            maxmemory_policy=fields.get("maxmemory_policy", ""),
        )
