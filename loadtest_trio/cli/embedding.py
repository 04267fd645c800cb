"""``--embedded``: starts local servers for backends that the environment does not name."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from loadtest_trio.backends.embedded import EmbeddedBackends, RedisServer, S3Server
from loadtest_trio.cli.busy import busy
from loadtest_trio.settings import SETTINGS, Loaded, load

_OF_OTHER_KEYS = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


@contextmanager
def configured(
    options: argparse.Namespace, environ: Mapping[str, str]
) -> Iterator[tuple[Loaded, Mapping[str, str]]]:
    """Load the settings, and with ``--embedded`` start local servers and use their addresses.

    A server is started for each backend whose address is not in the environment, so a machine without
    SeaweedFS can use another S3. Bad settings are reported before any server starts.

    Args:
        options: The command line options `config` and `embedded`.
        environ: The environment.

    Yields:
        The settings, and the environment that AWS credentials come from.

    Raises:
        ConfigurationError: The settings cannot be used.
        EmbeddedUnavailableError: This machine lacks a server's binary.
        BackendUnavailableError: A server did not start.
    """
    if not options.embedded:
        yield load(environ, options.config), environ
        return
    own_redis, own_s3 = _is_set("REDIS_ENDPOINT", environ), _is_set("S3_ENDPOINT_URL", environ)
    placeholders = {} if own_redis else {"REDIS_ENDPOINT": "redis://localhost"}
    given = load(
        environ, options.config, placeholders if own_s3 else {**placeholders, "S3_BUCKET": "placeholder"}
    )
    shown = {name: value for name, value in _for_people().items() if given.sources[name] == "default"}
    with ExitStack() as servers:
        with busy("starting a private Redis and S3"):
            dictated = _start(servers, own_redis, own_s3) | shown
        # The embedded S3 knows no sessions and refuses requests with a session token.
        kept = environ if own_s3 else {k: v for k, v in environ.items() if k not in _OF_OTHER_KEYS}
        yield load(environ, options.config, dictated), {**kept, **dictated}


def _for_people() -> dict[str, str]:
    """Return other defaults for a run that somebody tries out: something to look at, and soon."""
    looks_on = sys.stdout is not None and sys.stdout.isatty()
    return {"DASHBOARD": "true"} | ({"LOG_INTERVAL_SECONDS": "2"} if looks_on else {})


def _start(servers: ExitStack, own_redis: bool, own_s3: bool) -> dict[str, str]:
    if not own_redis and not own_s3:
        return servers.enter_context(EmbeddedBackends.start()).environment()
    dictated = {}
    if not own_redis:
        dictated["REDIS_ENDPOINT"] = servers.enter_context(RedisServer.start()).url
    if not own_s3:
        bucket = {"S3_BUCKET": EmbeddedBackends.bucket, "S3_CREATE_BUCKET": "true"}
        dictated |= servers.enter_context(S3Server.start()).environment() | bucket
    return dictated


def _is_set(setting: str, environ: Mapping[str, str]) -> bool:
    info = next(info for info in SETTINGS if info.name == setting)
    return any(environ.get(name, "").strip() for name in (info.name, *info.aliases))
