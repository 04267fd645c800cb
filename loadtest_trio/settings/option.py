"""Declares one setting as an attrs field; `config`, the docs and errors use the field's metadata."""

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
from attrs import validators as v

from loadtest_trio.settings.values import mask_url

T = TypeVar("T")
REQUIRED: Any = attrs.NOTHING
LONGEST_SECONDS = 1e9


def option(
    default: T,
    meaning: str,
    *,
    allowed: str,
    check: Any = None,
    aliases: tuple[str, ...] = (),
    secret: bool = False,
    mask: Callable[[Any], str] = mask_url,
) -> T:
    """Declare one setting as an attrs field; `config`, the docs and errors use its metadata.

    Args:
        default: The default value, or `REQUIRED`.
        meaning: One sentence for the user.
        allowed: The accepted values, as a continuation of "must be …".
        check: An attrs validator for limits beyond the type.
        aliases: Other variables, used in this order if the first is unset.
        secret: Whether the value may contain a password.
        mask: Returns a secret value in a form that is safe to print; by default a URL without its secrets.
    """
    metadata = {"meaning": meaning, "allowed": allowed, "aliases": aliases, "secret": secret, "mask": mask}
    display: Callable[[Any], str] | bool = mask if secret else True
    field: T = attrs.field(default=default, validator=check, metadata=metadata, repr=display)
    return field


def whole(default: T, meaning: str, *, least: int = 0, most: int | None = None) -> T:
    """Declare a whole-number setting with bounds."""
    bounds = f"a whole number from {least} to {most}" if most else f"a whole number of {least} or more"
    check = v.and_(v.ge(least), v.le(most if most else 2**53))
    return option(default, meaning, allowed=bounds, check=v.optional(check))


def seconds(default: float, meaning: str, *, least: float = 0.0) -> float:
    """Declare a duration in seconds; in milliseconds it still fits Redis's numbers and Python's clocks."""
    allowed = f"a number of seconds from {least:g} to {LONGEST_SECONDS:,.0f} (30 years)"
    return option(default, meaning, allowed=allowed, check=v.and_(v.ge(least), v.le(LONGEST_SECONDS)))


def choice(default: T, meaning: str) -> T:
    """Declare a setting that is one of an enumeration's values."""
    values = ", ".join(str(member) for member in type(default))  # type: ignore[attr-defined] # T is an Enum
    return option(default, meaning, allowed=f"one of {values}")


def token(meaning: str) -> str:
    """Declare a secret that clients must present; if empty, none is needed."""
    return option(
        "",
        meaning,
        allowed="empty, or 8-200 printable characters without blanks",
        check=v.matches_re(r"|[!-~]{8,200}"),
        secret=True,
        mask=lambda value: "***" if value else "",
    )
