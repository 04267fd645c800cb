"""Redis: the queue, its books and its dead list. redis-py's exceptions end here."""

from loadtest_trio.redis_service.dead_letters import DeadLetter, DeadLetters, dead_record
from loadtest_trio.redis_service.records import (
    Delivery,
    Outcome,
    QueueSnapshot,
    ReapResult,
    ServerInfo,
    Settlement,
)
from loadtest_trio.redis_service.service import RedisService

__all__ = [
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "Outcome",
    "QueueSnapshot",
    "ReapResult",
    "RedisService",
    "ServerInfo",
    "Settlement",
    "dead_record",
]
