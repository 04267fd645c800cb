"""The description of each setting, read from its declaration: for `config`, the docs and errors."""

from collections.abc import Callable
from typing import Any

import attrs

from loadtest_trio.settings.model import Settings
from loadtest_trio.settings.values import show


@attrs.frozen
class SettingInfo:
    """The description of a setting.

    Attributes:
        name: The environment variable; in lower case, the TOML key and the attribute.
        aliases: Other variables, used in this order if `name` is unset.
        default_text: The default as a user would write it; "" if required or unset.
        required: Whether there is no default.
        meaning: One sentence for the user.
        allowed: The accepted values.
        secret: Whether the value is masked when shown.
        mask: Masks a value.
    """

    name: str
    aliases: tuple[str, ...]
    default_text: str
    required: bool
    meaning: str
    allowed: str
    secret: bool
    mask: Callable[[Any], str] = attrs.field(repr=False)

    def shown(self, value: object) -> str:
        """Return a value as text that is safe to print."""
        return self.mask(show(value)) if self.secret else show(value)


def _describe(field: "attrs.Attribute[Any]") -> SettingInfo:
    required = field.default is attrs.NOTHING
    return SettingInfo(
        name=field.name.upper(),
        default_text="" if required else show(field.default),
        required=required,
        **field.metadata,
    )


SETTINGS: tuple[SettingInfo, ...] = tuple(_describe(field) for field in attrs.fields(Settings))
