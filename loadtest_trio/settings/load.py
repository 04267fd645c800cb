"""Loads `Settings` from the environment and an optional TOML file; reports every fault at once.

Why not a settings library: typed-settings and environ-config stop at the first failing validator, read
`os.environ` themselves, and put the raw value, possibly with a password, into the error. Beyond attrs and
cattrs, this module is all that is needed.
"""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import attrs

from loadtest_trio.errors import ConfigurationError, SettingFault
from loadtest_trio.settings.info import SETTINGS, SettingInfo
from loadtest_trio.settings.model import Settings
from loadtest_trio.settings.values import make_converter

_ORDERED_PAIRS = (
    ("precondition_min_objects", "precondition_max_objects"),
    ("min_file_uuids", "max_file_uuids"),
    ("min_file_size_bytes", "max_file_size_bytes"),
)
_CONVERTER = make_converter()


@attrs.frozen
class Loaded:
    """Settings and where they come from.

    Attributes:
        settings: The configuration.
        sources: Setting -> source of its value.
        warnings: Sentences about variables that look like typing errors.
    """

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]


@attrs.frozen
class Survey:
    """Valid settings and faults together.

    Attributes:
        values: Field name -> value, of valid settings that are not defaults.
        sources: Setting -> source of its value.
        faults: The invalid settings.
        warnings: Sentences about variables that look like typing errors.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    faults: tuple[SettingFault, ...]
    warnings: tuple[str, ...]


def load(
    environ: Mapping[str, str],
    file: Path | None = None,
    embedded: Mapping[str, str] | None = None,
    *,
    unneeded: frozenset[str] = frozenset(),
) -> Loaded:
    """Collect, convert and check every setting.

    Precedence: values of the embedded backends, the environment, the file, the default. An empty variable
    counts as unset.

    Args:
        environ: The environment variables.
        file: A TOML file with the settings' names in lower case at its top level.
        embedded: Values set by the embedded backends.
        unneeded: Required settings that the caller does without; empty when they are not set.

    Returns:
        The settings, their sources and warnings about likely typing errors.

    Raises:
        ConfigurationError: With every fault found.
    """
    survey = look(environ, file, embedded, unneeded=unneeded)
    if survey.faults:
        raise ConfigurationError(list(survey.faults), survey.warnings)
    with attrs.validators.disabled():  # all values are checked, and an unneeded one would not pass
        settings = Settings(**survey.values)
    return Loaded(settings, survey.sources, survey.warnings)


def look(
    environ: Mapping[str, str],
    file: Path | None = None,
    embedded: Mapping[str, str] | None = None,
    *,
    unneeded: frozenset[str] = frozenset(),
) -> Survey:
    """Collect, convert and check every setting like `load`, but return faults instead of raising."""
    table, faults = _read_file(file)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(Settings)
    for field, info in zip(fields, SETTINGS, strict=True):
        raw, source = _find(info, environ, table, file, embedded or {})
        sources[info.name] = source
        if raw is None:
            if info.name in unneeded:
                values[field.name] = ""
            elif info.required:
                faults.append(SettingFault(info.name, "", f"set to {info.allowed}", "not set"))
            continue
        try:
            values[field.name] = _structure(field, raw)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            faults.append(SettingFault(info.name, info.shown(raw), info.allowed, source))
    faults += _conflicts(values, sources)
    return Survey(values, sources, tuple(faults), tuple(_likely_typos(environ)))


def _structure(field: "attrs.Attribute[Any]", raw: object) -> object:
    value = _CONVERTER.structure(raw, cast(type[object], field.type))
    if field.validator is not None:
        field.validator(None, field, value)
    return value


def _find(
    info: SettingInfo,
    environ: Mapping[str, str],
    table: Mapping[str, object],
    file: Path | None,
    embedded: Mapping[str, str],
) -> tuple[object, str]:
    if info.name in embedded:
        return embedded[info.name], "embedded"
    for name in (info.name, *info.aliases):
        if environ.get(name, "").strip():
            return environ[name], "environment" if name == info.name else f"environment {name}"
    if info.name.lower() in table:
        return table[info.name.lower()], f"file {file.name if file else ''}"
    return None, "default"


def _read_file(file: Path | None) -> tuple[dict[str, Any], list[SettingFault]]:
    if file is None:
        return {}, []
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, [SettingFault("--config", str(file), f"a readable file: {error.strerror}", "command line")]
    except (ValueError, RecursionError) as error:  # not TOML, not text, or nested too deeply
        return {}, [SettingFault("--config", str(file), f"a TOML file: {error}", "command line")]
    known = [info.name.lower() for info in SETTINGS]
    unknown = [name for name in table if name not in known]
    return table, [SettingFault(name, "…", _nearest(name, known), f"file {file.name}") for name in unknown]


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"a known setting; the nearest is {close[0]}" if close else "a known setting"


def _conflicts(values: Mapping[str, Any], sources: Mapping[str, str]) -> Iterable[SettingFault]:
    defaults = {field.name: field.default for field in attrs.fields(Settings)}
    sizes = [name for name in _ORDERED_PAIRS[-1] if values.get(name) is not None]
    if len(sizes) == 1:
        twin = next(name for name in _ORDERED_PAIRS[-1] if name not in sizes).upper()
        yield SettingFault(twin, "", f"set together with {sizes[0].upper()}", "not set")
    for low, high in _ORDERED_PAIRS:
        least, most = (values.get(name, defaults[name]) for name in (low, high))
        if least is not None and most is not None and least > most:
            yield SettingFault(
                low.upper(), str(least), f"at most {high.upper()}, which is {most}", sources[low.upper()]
            )


def _likely_typos(environ: Mapping[str, str]) -> Iterable[str]:
    known = [name for info in SETTINGS for name in (info.name, *info.aliases)]
    for name in sorted(environ):
        aws_own = name.startswith("AWS_ENDPOINT_URL_")  # AWS has one per service
        close = [] if name in known or aws_own else get_close_matches(name, known, n=1, cutoff=0.85)
        if close:
            yield f"unknown variable {name}: did you mean {close[0]}?"
