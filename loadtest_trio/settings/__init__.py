"""The settings: their types, defaults, limits and sources."""

from loadtest_trio.settings.info import SETTINGS, SettingInfo
from loadtest_trio.settings.load import Loaded, Survey, load, look
from loadtest_trio.settings.model import MOST_WORKERS, Settings
from loadtest_trio.settings.values import (
    ApiServer,
    ArchiveMode,
    Distribution,
    LogFormat,
    LogLevel,
    MetricsFormat,
    Role,
    SchedulerMode,
    Transport,
    Workers,
    mask_url,
)

__all__ = [
    "MOST_WORKERS",
    "SETTINGS",
    "ApiServer",
    "ArchiveMode",
    "Distribution",
    "Loaded",
    "LogFormat",
    "LogLevel",
    "MetricsFormat",
    "Role",
    "SchedulerMode",
    "SettingInfo",
    "Settings",
    "Survey",
    "Transport",
    "Workers",
    "load",
    "look",
    "mask_url",
]
