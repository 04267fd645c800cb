"""The dated price table of `preflight`; `terraform/` has an identical copy."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from loadtest_trio.errors import ConfigurationError, SettingFault

Prices = dict[str, Any]


def load_prices(override: Path | None = None) -> Prices:
    """Return the table, in USD.

    Args:
        override: A JSON file with entries that replace those of the table.

    Returns:
        Name -> price; `as_of` and `region` tell when and where the prices applied.

    Raises:
        ConfigurationError: The file cannot be read, is not a JSON object or names an unknown price.
    """
    prices: Prices = json.loads(files(__package__).joinpath("prices.json").read_text(encoding="utf-8"))
    if override is None:
        return prices
    try:
        changes = json.loads(override.read_text(encoding="utf-8"))
        unknown = sorted(set(changes) - set(prices))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError([_fault(override, f"a readable JSON object ({error})")]) from error
    if not isinstance(changes, dict) or unknown:
        known = ", ".join(sorted(prices))
        raise ConfigurationError([_fault(override, f"a JSON object with only these names: {known}")])
    return prices | changes


def _fault(file: Path, allowed: str) -> SettingFault:
    return SettingFault("--prices", str(file), allowed, "command line")
