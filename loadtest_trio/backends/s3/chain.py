"""The standard AWS credential chain, without botocore: environment, profile files, container endpoint.

Order and file rules: "Standardized credential providers" and "Shared config and credentials files" in
the AWS SDKs and Tools Reference Guide. What botocore would run a program, a browser or another AWS
service for (credential_process, SSO, assumed roles, web identity, EC2 metadata) is not done here: the
profile that asks for it is refused with one line that says so.
"""

from collections.abc import Callable, Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from pathlib import Path

import httpx
import trio

from loadtest_trio.backends.s3.container import find_endpoint
from loadtest_trio.backends.s3.credentials import (
    Credentials,
    CredentialsSource,
    RenewingCredentials,
    StaticCredentials,
)
from loadtest_trio.errors import CredentialsError

_UNSUPPORTED = {
    "role_arn": "an assumed role",
    "web_identity_token_file": "a web identity",
    "sso_session": "IAM Identity Center (SSO)",
    "sso_start_url": "IAM Identity Center (SSO)",
    "login_session": "a console login",
    "credential_process": "an external process",
}
_file_limiter = trio.CapacityLimiter(1)

Profile = Mapping[str, str]


async def find_credentials(
    environ: Mapping[str, str],
    *,
    home: Path,
    now: Callable[[], float],
    transport: Callable[[], httpx.AsyncBaseTransport] = httpx.AsyncHTTPTransport,
) -> CredentialsSource:
    """Find the first source of the chain that has keys.

    Args:
        environ: The environment.
        home: The user's home, in which ``.aws`` lies.
        now: The wall clock, in Unix seconds.
        transport: Makes the transport of one fetch from the container endpoint.

    Returns:
        The source; a container endpoint has not been asked yet.

    Raises:
        CredentialsError: No source has keys, or one is set up in a way that cannot work.
    """
    keys = from_environment(environ)
    if keys is None:
        keys = await trio.to_thread.run_sync(from_profile, environ, home, limiter=_file_limiter)
    if keys is not None:
        return StaticCredentials(keys)
    endpoint = find_endpoint(environ, now=now, transport=transport)
    if endpoint is not None:
        return RenewingCredentials(endpoint.fetch, now=now)
    raise CredentialsError(
        "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in "
        "~/.aws/credentials (AWS_PROFILE), or run where the ECS container endpoint is "
        "(EC2 instance metadata and web identities are not supported)"
    )


def from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """Read ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``.

    Raises:
        CredentialsError: Only one half of the pair is set.
    """
    return _pair(
        environ.get("AWS_ACCESS_KEY_ID"),
        environ.get("AWS_SECRET_ACCESS_KEY"),
        environ.get("AWS_SESSION_TOKEN"),
        names=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    )


def from_profile(environ: Mapping[str, str], home: Path) -> Credentials | None:
    """Read static keys from the shared files (blocking).

    Args:
        environ: Read for ``AWS_PROFILE``, ``AWS_SHARED_CREDENTIALS_FILE`` and ``AWS_CONFIG_FILE``.
        home: The user's home, in which ``.aws`` lies.

    Returns:
        The keys, or None when the profile has none and was not asked for by name.

    Raises:
        CredentialsError: The profile asked for does not exist, or is of an unsupported kind, or a file
            cannot be read.
    """
    name = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    profile = name or "default"
    section = profile if profile == "default" else f"profile {profile}"
    static = _section(
        _path(environ, "AWS_SHARED_CREDENTIALS_FILE", home / ".aws" / "credentials", home), profile
    )
    config = _section(_path(environ, "AWS_CONFIG_FILE", home / ".aws" / "config", home), section)
    if name and static is None and config is None:
        raise CredentialsError(f"AWS_PROFILE={name}: no such profile in the AWS credentials and config files")
    merged = {**(config or {}), **(static or {})}
    for setting, meaning in _UNSUPPORTED.items():
        # A program is only the fallback of a profile that also holds keys; the rest comes before them.
        if setting in merged and not (
            setting == "credential_process" and "aws_access_key_id" in (static or {})
        ):
            raise CredentialsError(
                f"AWS profile {profile!r} takes its keys from {meaning} ({setting}), which is not supported: "
                "use a profile with static keys, or export the keys into the environment"
            )
    return _pair(
        merged.get("aws_access_key_id"),
        merged.get("aws_secret_access_key"),
        merged.get("aws_session_token"),
        names=(f"aws_access_key_id of profile {profile!r}", f"aws_secret_access_key of profile {profile!r}"),
    )


def _path(environ: Mapping[str, str], variable: str, default: Path, home: Path) -> Path:
    given = environ.get(variable)
    if not given:
        return default
    return home / given[2:] if given.startswith("~/") else Path(given)


def _section(path: Path, name: str) -> Profile | None:
    # default_section: "default" is a profile like any other here, not a source of defaults.
    parser = RawConfigParser(strict=False, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=path.name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from error
    except (ConfigParserError, UnicodeDecodeError) as error:
        # The parser quotes the line it stumbled over, which may hold a secret.
        raise CredentialsError(f"{path}: not a valid AWS profile file ({type(error).__name__})") from None
    return dict(parser.items(name)) if parser.has_section(name) else None


def _pair(
    access_key: str | None, secret_key: str | None, token: str | None, *, names: tuple[str, str]
) -> Credentials | None:
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        missing, present = names if not access_key else names[::-1]
        raise CredentialsError(f"{missing} is missing, although {present} is set")
    return Credentials(access_key.strip(), secret_key.strip(), (token or "").strip() or None)
