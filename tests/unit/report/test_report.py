"""The report holds what a reader needs, whatever the lines look like."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest_trio.report import write_report

Write = Callable[..., Path]


def test_a_report_on_a_run_is_complete(write: Write, make: Any, tmp_path: Path) -> None:
    """One run: machine, settings, rates, percentiles, mix, ledger, and pictures that exist."""
    report = write_report([write(make.run_lines([10, 20, 30]))], tmp_path / "out")
    said = report.read_text()
    for fact in (
        "Test CPU",
        "| WORKER_CONCURRENCY | 10 |",
        "steady phase: 20",
        "| READ | 50 | 49.5 | -0.5 |",
    ):
        assert fact in said
    assert "It balances in all 4 metrics lines." in said
    assert "| READ.service_ms | 8 | 10" in said
    pictures = [line.split("(")[1].rstrip(")") for line in said.splitlines() if line.startswith("![")]
    assert set(pictures) == {"run-time.png", "run-latency.png", "run-mix.png"}
    assert all((tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_a_report_on_several_runs_lists_what_changed(write: Write, make: Any, tmp_path: Path) -> None:
    """Several runs: a table of what was changed between them and what that gave."""
    first = make.run_lines([10] * 5)
    second = make.run_lines([15] * 5, make.start + 100, settings={"WORKER_CONCURRENCY": "20"})
    said = write_report([write(first + second)], tmp_path / "out").read_text()
    assert "| WORKER_CONCURRENCY 10 → 20 | 15 | +50 % |" in said


def test_damage_is_reported(write: Write, make: Any, tmp_path: Path) -> None:
    """Damaged lines and histograms are counted in the report."""
    lines = make.run_lines([10, 20])
    lines[2]["histograms"] = {"READ.service_ms": "HISTbroken"}
    encoded = make.encode(lines) + b'{"event":"metrics","time'
    said = write_report([write(encoded)], tmp_path / "out").read_text()
    assert "- Damaged lines, left out: 1\n- Damaged histograms, left out: 1" in said


def test_an_unbalanced_ledger_is_reported(write: Write, make: Any, tmp_path: Path) -> None:
    """A ledger that does not add up is said, with the time."""
    lines = make.run_lines([10, 20])
    lines[2]["ledger"]["difference"] = 3
    said = write_report([write(lines)], tmp_path / "out").read_text()
    assert "**It does not balance in 1 of 3 metrics lines**" in said


_junk = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=5), st.just([]), st.just({})
)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time, and one figure is enough to see that it is reached."""
    monkeypatch.setattr("loadtest_trio.report.canvas.save", lambda *_: "")
    for module in ("pictures", "tuning_pictures"):
        monkeypatch.setattr(f"loadtest_trio.report.{module}.save", lambda *_: "")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_fields_of_any_type_do_not_stop_a_report(
    write: Write, make: Any, tmp_path: Path, no_pictures: None, data: st.DataObject
) -> None:
    """Fields that are missing, null or of another kind never stop a report."""
    lines = orjson.loads(orjson.dumps(make.run_lines([10, 20, 30])))
    for line in lines:
        for name in data.draw(st.lists(st.sampled_from(sorted(line)), max_size=4)):
            if name not in ("event", "timestamp"):
                line[name] = data.draw(_junk)
    assert write_report([write(lines)], tmp_path / "out").exists()


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to everything inside a value."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key not in ("event", "timestamp", "level"):
            yield from _places(inner, (*at, key))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_tune_fields_of_any_type_do_not_stop_a_report(
    write: Write, make: Any, tmp_path: Path, no_pictures: None, data: st.DataObject
) -> None:
    """Whatever stands anywhere inside a line of a search, it never stops a report."""
    lines = orjson.loads(orjson.dumps(make.tune_lines()))
    junk = st.one_of(_junk, st.just("x"), st.just([1]), st.just([3]), st.just({"a": [1]}), st.just("$x"))
    for _ in range(data.draw(st.integers(1, 4))):
        places = list(_places(lines))
        *path, last = data.draw(st.sampled_from(places[1:]))
        inside = lines
        for key in path:
            inside = inside[key]
        if path:
            inside[last] = deepcopy(
                data.draw(junk)
            )  # `st.just` hands out one object: it may come to hold itself
    assert write_report([write(lines)], tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("tune_scaling", {"points": "x"}),
        ("tune_scaling", {"points": [1]}),
        ("tune_scaling", {"intervals": {"lambda": []}}),
        ("tune_stage", {"stage": [1]}),
        ("tune_verdict", {"because": [None, {}]}),
        ("tune_stage", {"reasons": [None]}),
        ("tune_costs", {"predictions": [3]}),
        ("tune_costs", {"components": {"READ": 3}}),
        ("tune_costs", {"operations": [1]}),
    ],
)
def test_tune_lines_with_wrong_types_count_as_damaged(
    write: Write, make: Any, tmp_path: Path, no_pictures: None, event: str, fields: dict[str, Any]
) -> None:
    """A line of a search whose fields have another shape is left out and counted."""
    lines = [line | (fields if line["event"] == event else {}) for line in make.tune_lines()]
    odd = sum(line["event"] == event for line in lines)
    said = write_report([write(lines)], tmp_path / "out").read_text()
    assert f"- Damaged lines, left out: {odd}" in said


def test_a_report_on_a_search_is_complete(write: Write, make: Any, tmp_path: Path) -> None:
    """A search: the rate to set, what limits, what to do, and the latencies of its own stage alone."""
    said = write_report([write(make.tune_lines())], tmp_path / "out").read_text()
    for fact in (
        "(3 of 4 windows confirmed it; 140 a second failed: the backlog grows)",
        "`SCHEDULER_MESSAGES_PER_SECOND=100` (105 a second done, refills included)",
        "Interval of 95 %: 101 to 112. Normalised to a core of speed 1: **84 a second** (81 to 90)",
        "**The host's speed changed once during the search**; see *The host*.",
        "- at 12 s, speed 1.20 → 0.90: climb at 90/s made again",
        "- during the experiments: 1 windows left out and measured again",
        "| 25% of a core burnt | 120 | 90 | 1 | -0.1 | 0.9 | 2 | 1 |",
        "The baseline's 3 windows differ by 0.0 % (standard deviation) raw, and by 0.0 % normalised.",
        "**Bottleneck: CPU.**",
        "client-only ceiling: 5,000 messages a second",
        "| 1 climb | 10 | 90 | 94.5 |",
        "not distinguishable from 0",
        "| peak of the curve | not reached with up to 4 workers |",
        "from 0.90 to 1.20; 1 is perfect, all are within 25 % of it",
        "- Other programs use this machine's CPUs",
        "(Experiment: 25% of a core burnt, 120 → 90 a second, -25%.)",
        "With 20 workers the next bottleneck is S3: It is slow.",
        "| READ | 500 | 450 to 550 |",
        "| configured (extrapolated) | 20,000 | 300 |",
        "of all lines of stage 3, the saturation point",
        "| READ | 50 | 49.5 | -0.5 |",
        "Stage 3; each stage has its own queue. It balances in all 15 metrics lines.",
    ):
        assert fact in said
    assert "| end_to_end_ms | 50 | 20" in said
    pictures = {line.split("(")[1].rstrip(")") for line in said.splitlines() if line.startswith("![")}
    names = ("search", "scaling", "experiments", "host", "costs", "time", "latency", "mix")
    assert pictures == {f"run-{name}.png" for name in names}


def test_searches_are_shown_side_by_side(write: Write, make: Any, tmp_path: Path, no_pictures: None) -> None:
    """Rates, intervals and elasticities of several searches, and how far they are apart."""
    slower = {"rate": 84.16, "speed": 1.0, "rate_normalised": 84.2}
    second = make.tune_lines(make.start + 1000)
    second = [line | (slower if line["event"] == "tune_saturation" else {}) for line in second]
    places = [write(make.tune_lines(), "one.jsonl"), write(second, "two.jsonl")]
    said = write_report(places, tmp_path / "out").read_text()
    for fact in (
        "| saturation rate, messages/s | 105 | 84 | 25.0 % |",
        "| rate, normalised | 84.2 | 84.2 | 0.0 % |",
        "| 95 % interval | 81 to 90 | 81 to 90 | – |",
        "| closed loop, normalised | 100 | 100 | 0.0 % |",
        "| bottleneck | CPU | CPU | – |",
        "| elasticity, cpu | 1.00 (-0.10 to 0.90) | 1.00 (-0.10 to 0.90) | – |",
    ):
        assert fact in said
    assert "Searches side by side" not in write_report([places[0]], tmp_path / "out").read_text()


def test_search_of_an_older_version_is_reported(
    write: Write, make: Any, tmp_path: Path, no_pictures: None
) -> None:
    """A log without windows and speeds has a report, which says what it lacks."""
    new = {"windows", "left_out", "disturbed", "factor", "speed", "rate_normalised"}
    lines = [line for line in make.tune_lines() if line["event"] not in ("tune_window", "tune_host_changed")]
    old = [{k: v for k, v in line.items() if line["event"] == "metrics" or k not in new} for line in lines]
    said = write_report([write(old)], tmp_path / "out").read_text()
    assert "This log is of an older version: each experiment was one or two long stages." in said
    assert "Normalised to a core" not in said
    assert "### The host" not in said


@pytest.mark.parametrize(("second", "told"), [(150.0, True), (110.0, False)])
def test_the_report_warns_of_a_machine_that_changed(
    write: Write, make: Any, tmp_path: Path, no_pictures: None, second: float, told: bool
) -> None:
    """Where the same closed loop did not do the same twice, the reader is warned."""
    lines = [line for line in make.tune_lines() if line["event"] != "tune_window"]  # few repetitions
    seen = next(line for line in lines if line["event"] == "tune_stage")
    lines += [seen | {"change": "baseline", "goodput_per_second": rate} for rate in (100.0, second)]
    said = write_report([write(lines)], tmp_path / "out").read_text()
    assert ("measured 2 times, at 100 to 150 messages a second" in said) is told
    assert ("The closed loop reaches more (125 a second) than the open loop sustains (105)" in said) is told


def test_the_report_advises_fewer_workers_beyond_the_peak(
    write: Write, make: Any, tmp_path: Path, no_pictures: None
) -> None:
    """Where more workers do less, the report says how many are enough."""
    lines = make.tune_lines()
    fit = next(line for line in lines if line["event"] == "tune_scaling")
    fit |= {"peak_reached": True, "peak_workers": 5.0, "peak_rate": 40.0}
    fit["intervals"] = fit["intervals"] | {"peak_workers": [4.0, 7.0], "peak_rate": [38.0, 42.0]}
    said = write_report([write(lines)], tmp_path / "out").read_text()
    assert (
        "Set `WORKER_CONCURRENCY` to 4: the fitted curve has its peak between 4 and 7 workers; 10 only"
        in said
    )


@pytest.mark.parametrize(("waited", "disturbed"), [(0.3, True), (0.02, False)])
def test_an_unconfirmed_saturation_point_is_marked(
    write: Write, make: Any, tmp_path: Path, no_pictures: None, waited: float, disturbed: bool
) -> None:
    """The report has the windows made so far, and names other programs only if they disturbed."""
    odd = {"confirmed": False, "windows": 2, "windows_passed": 0, "cpu_wait": waited}
    lines = [line | (odd if line["event"] == "tune_saturation" else {}) for line in make.tune_lines()]
    said = write_report([write(lines)], tmp_path / "out").read_text()
    assert "**Saturation point (not confirmed): 105 messages a second**" in said
    assert "0 of 2 windows passed at the last rate tried" in said
    assert ("other programs use the machine" in said) is disturbed
    assert "of all lines of stage 1, the saturation point" in said


def test_an_interrupted_search_is_reported_as_far_as_it_came(
    write: Write, make: Any, tmp_path: Path, no_pictures: None
) -> None:
    """Without a verdict the report tells what was known, and that this is not all."""
    said_by_then = ("tune_started", "metrics", "tune_stage", "tune_saturation", "tune_experiment")
    lines = [line for line in make.tune_lines() if line["event"] in said_by_then]
    said = write_report([write(lines)], tmp_path / "out").read_text()
    assert "**Saturation point: 105 messages a second**" in said
    assert "interrupted before it was complete" in said
    assert "| 25% of a core burnt | 120 | 90 |" in said


def test_uses_of_controls_are_listed_and_marked(write: Write, make: Any, tmp_path: Path) -> None:
    """The report lists each use of a control with its time and values, and marks it in the pictures."""
    plain = make.run_lines([10, 20, 30])
    use = {"event": "control_used", "timestamp": make.stamp(make.start + 1.5), "level": "INFO"}
    used = use | {"control": "rate", "value": "250", "before": "100"}
    found = [
        write_report([write(lines, f"{name}.jsonl")], tmp_path / name)
        for name, lines in (("plain", plain), ("used", [*plain[:3], used, *plain[3:]]))
    ]
    without, with_use = (path.read_text() for path in found)
    assert "Controls used" not in without
    assert "### Controls used\n\n| after | control | value | before |" in with_use
    assert "| 1.5 s | rate | 250 | 100 |" in with_use
    assert len({(path.parent / "run-time.png").read_bytes() for path in found}) == 2
