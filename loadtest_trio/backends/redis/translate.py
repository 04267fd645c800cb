"""The boundary: what redis-py and the operating system raise becomes one of our two errors, here only."""

import re
import ssl
from collections.abc import Iterator

import redis

from loadtest_trio.errors import RedisError, RedisRejectedError, RedisUnavailableError

ELSEWHERE = frozenset(["ASK", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MOVED", "READONLY"])
"""Codes of error replies that say: not from this server. The host's name may lead to another one by now."""

OF_CLUSTERS = frozenset(["ASK", "MOVED"])
"""Codes of error replies that lead to another node of a cluster; they pass when the slot comes back."""

LATER = ELSEWHERE | {"BUSY", "MISCONF", "NOREPLICAS", "OOM", "TRYAGAIN"}
"""Codes of error replies that pass by themselves (redis.io, "RESP protocol", simple errors; `server.c`)."""

_OF_A_SCRIPT = re.compile(r"Error running script .*? -([A-Z]+) ")
"""How servers other than Redis 7 and Valkey put the reply that ended a script into another one."""

_OF_PROXIES = re.compile(
    r"(ERR )?(upstream |no upstream|Connection (refused|timed out|reset)|Host is down|no server connection)"
)
"""How Envoy, twemproxy and Predixy say, without a code, that they have no server at the moment."""

_OF_THE_CALL = re.compile(
    r".*(user_script|running script)|(ERR )?(WRONGTYPE|value is|invalid|syntax error|wrong number)",
    re.DOTALL | re.IGNORECASE,
)
"""How replies begin that come of this call or of the queue's keys, and not of the server's state."""

_OF_CONNECTING = re.compile(r"Error .*connecting to \S+\. (.+?)\.?$")
"""How redis-py says that it cannot connect; the reason is in the group."""

_OF_PERMISSIONS = re.compile(r"NOPERM |ACL failure in script")
"""How a reply begins that says what this user may not do; a script's has no code of its own."""

_CLUSTER = (
    "this endpoint is a node of a cluster, and cluster mode is not supported: set REDIS_ENDPOINT to a server "
    "without cluster mode, or to the node that serves the queue's slot"
)

HINTS = {
    "WRONGPASS": "check the user and password in REDIS_ENDPOINT",
    "NOAUTH": "give a password in REDIS_ENDPOINT",
    "NOPERM": "the user in REDIS_ENDPOINT needs more permissions",
    "WRONGTYPE": "a key of this queue holds something else; choose another QUEUE_NAME",
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "ACL failure in script": "the user in REDIS_ENDPOINT needs more permissions",
    "DB index": "check the database number in REDIS_ENDPOINT",
    "invalid DB index": "check the database number in REDIS_ENDPOINT",
    "READONLY": "this is a replica: set REDIS_ENDPOINT to the primary",
    "unknown command": "Redis 7.0 or newer is needed, without renamed or disabled commands",
}
"""What to change, by how an error reply begins."""


def is_elsewhere(error: Exception) -> bool:
    """Whether a reply says that another connection has to be made, perhaps to another server."""
    return _code(error) in ELSEWHERE


def is_of_the_server(error: Exception) -> bool:
    """Whether a reply refuses the call as such: another node of a cluster, a proxy, a provider's limit."""
    known = isinstance(error, redis.AuthenticationError) or _OF_PERMISSIONS.match(_detail(error))
    return _is_reply(error) and not known and not _OF_THE_CALL.match(_detail(error))


def translate(
    error: Exception,
    where: str,
    password: str | None,
    *,
    has_worked: bool = False,
    has_connected: bool = False,
) -> RedisError:
    """Return our error for a foreign one.

    Args:
        error: What redis-py, ssl or the operating system raised.
        where: Host and port, for the message.
        password: Never shown, should the foreign message contain it.
        has_worked: Whether what is refused now has worked before with the same address and login.
        has_connected: Whether any command has worked before.

    Returns:
        `RedisRejectedError` when the answer will be no again, else `RedisUnavailableError`.
    """
    detail = _detail(error)
    if password:
        detail = detail.replace(password, "***")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        # One that has expired since is renewed; one that was never trusted needs another setting.
        kind = RedisUnavailableError if has_connected else RedisRejectedError
        return kind(f"Redis at {where}: its certificate cannot be trusted: {detail}")
    hint = next((hint for start, hint in HINTS.items() if detail.removeprefix("ERR ").startswith(start)), "")
    said = f"Redis at {where}: {detail}" + (f" ({hint})" if hint else "")
    # What has worked is refused while a person changes a password or permissions, or while a provider limits
    # requests in words of its own: that passes. What never worked needs another endpoint or another user.
    withdrawn = isinstance(error, redis.AuthenticationError) or _OF_PERMISSIONS.match(_detail(error))
    later = _code(error) in LATER - OF_CLUSTERS or _OF_PROXIES.match(_detail(error))
    passes = later or (has_worked and (withdrawn or is_of_the_server(error)))
    if passes or not _is_reply(error):
        return RedisUnavailableError(said)
    return RedisRejectedError(said)


def _is_reply(error: Exception) -> bool:
    # redis-py makes connection errors of some replies: LOADING, AUTH's refusals, "max number of clients".
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return True
    return isinstance(error, redis.ResponseError)


def _code(error: Exception) -> str:
    inside = _OF_A_SCRIPT.match(str(error).removeprefix("ERR "))
    code = getattr(error, "status_code", None) or ""
    return inside[1] if inside else code or str(error).partition(" ")[0]


def _detail(error: Exception) -> str:
    # redis-py takes the code off the front of the replies it knows; it belongs there.
    code = getattr(error, "status_code", None)
    text = " ".join(str(error).split()) or type(error).__name__
    if failed := _OF_CONNECTING.match(text):  # our message names the address already
        text = failed[1]
    return f"{code} {text}" if code and code != "ERR" else text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
