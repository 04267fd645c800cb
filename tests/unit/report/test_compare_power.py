"""The intervals of `compare` hold, and its runs show the differences that it promises: simulated logs."""

from collections.abc import Callable, Sequence
from functools import partial
from math import log
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from loadtest_trio.cli.main import main
from loadtest_trio.report import UnreadableRunError, compare
from loadtest_trio.report.compare import Comparison, Pair
from loadtest_trio.report.power import difference, runs_to_detect
from loadtest_trio.report.runs import Run
from loadtest_trio.report.sides import Side

SEARCHES = 200
NOISE, ALIKE = 0.1, 0.5  # of one interval; correlation of neighbours
Write = Callable[..., Path]


def _run(
    rng: np.random.Generator, mean: float, count: int, *, scatter: float = 0.0, speeds: Sequence[float] = ()
) -> Run:
    """A run of `count` seconds, of which neighbouring ones are alike; runs differ by `scatter`.

    With `speeds`, the core has that speed in each second, and the log says so.
    """
    mean *= rng.lognormal(0, scatter)
    noise, total, lines = 0.0, 0, []
    for second, fresh in enumerate(rng.normal(0, NOISE, count + 1).tolist()):
        noise = ALIKE * noise + (1 - ALIKE**2) ** 0.5 * fresh
        speed = speeds[second % len(speeds)] if speeds else 1.0
        total += round(mean * speed * max(0.0, 1 + noise))
        line = {"event": "metrics", "uptime_seconds": float(second), "_at": float(second)}
        lines.append(line | {"messages_processed": total} | ({"host_speed": speed} if speeds else {}))
    return Run(0.0, metrics=lines)


def _compared(a: Sequence[Run], b: Sequence[Run]) -> Comparison:
    return Pair(Side("a", tuple(a)), Side("b", tuple(b))).comparisons()[0]


def _pairs(
    ratio: float, count: int, *, runs: int = 1, scatter: float = 0.0, searches: int = SEARCHES, seed: int = 0
) -> list[Comparison]:
    """Compare simulated sides many times, whose true rates have this ratio."""
    make = partial(_run, np.random.default_rng([seed, count, runs]), count=count, scatter=scatter)
    return [
        _compared([make(1000) for _ in range(runs)], [make(1000 * ratio) for _ in range(runs)])
        for _ in range(searches)
    ]


def _seen(found: Sequence[Comparison]) -> float:
    return sum(each.verdict != "no difference shown" for each in found) / len(found)


@pytest.mark.parametrize(("count", "runs", "scatter"), [(100, 1, 0.0), (12, 3, 0.05), (12, 6, 0.05)])
def test_interval_covers_the_true_ratio(count: int, runs: int, scatter: float) -> None:
    """In 95 % of all comparisons, give or take what 200 of them vary by."""
    held = sum(
        each.found.low <= 1.05 <= each.found.high for each in _pairs(1.05, count, runs=runs, scatter=scatter)
    )
    assert 0.91 <= held / SEARCHES <= 0.99


def test_runs_show_the_difference_that_is_promised() -> None:
    """A difference of the size that comparisons call detectable is seen in four of five."""
    detectable = median(each.found.detectable for each in _pairs(1.0, 80, searches=50))
    assert 0.7 <= _seen(_pairs(1 + detectable, 80, seed=1)) <= 0.9


def test_longer_runs_show_the_wanted_difference() -> None:
    """As long as a short comparison says that it takes to see 3 %."""
    pilots = [each.found.factor_to_detect(0.03) for each in _pairs(1.0, 60, searches=50)]
    factor = median(each for each in pilots if each)
    assert factor > 1.5
    assert 0.75 <= _seen(_pairs(1.03, round(60 * factor), seed=2, searches=100)) <= 0.97


def test_more_runs_show_the_wanted_difference() -> None:
    """As many as a few runs say that it takes to see 6 %, where runs differ by 5 %."""
    rng = np.random.default_rng(3)
    pilots = [rng.normal(0, 0.05, (2, 4)).tolist() for _ in range(40)]
    runs = round(median(runs_to_detect(a, b, 0.06) or 0 for a, b in pilots))
    seen = []
    for _ in range(200):
        a, b = rng.normal(0, 0.05, (2, runs))
        found = difference(a.tolist(), (b + log(1.06)).tolist())
        seen.append(found.low > 1 or found.high < 1)
    assert 0.75 <= np.mean(seen) <= 0.99


def test_tiny_difference_takes_more_runs_than_anyone_makes() -> None:
    assert runs_to_detect([0.0, 0.1], [0.0, -0.1], 1e-4) is None


def test_probe_normalises_a_change_of_the_core() -> None:
    """Run B's core is slower by a third half the time: raw it is slower, normalised it is not."""
    rng = np.random.default_rng(4)
    a = _run(rng, 1000, 120, speeds=[1.0])
    b = _run(rng, 1000, 120, speeds=[1.0] * 6 + [2 / 3] * 6)
    normalised, raw = Pair(Side("a", (a,)), Side("b", (b,))).comparisons()[:2]
    assert (normalised.figure.name, normalised.verdict) == (
        "messages a second, normalised",
        "no difference shown",
    )
    assert raw.verdict == "slower"


def test_one_run_without_probe_is_not_normalised_by_it() -> None:
    """A speed that only one log knows cannot be compared."""
    rng = np.random.default_rng(5)
    runs = [_run(rng, 1000, 20, speeds=[2.0]), _run(rng, 1000, 20)]
    assert _compared(runs[:1], runs[1:]).figure.name == "messages a second"


def test_equal_runs_without_noise_have_a_ratio() -> None:
    """A program that does the same every second: no variance to divide by."""
    found = difference([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    assert (found.ratio, found.low, found.high, found.detectable) == (1.0, 1.0, 1.0, 0.0)


def _write_runs(write: Write, make: Any, means: Sequence[int], name: str) -> list[Path]:
    rates = [[mean + 10 * (second % 3) for second in range(20)] for mean in means]
    return [write(make.run_lines(each), f"{name}{place}.jsonl") for place, each in enumerate(rates)]


def test_power_is_said_for_single_runs(write: Write, make: Any) -> None:
    a, b = (_write_runs(write, make, [mean], name) for name, mean in (("a", 500), ("b", 505)))
    said = compare(a, b, detect=0.05)
    assert "times as much as A: with 95 % confidence" in said
    assert "in four of five cases; a smaller one is likely to go unseen" in said
    assert "To see 5 % in four of five cases, run each side for" in said
    assert "only several runs a side show" in said


def test_power_is_said_for_several_runs(write: Write, make: Any) -> None:
    a, b = (_write_runs(write, make, means, name) for name, means in (("a", (500, 530)), ("b", (520, 500))))
    said = compare(a, b, detect=0.02)
    assert "Such 2 and 2 runs show a difference of" in said
    assert "runs a side as long as these" in said
    assert "by Welch's t-test over the runs" in said
    assert "A: a0.jsonl and 1 more" in said


def test_hopelessly_uncertain_scores_are_said(write: Write, make: Any) -> None:
    """Scores known to 5 % hide a difference of 1 % for ever."""
    lines = make.run_lines([100 + second % 3 for second in range(20)])
    lines[0] |= {"score": 1.0}
    run = write(lines, "scored.jsonl")
    assert "no run is long enough" in compare([run], [run], detect=0.01)


def test_several_runs_need_several_on_the_other_side(write: Write, make: Any) -> None:
    runs = _write_runs(write, make, (500, 510, 520), "run")
    with pytest.raises(UnreadableRunError, match="give two or more of each"):
        compare(runs[:2], runs[2:])


def test_settings_that_differ_within_a_side_are_listed(write: Write, make: Any) -> None:
    a, b = _write_runs(write, make, (500, 510), "a"), _write_runs(write, make, (500,), "b")
    other = write(make.run_lines([500] * 20, settings={"WORKER_CONCURRENCY": "20"}), "other.jsonl")
    assert "| WORKER_CONCURRENCY | 10 | 10 or 20 |" in compare(a, [*b, other])


def test_command_compares_several_runs_a_side(
    write: Write, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [*map(str, _write_runs(write, make, (500, 510, 600, 610), "run"))]
    assert main(["compare", *runs[:2], "--with", *runs[2:], "--detect", "5%"]) == 0
    said = capsys.readouterr().out
    assert "**B is faster than A**" in said
    assert "To see 5 %" in said


@pytest.mark.parametrize("options", [["a"], ["a", "b", "--detect", "0%"], ["a", "b", "--detect", "5"]])
def test_bad_options_are_one_line(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *options])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
