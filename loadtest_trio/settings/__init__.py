"""Settings: what can be configured, where values come from, what is allowed."""

from loadtest_trio.settings.load import Loaded, load
from loadtest_trio.settings.model import SETTINGS, SettingInfo, Settings
from loadtest_trio.settings.values import (
    Distribution,
    LogFormat,
    LogLevel,
    MetricsFormat,
    Role,
    SchedulerMode,
    Transport,
    mask_url,
)

__all__ = [
    "SETTINGS",
    "Distribution",
    "Loaded",
    "LogFormat",
    "LogLevel",
    "MetricsFormat",
    "Role",
    "SchedulerMode",
    "SettingInfo",
    "Settings",
    "Transport",
    "load",
    "mask_url",
]
