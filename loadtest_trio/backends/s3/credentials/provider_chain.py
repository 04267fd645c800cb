"""The standard AWS credential provider chain: environment, profile files, container endpoint.

Order: "Standardized credential providers" in the AWS SDKs and Tools Reference Guide. Sources that need
another AWS service (SSO, assumed roles, web identity, EC2 instance metadata) are not supported.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import httpx
import trio

from loadtest_trio.backends.s3.credentials.container_endpoint import find_endpoint
from loadtest_trio.backends.s3.credentials.keys import (
    TOKENS,
    Credentials,
    CredentialsSource,
    StaticCredentials,
    key_pair,
)
from loadtest_trio.backends.s3.credentials.profile_files import from_profile
from loadtest_trio.backends.s3.credentials.renewing import RenewingCredentials
from loadtest_trio.errors import CredentialsError

_file_limiter = trio.CapacityLimiter(1)
_REREAD_SECONDS = 2.0


@attrs.frozen
class ProfileFiles:
    """The keys of a profile, as the files have them now.

    Attributes:
        environ: The environment variables.
        home: The home directory, which contains ``.aws``.
    """

    environ: Mapping[str, str]
    home: Path

    async def read(self) -> Credentials | None:
        """Read the files; None when the profile holds no keys.

        Raises:
            CredentialsError: As `from_profile`.
        """
        try:
            return await trio.to_thread.run_sync(from_profile, self.environ, self.home, limiter=_file_limiter)
        except RuntimeError as error:  # the system gives no thread now
            raise CredentialsError(f"the AWS profile files cannot be read: {error}") from error

    async def fetch(self) -> Credentials:
        """Read the files again.

        Raises:
            CredentialsError: As `from_profile`, or the profile holds no keys any more.
        """
        keys = await self.read()
        if keys is None:
            raise CredentialsError("the AWS profile files hold no keys any more")
        return keys


async def find_credentials(
    environ: Mapping[str, str],
    *,
    home: Path,
    unix_clock: Callable[[], float],
    transport: Callable[[], httpx.AsyncBaseTransport] = httpx.AsyncHTTPTransport,
) -> CredentialsSource:
    """Return the first source of the chain that supplies keys.

    Args:
        environ: The environment variables.
        home: The home directory, which contains ``.aws``.
        unix_clock: The time of day in Unix seconds.
        transport: Creates the transport of one fetch from the container endpoint.

    Returns:
        The source; a container endpoint is not contacted before the first request.

    Raises:
        CredentialsError: No source supplies keys, or one is configured in a way that cannot work.
    """
    keys = from_environment(environ)
    if keys is not None:
        return StaticCredentials(keys)
    profile = ProfileFiles(environ, home)
    keys = await profile.read()
    if keys is not None:
        # Not static: when S3 rejects the keys, their owner may have replaced them in the file.
        return RenewingCredentials(
            profile.fetch, unix_clock=unix_clock, keys=keys, max_pause_seconds=_REREAD_SECONDS
        )
    endpoint = find_endpoint(environ, unix_clock=unix_clock, transport=transport)
    if endpoint is not None:
        return RenewingCredentials(endpoint.fetch, unix_clock=unix_clock)
    raise CredentialsError(
        "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in "
        "~/.aws/credentials (AWS_PROFILE), or run where the ECS container endpoint is "
        "(EC2 instance metadata and web identities are not supported)"
    )


def from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """Read ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and the session token.

    Raises:
        CredentialsError: Only one half of the pair is set.
    """
    return key_pair(
        environ.get("AWS_ACCESS_KEY_ID"),
        environ.get("AWS_SECRET_ACCESS_KEY"),
        next((environ[name] for name in TOKENS if environ.get(name)), None),
        names=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    )
