"""Keys, the Lua files, and loading them when Redis has forgotten them."""

import hashlib
from typing import Any, cast

import pytest
from redis.exceptions import NoScriptError

from loadtest_trio.backends.redis.connection import Connections
from loadtest_trio.backends.redis.scripts import Keys, Scripts, read_scripts
from loadtest_trio.errors import RedisRejectedError, RedisUnavailableError


def test_all_keys_share_one_hash_tag() -> None:
    """Every key carries the queue's name in braces: one slot on a cluster."""
    keys = Keys("load test", "c").all()
    assert len(set(keys)) == 8
    assert all(key.startswith(b"{load test}:") for key in keys)


@pytest.mark.parametrize(
    ("queue", "consumer"), [("", "c"), ("a}b", "c"), ("{", "c"), ("q", ""), ("q", "a b"), ("q", "a\n")]
)
def test_names_that_would_break_the_layout(queue: str, consumer: str) -> None:
    """Braces would move the hash tag, blanks would end the consumer's name inside the retry set."""
    with pytest.raises(RedisRejectedError):
        Keys(queue, consumer)


def test_only_what_adds_is_refused_when_redis_is_full() -> None:
    """Every script but those that put messages on the queue from outside it may run out of memory's way."""
    refused = {name for name, source in read_scripts().items() if source.startswith(b"#!lua\n")}
    allowed = {
        name for name, source in read_scripts().items() if source.startswith(b"#!lua flags=allow-oom\n")
    }
    assert refused == {"enqueue", "requeue", "submit"}
    assert refused | allowed == set(read_scripts())


class Forgetful:
    """A Redis that knows a script once it was loaded, unless it forgets at once."""

    def __init__(self, *, hopeless: bool = False) -> None:
        self.known: set[bytes] = set()
        self.calls: list[tuple[Any, ...]] = []
        self.hopeless = hopeless

    def execute(self, *command: Any) -> object:
        self.calls.append(command)
        if command[0] == b"SCRIPT":
            if not self.hopeless:
                self.known.add(hashlib.sha1(command[2], usedforsecurity=False).hexdigest().encode())
            return b"OK"
        if command[1] not in self.known:
            raise NoScriptError("No matching script")
        return command


def test_unknown_script_is_loaded_and_called_again() -> None:
    """After NOSCRIPT all scripts are loaded and the call repeated with the same arguments."""
    redis = Forgetful()
    scripts = Scripts(cast(Connections, redis), Keys("q", "me"))
    assert scripts.run("heartbeat", 15000)[-2:] == ("me", 15000)
    assert len(redis.known) == len(read_scripts())
    count = len(redis.calls)
    scripts.run("claim", 15000, "1", 5, 1)
    assert len(redis.calls) == count + 1


def test_server_that_never_learns_is_unavailable() -> None:
    """NOSCRIPT right after loading is not asked for ever."""
    with pytest.raises(RedisUnavailableError):
        Scripts(cast(Connections, Forgetful(hopeless=True)), Keys("q", "me")).run("heartbeat", 15000)
