"""Static keys from the shared AWS files, ``~/.aws/credentials`` and ``~/.aws/config``.

File rules: "Shared config and credentials files" in the AWS SDKs and Tools Reference Guide. A profile that
gets its keys by running a program, opening a browser or calling another AWS service is rejected with one
line that says so.
"""

from collections.abc import Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from pathlib import Path

from loadtest_trio.backends.s3.credentials.keys import Credentials, key_pair
from loadtest_trio.errors import CredentialsError

_UNSUPPORTED = {
    "role_arn": "an assumed role",
    "web_identity_token_file": "a web identity",
    "sso_session": "IAM Identity Center (SSO)",
    "sso_start_url": "IAM Identity Center (SSO)",
    "login_session": "a console login",
    "credential_process": "an external process",
}

Profile = Mapping[str, str]


def from_profile(environ: Mapping[str, str], home: Path) -> Credentials | None:
    """Read a profile's static keys from the shared files (blocking).

    Args:
        environ: Supplies ``AWS_PROFILE``, ``AWS_SHARED_CREDENTIALS_FILE`` and ``AWS_CONFIG_FILE``.
        home: The home directory, which contains ``.aws``.

    Returns:
        The keys, or None when the profile holds none.

    Raises:
        CredentialsError: ``AWS_PROFILE`` names no profile, the profile is of an unsupported kind, or a file
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
        # botocore prefers static keys to a credential_process, but the other kinds to static keys.
        if setting in merged and not (
            setting == "credential_process" and "aws_access_key_id" in (static or {})
        ):
            raise CredentialsError(
                f"AWS profile {profile!r} takes its keys from {meaning} ({setting}), which is not supported: "
                "use a profile with static keys, or export the keys into the environment"
            )
    return key_pair(
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
    # default_section="": otherwise configparser copies the values of [default] into every profile.
    parser = RawConfigParser(strict=False, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=path.name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from error
    except (ConfigParserError, UnicodeDecodeError) as error:
        # The parser's message quotes the offending line, which may hold a secret.
        raise CredentialsError(f"{path}: not a valid AWS profile file ({type(error).__name__})") from None
    return dict(parser.items(name)) if parser.has_section(name) else None
