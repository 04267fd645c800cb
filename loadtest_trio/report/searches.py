"""Several saturation searches side by side: do they agree?"""

from collections.abc import Iterable, Sequence
from math import exp, log
from statistics import fmean

from loadtest_trio.report.details import LogLine
from loadtest_trio.report.markdown import Cell, table
from loadtest_trio.report.runs import Run, number


def side_by_side(runs: Sequence[Run]) -> str:
    """Return a table of the searches and how far their rates are apart; "" for fewer than two."""
    runs = [run for run in runs if run.is_tuning and run.first("tune_saturation")]
    if len(runs) < 2:
        return ""
    headings = ("", *(f"search {place}" for place in range(1, len(runs) + 1)), "largest difference")
    rows: list[list[Cell]] = [
        ["saturation rate, messages/s", *map(_rate, runs), _apart(runs, "rate")],
        ["95 % interval", *(_range(run, "low", "high") for run in runs), None],
        ["speed of the core", *(_found(run, "speed") for run in runs), _apart(runs, "speed")],
        [
            "rate, normalised",
            *(_found(run, "rate_normalised") for run in runs),
            _apart(runs, "rate_normalised"),
        ],
        ["95 % interval", *(_range(run, "low_normalised", "high_normalised") for run in runs), None],
        ["closed loop, normalised", *map(_closed_loop, runs), _largest(map(_closed_loop, runs))],
        ["changes of the host", *(len(run.all("tune_host_changed")) for run in runs), None],
        ["bottleneck", *(str(run.first("tune_verdict").get("bottleneck", "–")) for run in runs), None],
        *_experiments(runs),
    ]
    return "## Searches side by side\n\n" + table(headings, rows)


def _found(run: Run, field: str) -> float | None:
    return number(run.first("tune_saturation"), field) or None


def _rate(run: Run) -> str:
    found = run.first("tune_saturation")
    return f"{number(found, 'rate'):,.0f}{'' if found.get('confirmed', True) else ' (not confirmed)'}"


def _range(run: Run, low: str, high: str) -> str:
    ends = _found(run, low), _found(run, high)
    return f"{ends[0]:,.0f} to {ends[1]:,.0f}" if ends[0] and ends[1] else "–"


def _apart(runs: Sequence[Run], field: str) -> str | None:
    return _largest(_found(run, field) for run in runs)


def _largest(values: Iterable[float | None]) -> str | None:
    """Return by how much the largest value exceeds the smallest; None if one is not known."""
    known = list(values)
    sound = [each for each in known if each]
    return f"{100 * (max(sound) / min(sound) - 1):.1f} %" if sound and len(sound) == len(known) else None


def _closed_loop(run: Run) -> float | None:
    """Return the geometric mean of the baseline windows' rates, each divided by the speed at its time."""
    rates = [
        log(number(line, "per_second") / number(line, "speed"))
        for line in run.all("tune_window")
        if line.get("experiment") == "baseline" and number(line, "per_second") * number(line, "speed") > 0
    ]
    return exp(fmean(rates)) if rates else None


def _experiments(runs: Sequence[Run]) -> list[list[Cell]]:
    """Return a row of elasticities with their intervals for each experiment."""
    made = [{str(line.get("experiment")): line for line in run.all("tune_experiment")} for run in runs]
    names = dict.fromkeys(name for experiments in made for name in experiments)
    return [
        [f"elasticity, {name}", *(_elasticity(experiments.get(name, {})) for experiments in made), None]
        for name in names
    ]


def _elasticity(line: LogLine) -> str:
    if not line:
        return "–"
    low, high = number(line, "low"), number(line, "high")
    return f"{number(line, 'elasticity'):.2f} ({low:.2f} to {high:.2f})"
