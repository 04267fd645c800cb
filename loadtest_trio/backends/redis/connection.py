"""Blocking connections to Redis: one redis-py `Connection` a thread, none shared, errors translated.

redis-py's own client is passed by on purpose: its pool polls each connection twice a command and its
retries and telemetry cost more than the command itself, while all that is needed here is "send these
arguments, return the reply". Reconnecting is what `Connection` does by itself when it is used again.
"""

import select
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import redis
from redis.connection import DefaultParser

from loadtest_trio.backends.redis.translate import is_elsewhere, is_of_the_server, translate
from loadtest_trio.errors import ConfigurationError, RedisError, RedisRejectedError, SettingFault
from loadtest_trio.http.address import authority

DEFAULT_PORT = 6379
_FRESH_SECONDS = 1.0  # servers close connections that idle for longer; looking costs a system call
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
            ConfigurationError: The file of `ssl_ca_certs` cannot be used.
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
            or parts.fragment
            or parts.scheme not in ("redis", "rediss")
            or set(query) - ({"ssl_ca_certs"} if tls else set())
        ):
            raise RedisRejectedError(f"REDIS_ENDPOINT must be {ALLOWED}")
        if "ssl_ca_certs" in query:
            _check_authorities(query["ssl_ca_certs"])
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


def _check_authorities(file: str) -> None:
    """Find out now what every attempt to connect would stumble over, without naming the file.

    Raises:
        ConfigurationError: It is missing, unreadable, or holds no certificates.
    """
    try:
        ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or error
        allowed = f"followed by a file of certificates in PEM form ({reason})"
        raise ConfigurationError(
            [SettingFault("REDIS_ENDPOINT", f"…?ssl_ca_certs={file}", allowed, "settings")]
        ) from error


class Connections:
    """As many connections as threads call at once, reused last in first out.

    Safe to call from several threads: `list.pop` and `list.append` are atomic.

    A connection ends when it breaks, and also when a reply says that its server is the wrong one: after a
    failover the old primary often keeps its clients, as a replica that refuses writes. The idle ones end
    with it, and those in use when they are given back. A new connection looks the host's name up again.

    Args:
        endpoint: Where to connect to.
        timeout: For connecting, for sending and between two parts of a reply, in seconds.
        delay: Returns the seconds to add to a command: for the experiments of `tune`.
    """

    def __init__(
        self, endpoint: Endpoint, *, timeout: float = 5.0, delay: Callable[[], float] | None = None
    ) -> None:
        self._delay = delay
        self._endpoint = endpoint
        self._timeout = timeout
        self._idle: list[tuple[int, Any, float]] = []  # generation, connection, since when
        self._generation = 0  # connections of an earlier one are not used again
        self._worked: frozenset[object] = frozenset()  # commands, and scripts by their digest

    def execute(self, *command: object, then: tuple[object, ...] = ()) -> Any:
        """Send one command and wait for its reply; blocks.

        Args:
            command: What to send.
            then: What to send after it over the same connection, such as ``WAIT``.

        Returns:
            The reply as redis-py parses it: bytes, int, None or a list. With `then`, both replies.

        Raises:
            RedisUnavailableError: No answer, or one that says "later".
            RedisRejectedError: The answer is no.
            redis.exceptions.NoScriptError: The script is not loaded: for the caller to mend.
        """
        if self._delay and (seconds := self._delay()):
            time.sleep(seconds)
        try:
            generation, connection = self._take()
        except OSError as error:  # redis-py reads files to make one, and there may be no descriptor left
            raise self._translated(error, command) from error
        try:
            connection.send_command(*command)
            reply = connection.read_response()
            if then:
                connection.send_command(*then)
                reply = reply, connection.read_response()
        except redis.ResponseError as error:
            if is_elsewhere(error):
                self._renew(connection)
            else:  # a whole reply was read: the connection stays good
                self._give_back(generation, connection)
            if isinstance(error, redis.exceptions.NoScriptError):
                raise
            raise self._translated(error, command) from error
        except (redis.RedisError, OSError, ValueError) as error:
            self._renew(connection)
            raise self._translated(error, command) from error
        if _name(command) not in self._worked:
            self._worked |= {command[0], _name(command)}
        self._give_back(generation, connection)
        return reply

    def close(self) -> None:
        """Close the connections that no thread is using."""
        while self._idle:
            try:
                self._idle.pop()[1].disconnect()
            except IndexError:  # another thread took the last one
                return

    def _take(self) -> tuple[int, Any]:
        """Return an idle connection, or a new one. One that the server closed meanwhile is no outage."""
        while True:
            try:
                generation, connection, since = self._idle.pop()
            except IndexError:
                return self._generation, self._endpoint.connection(self._timeout)
            if time.monotonic() - since < _FRESH_SECONDS or not _has_news(connection):
                return generation, connection
            connection.disconnect()

    def _give_back(self, generation: int, connection: Any) -> None:
        if generation == self._generation:
            self._idle.append((generation, connection, time.monotonic()))
        else:
            connection.disconnect()

    def _renew(self, connection: Any) -> None:
        """End a connection and all others: what is wrong with it most likely is wrong with them too."""
        self._generation += 1
        connection.disconnect()
        self.close()

    def _translated(self, error: Exception, command: tuple[object, ...]) -> RedisError:
        if isinstance(error, redis.AuthenticationError):
            has_worked = bool(self._worked)  # a login that was good for one command is good for all
        elif is_of_the_server(error):
            has_worked = b"EVALSHA" in self._worked  # where one script has run, all can; INFO needs less
        else:
            # A plain command that is denied after scripts have worked does not end a running service either.
            plain = command[0] != b"EVALSHA" and b"EVALSHA" in self._worked
            has_worked = plain or _name(command) in self._worked
        where, password = self._endpoint.where, self._endpoint.password
        return translate(error, where, password, has_worked=has_worked, has_connected=bool(self._worked))


def _has_news(connection: Any) -> bool:
    """Return whether the server has closed an idle connection, or sent what nobody asked for."""
    try:
        poll = select.poll()
        poll.register(connection._sock.fileno(), select.POLLIN)  # redis-py's own question reads
        return bool(poll.poll(0))
    except (AttributeError, OSError, ValueError):  # it is closed
        return True


def _name(command: tuple[object, ...]) -> object:
    """Return what a command is known by: of a script, its digest."""
    return command[1] if command[0] == b"EVALSHA" else command[0]
