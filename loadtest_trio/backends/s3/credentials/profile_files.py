"""Keys from the shared AWS files, ``~/.aws/credentials`` and ``~/.aws/config``.

File rules: "Shared config and credentials files" in the AWS SDKs and Tools Reference Guide. As in botocore,
the reader is the standard library's `configparser`, with `shlex` for the names of profiles; a test compares
the two over generated files. A profile that gets its keys by running a program, opening a browser or calling
another AWS service is rejected with one line that says so.
"""

import re
import shlex
from collections.abc import Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from pathlib import Path

from loadtest_trio.backends.s3.credentials.keys import TOKENS, Credentials, key_pair
from loadtest_trio.errors import CredentialsError

_UNSUPPORTED = {
    "role_arn": "an assumed role",
    "web_identity_token_file": "a web identity",
    "sso_session": "IAM Identity Center (SSO)",
    "sso_start_url": "IAM Identity Center (SSO)",
    "login_session": "a console login",
    "credential_process": "an external process",
}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")

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
    asked = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    name = asked or "default"
    shared = _section_file(environ, "AWS_SHARED_CREDENTIALS_FILE", home, "credentials")
    config = _profiles(_section_file(environ, "AWS_CONFIG_FILE", home, "config"))
    if asked and name not in shared and name not in config:
        raise CredentialsError(f"AWS_PROFILE={name}: no such profile in the AWS credentials and config files")
    first, second = shared.get(name, {}), config.get(name, {})
    _check_supported(name, first, second)
    found = first if "aws_access_key_id" in first else second
    if "aws_access_key_id" not in found:
        return None
    return key_pair(
        found.get("aws_access_key_id"),
        found.get("aws_secret_access_key"),
        next((found[token.lower()] for token in TOKENS if token.lower() in found), None),
        names=(f"aws_access_key_id of profile {name!r}", f"aws_secret_access_key of profile {name!r}"),
    )


def _check_supported(name: str, shared: Profile, config: Profile) -> None:
    for setting, meaning in _UNSUPPORTED.items():
        # botocore prefers static keys to a credential_process, but the other kinds to static keys.
        if setting == "credential_process" and "aws_access_key_id" in shared:
            continue
        if setting in shared or setting in config:
            raise CredentialsError(
                f"AWS profile {name!r} takes its keys from {meaning} ({setting}), which is not supported: "
                "use a profile with static keys, or export the keys into the environment"
            )


def _section_file(environ: Mapping[str, str], variable: str, home: Path, name: str) -> dict[str, Profile]:
    """Read the file that a variable names, or the one in the home directory.

    A home directory that this user may not enter has no file, as in botocore: a container may say HOME=/root
    and run as another user, with keys from elsewhere.
    """
    asked = any(environ.get(each) for each in (variable, "AWS_PROFILE", "AWS_DEFAULT_PROFILE"))
    try:
        return _read(_path(environ, variable, home / ".aws" / name, home))
    except CredentialsError as error:
        if asked or not isinstance(error.__cause__, PermissionError):
            raise
        return {}


def _path(environ: Mapping[str, str], variable: str, default: Path, home: Path) -> Path:
    given = environ.get(variable)
    if not given:
        return default
    given = _VARIABLE.sub(lambda match: environ.get(match[1] or match[2], match[0]), given)
    return home / given[2:] if given.startswith("~/") else Path(given)


def _read(path: Path) -> dict[str, Profile]:
    """Return the sections of a file by name; none when it does not exist."""
    parser = RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"), source=path.name)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from error
    except (ConfigParserError, UnicodeDecodeError) as error:
        # The parser's message quotes the offending line, which may hold a secret.
        raise CredentialsError(f"{path}: not a valid AWS profile file ({type(error).__name__})") from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _profiles(sections: Mapping[str, Profile]) -> dict[str, Profile]:
    """Return the profiles of a config file: ``[default]``, ``[profile NAME]``, ``[profile "a name"]``."""
    profiles: dict[str, Profile] = {}
    for section, values in sections.items():
        if section == "default":
            profiles["default"] = values
        elif section.startswith("profile"):
            try:
                words = shlex.split(section)
            except ValueError:  # an open quote
                continue
            if len(words) == 2:
                profiles[words[1]] = values
    return profiles
