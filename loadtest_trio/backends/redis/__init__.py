"""Redis: the queue, its books and its dead list. redis-py's exceptions end here."""

from loadtest_trio.backends.redis.dead_letters import DeadLetter, DeadLetters, dead_record
from loadtest_trio.backends.redis.options import RedisObservers, RedisOptions
from loadtest_trio.backends.redis.records import ReapResult, ServerInfo
from loadtest_trio.backends.redis.service import RedisService

__all__ = [
    "DeadLetter",
    "DeadLetters",
    "ReapResult",
    "RedisObservers",
    "RedisOptions",
    "RedisService",
    "ServerInfo",
    "dead_record",
]
