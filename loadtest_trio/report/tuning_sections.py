"""The sections of a report on a saturation search: conclusion, stages, calibration, mitigation."""

from collections.abc import Sequence
from statistics import fmean

from loadtest_trio.report.advice import CROWDED, advice
from loadtest_trio.report.details import HEADER, LogLine
from loadtest_trio.report.markdown import Cell, facts, table
from loadtest_trio.report.runs import Run, mapping, number

_FEW = 12  # measurements of the closed loop, as made before there were short windows
_DRIFT = 1.15  # what the same step may differ by before it is worth a warning


def conclusion(run: Run) -> str:
    """The saturation point and the bottleneck in a few sentences."""
    found, verdict = run.first("tune_saturation"), run.first("tune_verdict")
    sentences = []
    if found:
        sentences += [_saturation(found), interval(found), *_host_changed(run), _rate_to_set(found)]
    if verdict:
        sentences.append(f"**Bottleneck: {verdict.get('bottleneck')}.**")
        sentences += verdict.get("because") or []
    if not (found and verdict):
        sentences.append("The search was interrupted before it was complete; its results until then follow.")
    return "\n\n".join(each for each in sentences if each)


def _saturation(found: LogLine) -> str:
    failed = number(found, "failed_at")
    limit = f"; {failed:,.0f} a second failed: {reasons_of(found)}" if failed else ""
    if not number(found, "rate"):
        return f"**No saturation point: at no rate did the system keep up**{limit}."
    confirmed = found.get("confirmed", True)
    windows = f"{found.get('windows_passed')} of {found.get('windows')} windows"
    how = f"{windows} confirmed it" if confirmed else f"not confirmed{_why_not(found, windows)}"
    return (
        f"**Saturation point{'' if confirmed else ' (not confirmed)'}: "
        f"{number(found, 'rate'):,.0f} messages a second** with "
        f"{number(found, 'workers'):.0f} workers ({how}{limit})."
    )


def interval(found: LogLine) -> str:
    """Return the rate's interval, raw and normalised; "" in logs of older versions."""
    if not number(found, "rate_normalised") or not number(found, "rate"):
        return ""
    raw, normalised = _range(found, "low", "high"), _range(found, "low_normalised", "high_normalised")
    rate = f"{number(found, 'rate_normalised'):,.0f} a second"
    return (
        f"Interval of 95 %: {raw or 'not known, because no rate failed'}. Normalised to a core of speed 1: "
        f"**{rate}**{f' ({normalised})' if normalised else ''}; the speed of this core was "
        f"{number(found, 'speed'):.2f}."
    )


def _range(line: LogLine, low: str, high: str) -> str:
    ends = number(line, low), number(line, high)
    return f"{ends[0]:,.0f} to {ends[1]:,.0f}" if all(ends) else ""


def _host_changed(run: Run) -> list[str]:
    """Say that the search straddles a change of the host."""
    changes = len(run.all("tune_host_changed"))
    times = "once" if changes == 1 else f"{changes} times"
    return [f"**The host's speed changed {times} during the search**; see *The host*."] if changes else []


def _why_not(found: LogLine, windows: str) -> str:
    """Say how far the confirmation came, and that other programs disturbed it where they did."""
    waited = number(found, "cpu_wait")
    disturbed = (
        f"; the process waited for a core {100 * waited:.0f} % of the time: other programs use the machine"
        if waited >= CROWDED
        else ""
    )
    tried = f", {windows} passed at the last rate tried" if number(found, "windows") else ""
    return f"{tried}; it is the highest rate that passed a single step{disturbed}"


def _rate_to_set(found: LogLine) -> str:
    rate = number(found, "offered_per_second")
    if not rate:
        return ""
    return (
        f"The rate to set: `SCHEDULER_MESSAGES_PER_SECOND={f'{rate:.1f}' if rate < 10 else int(rate)}` "
        f"({number(found, 'rate'):,.0f} a second done, refills included). For runs of hours set 20 % less: "
        "a window lasts seconds, and passes with up to 3 % of the offered messages left over."
    )


def reasons_of(line: LogLine) -> str:
    """Return the reasons in a line as one text."""
    return "; ".join(line.get("reasons") or [])


def stages(run: Run) -> str:
    """Every stage of the search in order."""
    headings = (
        "stage",
        "workers",
        "nominal /s",
        "offered /s",
        "goodput /s",
        "CPU %",
        "memory MB",
        "queue at end",
        "p99 ms",
        "errors %",
        "result",
    )
    words = (
        "Nominal is the rate that is set; offered is what was enqueued, refills of the bucket included; a "
        "stage without a nominal rate is a closed loop, whose queue is kept filled."
    )
    rows = [_stage_row(line) for line in run.all("tune_stage")]
    return "\n\n".join([words, *_loops(run), table(headings, rows)])


def _loops(run: Run) -> list[str]:
    """Explain why the closed loop reached more than the open one, where it did."""
    open_loop = number(run.first("tune_saturation"), "rate")
    repeated = _repeated(run)
    closed = fmean(repeated) if repeated else 0.0
    drift = _drift(repeated)
    if not 0 < open_loop < closed:
        return drift
    return [
        *drift,
        f"The closed loop reaches more ({closed:,.0f} a second) than the open loop sustains "
        f"({open_loop:,.0f}): its queue is never empty, so workers never wait for work, and the time that "
        "messages wait does not count. The open loop has to absorb every slow moment within the objective.",
    ]


def _repeated(run: Run) -> list[float]:
    """Return every measurement of the closed loop as configured."""
    unchanged = ("closed loop", "baseline")
    stages = [line for line in run.all("tune_stage") if line.get("change") in unchanged]
    windows = [line for line in run.all("tune_window") if line.get("experiment") == "baseline"]
    return [
        *(number(line, "goodput_per_second") for line in stages),
        *(number(line, "per_second") for line in windows),
    ]


def _drift(repeated: Sequence[float]) -> list[str]:
    """Warn when repetitions of the same step differ: the machine changed, and with it all results."""
    if not _FEW > len(repeated) > 1 or max(repeated) < _DRIFT * min(repeated):
        return []  # of many short windows some always differ by chance; `host` judges those by the probe
    return [
        "**The machine changed during the search**: the closed loop as configured was measured "
        f"{len(repeated)} times, at {min(repeated):,.0f} to {max(repeated):,.0f} messages a second. "
        "The experiments' intervals account for this; single stages do not."
    ]


def _stage_row(line: LogLine) -> list[Cell]:
    passed = line.get("passed")
    result = "" if passed is None else "passed" if passed else reasons_of(line) or "failed"
    return [
        f"{line.get('stage')} {line.get('kind')} {line.get('change') or ''}".strip(),
        int(number(line, "workers")),
        line.get("nominal_per_second"),
        line.get("offered_per_second"),
        line.get("goodput_per_second"),
        line.get("cpu_percent"),
        line.get("memory_mb"),
        int(number(line, "backlog")),
        line.get("p99_ms"),
        line.get("error_percent"),
        result,
    ]


def calibration(run: Run) -> str:
    """What the machine, the client code and the backends can do without load."""
    line = run.first("tune_calibrated")
    hidden = HEADER | {"stage", "uptime_seconds", "client_ceiling_per_second"}
    ceiling = number(line, "client_ceiling_per_second")
    limit = (
        f"- client-only ceiling: {ceiling:,.0f} messages a second of CPU, for handlers, payloads and "
        "signatures alone, with an S3 that costs nothing\n"
        if ceiling
        else ""
    )
    shown = {name.replace("_", " "): value for name, value in line.items() if name not in hidden}
    return limit + facts(shown.items())


def mitigation(run: Run) -> str:
    """Steps against the bottleneck, each with the effect of its experiment."""
    verdict = run.first("tune_verdict")
    made = {str(line.get("experiment")): _change(line) for line in run.all("tune_experiment")}
    waited = number(mapping(verdict.get("evidence")), "cpu_wait")
    steps = [
        f"- {step}{made.get(experiment, '')}"
        for step, experiment in advice(str(verdict.get("bottleneck", "")), waited)
    ]
    steps += _fewer_workers(run)
    after = run.first("tune_next_verdict")
    if after:
        steps.append(
            f"- With {number(after, 'workers'):.0f} workers the next bottleneck is "
            f"{after.get('bottleneck')}: {' '.join(after.get('because') or [])}"
        )
    return "\n".join(steps)


def _fewer_workers(run: Run) -> list[str]:
    """Advise fewer workers when the fitted curve certainly has its peak below the configured number."""
    fit, workers = run.first("tune_scaling"), number(run.first("tune_saturation"), "workers")
    least, most = mapping(fit.get("intervals")).get("peak_workers") or (0.0, 0.0)
    if not fit.get("peak_reached") or not 0 < most < workers:
        return []
    return [
        f"- Set `WORKER_CONCURRENCY` to {least:.0f}: the fitted curve has its peak between {least:.0f} and "
        f"{most:.0f} workers; {workers:.0f} only wait longer."
    ]


def _change(line: LogLine) -> str:
    before, after = number(line, "before_per_second"), number(line, "after_per_second")
    if not before:
        return ""
    gain = f"{before:,.0f} → {after:,.0f} a second, {after / before - 1:+.0%}"
    return f" (Experiment: {line.get('change')}, {gain}.)"
