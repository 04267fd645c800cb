"""Durations and numbers as Locust and k6 users write them: ``90``, ``30s``, ``10m``, ``1h30m``, ``500ms``."""

import re
from math import nan

from loadtest_trio.errors import ConfigurationError, SettingFault

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def bad_flag(flag: str, value: str, allowed: str) -> ConfigurationError:
    """Return the error for a command-line flag that cannot be used.

    Args:
        flag: As the user writes it, such as ``--stage``.
        value: What was given.
        allowed: What would have been accepted.
    """
    return ConfigurationError([SettingFault(flag, value, allowed, "command line")])


def seconds(text: str, flag: str) -> float:
    """Return a duration in seconds; a bare number is seconds.

    Args:
        text: Such as ``1h30m``.
        flag: The flag it was given to, for the error.

    Raises:
        ConfigurationError: It is no duration.
    """
    try:
        value = float(text)
    except ValueError:
        parts = _PART.findall(text) if _WHOLE.fullmatch(text) else ()
        value = sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else nan
    if not value >= 0:  # nor is nan
        raise bad_flag(flag, text, "a duration such as 30s, 10m or 1h30m")
    return value


def lasting(text: str, flag: str) -> float:
    """Return a duration of more than nothing, in seconds; see `seconds`.

    Raises:
        ConfigurationError: It is no duration, or 0.
    """
    value = seconds(text, flag)
    if not value:
        raise bad_flag(flag, text, "more than 0, such as 30s, 10m or 1h30m")
    return value


def short(value: float) -> str:
    """Return a duration as it would be typed, such as ``10m`` or ``1.5s``."""
    for unit in ("h", "m"):
        if value >= _UNITS[unit] and value % _UNITS[unit] == 0:
            return f"{value / _UNITS[unit]:g}{unit}"
    return f"{value:g}s"
