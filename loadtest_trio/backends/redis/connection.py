"""Blocking connections to Redis: one redis-py `Connection` a thread, none shared, errors translated.

redis-py's own client is passed by on purpose: its pool polls each connection twice a command and its
retries and telemetry cost more than the command itself, while all that is needed here is "send these
arguments, return the reply". Reconnecting is what `Connection` does by itself when it is used again.
"""

import time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import redis
from redis.connection import DefaultParser

from loadtest_trio.backends.redis.translate import translate
from loadtest_trio.errors import RedisRejectedError
from loadtest_trio.http.address import authority

DEFAULT_PORT = 6379
ALLOWED = "redis://[user:password@]host[:port][/database], or rediss:// for TLS"


class BoundedParser(DefaultParser):  # type: ignore[valid-type,misc]  # redis-py chooses the class at import
    """redis-py's parser with a limit on the whole reply: its own timeout starts anew with every byte."""

    reply_timeout = 10.0
    _deadline = 0.0

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read one reply, within `reply_timeout` seconds (plus one socket timeout)."""
        self._deadline = time.monotonic() + self.reply_timeout
        return super().read_response(*args, **kwargs)

    def read_from_socket(self, *args: Any, **kwargs: Any) -> Any:
        """Receive a part of the reply, if there is time left."""
        if time.monotonic() > self._deadline:
            raise redis.TimeoutError(f"no whole reply within {self.reply_timeout} s")
        return super().read_from_socket(*args, **kwargs)


@attrs.frozen
class Endpoint:
    """Where Redis is and how to get in.

    Attributes:
        where: Host and port.
        options: Arguments of redis-py's `Connection`, secrets among them: never shown.
        tls: Whether to speak TLS; the certificate is always verified.
    """

    where: str
    options: dict[str, Any] = attrs.field(repr=False)
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read a URL (redis.io, "Redis URI"); ``rediss://`` also takes ``?ssl_ca_certs=FILE``.

        Raises:
            RedisRejectedError: It is something else. The message does not repeat it.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or DEFAULT_PORT
            options: dict[str, Any] = {"host": host, "port": port, "db": int(parts.path.strip("/") or 0)}
            query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError:
            raise RedisRejectedError(f"REDIS_ENDPOINT must be {ALLOWED}") from None
        tls = parts.scheme == "rediss"
        if (
            not host
            or parts.scheme not in ("redis", "rediss")
            or set(query) - ({"ssl_ca_certs"} if tls else set())
        ):
            raise RedisRejectedError(f"REDIS_ENDPOINT must be {ALLOWED}")
        options |= query
        for name, value in (("username", parts.username), ("password", parts.password)):
            if value:
                options[name] = unquote(value)
        return cls(authority(host, port), options, tls)

    @property
    def password(self) -> str | None:
        """The password, so that messages can be cleared of it."""
        return self.options.get("password")

    def connection(self, timeout: float) -> Any:
        """Return a redis-py connection that is not open yet.

        Args:
            timeout: For connecting, for sending and between two parts of a reply, in seconds.
        """
        kind: Any = redis.SSLConnection if self.tls else redis.Connection
        # RESP2: no greeting, and replies of the one shape that the scripts return.
        return kind(
            **self.options,
            protocol=2,
            parser_class=BoundedParser,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            socket_keepalive=True,
        )


class Connections:
    """As many connections as threads call at once, reused last in first out.

    Safe to call from several threads: `list.pop` and `list.append` are atomic.

    Args:
        endpoint: Where to connect to.
        timeout: For connecting, for sending and between two parts of a reply, in seconds.
        delay: Added to every command, in seconds: for the experiments of `tune`.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float = 5.0, delay: float = 0.0) -> None:
        self._delay = delay
        self._endpoint = endpoint
        self._timeout = timeout
        self._idle: list[Any] = []

    def execute(self, *command: object) -> Any:
        """Send one command and wait for its reply; blocks.

        Returns:
            The reply as redis-py parses it: bytes, int, None or a list.

        Raises:
            RedisUnavailableError: No answer, or one that says "later".
            RedisRejectedError: The answer is no.
            redis.exceptions.NoScriptError: The script is not loaded: for the caller to mend.
        """
        if self._delay:
            time.sleep(self._delay)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._endpoint.connection(self._timeout)
        try:
            connection.send_command(*command)
            reply = connection.read_response()
        except redis.ResponseError as error:  # a whole reply was read: the connection stays good
            self._idle.append(connection)
            if isinstance(error, redis.exceptions.NoScriptError):
                raise
            raise translate(error, self._endpoint.where, self._endpoint.password) from error
        except (redis.RedisError, OSError, ValueError) as error:
            connection.disconnect()
            self.close()  # what broke this connection most likely broke the idle ones too
            raise translate(error, self._endpoint.where, self._endpoint.password) from error
        self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Close the connections that no thread is using."""
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:  # another thread took the last one
                return
