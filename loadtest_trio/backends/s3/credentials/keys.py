"""A set of AWS keys, and the interface of the sources that supply them."""

from typing import Protocol

import attrs

from loadtest_trio.errors import CredentialsError

TOKENS = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""Names of the session token; the first is the older one, which botocore prefers if both are set."""


@attrs.frozen
class Credentials:
    """One set of AWS keys; the repr hides the secret and the token.

    Attributes:
        access_key: The access key id.
        secret_key: The secret access key.
        session_token: The session token of temporary keys, or None.
        expires_at: When they expire, in Unix seconds; None for keys that do not expire.
    """

    access_key: str
    secret_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)
    expires_at: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse values that an HTTP header cannot carry, without showing them.

        Raises:
            CredentialsError: A value is empty or holds a space, a line break or a non-ASCII character.
        """
        named = {"access key id": self.access_key, "secret access key": self.secret_key}
        if self.session_token is not None:
            named["session token"] = self.session_token
        for name, value in named.items():
            if not value or not all("!" <= character <= "~" for character in value):
                raise CredentialsError(
                    f"the AWS {name} is empty or holds a space, a line break or a non-ASCII character"
                )


class CredentialsSource(Protocol):
    """Supplies the keys that requests are signed with; asked before every request."""

    async def current(self) -> Credentials:
        """Return keys that are valid now.

        Raises:
            CredentialsError: There are no valid keys.
        """

    async def renewed(self, refused: Credentials) -> Credentials:
        """Return newer keys than `refused`, or the same keys if there are none newer.

        Args:
            refused: The keys that S3 rejected as expired or invalid.

        Raises:
            CredentialsError: The keys have expired and could not be renewed.
        """


@attrs.frozen
class StaticCredentials:
    """Keys that never change, such as those of the environment."""

    credentials: Credentials

    async def current(self) -> Credentials:
        """Return the keys."""
        return self.credentials

    async def renewed(self, refused: Credentials) -> Credentials:  # noqa: ARG002 - the protocol's argument
        """Return the same keys."""
        return self.credentials


def key_pair(
    access_key: str | None, secret_key: str | None, token: str | None, *, names: tuple[str, str]
) -> Credentials | None:
    """Return one set of keys, or None when neither half of the pair is set.

    Args:
        access_key: The access key id, if it is set.
        secret_key: The secret access key, if it is set.
        token: The session token, if it is set.
        names: Names of the two halves, for the error.

    Raises:
        CredentialsError: Only one half is set.
    """
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        missing, present = names if not access_key else names[::-1]
        raise CredentialsError(f"{missing} is missing, although {present} is set")
    return Credentials(access_key.strip(), secret_key.strip(), (token or "").strip() or None)
