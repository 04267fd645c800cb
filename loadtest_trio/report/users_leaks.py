"""Does the target lose descriptors or memory? Usage fitted over time, beside what users explain. Pure.

Each user holds a connection, so descriptors follow the users; a leak is what grows on while they do not. A
least-squares fit of usage on users and on what leaks (the requests so far, or the time: whichever fits
better) tells the two apart. Its error is widened for neighbouring readings that are alike (first-order
autocorrelation: the effective sample size is n(1-r)/(1+r)).
"""

from collections.abc import Sequence

import attrs
import numpy as np

from loadtest_trio.report.users_moments import Moment

_FEWEST = 12
_SURE = 4.0  # standard errors
_WARM_UP = 0.2  # of the run: caches fill, connections open
_LEAST_FDS = 5.0
_LEAST_MB, _LEAST_SHARE = 5.0, 0.05


@attrs.frozen
class Leak:
    """One resource over the run.

    Attributes:
        what: ``descriptors`` or ``memory``.
        unit: Of the values: "" or MB.
        per_hour: Growth that the users do not explain.
        error: Its standard error.
        grown: Growth over the time that was fitted.
        leaks: It is sure, and large enough to matter.
        per_thousand: Growth a thousand requests, where requests were made.
    """

    what: str
    unit: str
    per_hour: float
    error: float
    grown: float
    leaks: bool
    per_thousand: float | None


def leaks(moments: Sequence[Moment]) -> list[Leak]:
    """Return what is known of the target's descriptors and memory; empty where they could not be read.

    Args:
        moments: Of the whole run.
    """
    late = [
        each for each in moments if each.at >= moments[0].at + _WARM_UP * (moments[-1].at - moments[0].at)
    ]
    found = []
    for field, what, unit in (("fds", "descriptors", ""), ("memory_mb", "memory", "MB")):
        known = [each for each in late if getattr(each, field) is not None]
        if len(known) >= _FEWEST:
            found.append(_fit(known, field, what, unit))
    return found


def _fit(known: Sequence[Moment], field: str, what: str, unit: str) -> Leak:
    values = np.array([float(getattr(each, field)) for each in known])
    users = np.array([float(each.users) for each in known])
    hours = np.array([each.at / 3600 for each in known])
    work = np.cumsum([float(each.requests) for each in known])
    span = float(hours[-1] - hours[0])
    fits = [_slope(values, driver, users) for driver in (work, hours) if driver.std() > 0]
    slope, error, reach, _ = min(fits, key=lambda fit: fit[3])
    grown = slope * reach
    least = _LEAST_FDS if field == "fds" else max(_LEAST_MB, _LEAST_SHARE * float(values.mean()))
    return Leak(
        what=what,
        unit=unit,
        per_hour=grown / span if span else 0.0,
        error=error * reach / span if span else 0.0,
        grown=grown,
        leaks=slope > _SURE * error and grown >= least,
        per_thousand=1000 * grown / float(work[-1]) if work[-1] else None,
    )


def _slope(values: np.ndarray, driver: np.ndarray, users: np.ndarray) -> tuple[float, float, float, float]:
    """Return growth a unit of the driver beside what the users explain.

    Returns:
        The growth, its standard error, how far the driver reached, and the squares that are left.
    """
    columns = [np.ones_like(driver), driver - driver.mean()]
    if users.std() > 0:
        columns.append(users)
    matrix = np.column_stack(columns)
    fitted, *_ = np.linalg.lstsq(matrix, values, rcond=None)
    rest = values - matrix @ fitted
    squares = float(rest @ rest)
    spread = np.linalg.pinv(matrix.T @ matrix)
    alike = _autocorrelation(rest)
    variance = squares / max(1, len(values) - matrix.shape[1])
    error = (variance * float(spread[1, 1]) * (1 + alike) / (1 - alike)) ** 0.5
    return float(fitted[1]), error, float(driver[-1] - driver[0]), squares


def _autocorrelation(rest: np.ndarray) -> float:
    power = float(rest @ rest)
    return min(0.9, max(0.0, float(rest[1:] @ rest[:-1]) / power)) if power else 0.0
