"""The chapter on a run of users, of one generator or of several that shared the users."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from loadtest_trio.report import users_pictures, users_sections
from loadtest_trio.report.details import LogLine
from loadtest_trio.report.markdown import duration, facts
from loadtest_trio.report.runs import Run
from loadtest_trio.report.sections import controls
from loadtest_trio.report.users_conditions import Breach, Limits, judge_all
from loadtest_trio.report.users_findings import find
from loadtest_trio.report.users_steps import read_steps


@attrs.frozen
class UsersRun:
    """The runs of the generators that shared one crowd.

    Attributes:
        parts: One a generator.
    """

    parts: Sequence[Run]

    def of(self, event: str) -> list[LogLine]:
        """Return the lines of one event, of all generators."""
        return [line for part in self.parts for line in part.all(event)]

    @property
    def started(self) -> LogLine:
        """How the first generator was started."""
        return self.parts[0].started


def is_users(run: Run) -> bool:
    """Tell whether a run is one of users."""
    return any(line["event"] in ("users", "users_started") for line in run.lines)


def shared(runs: Sequence[Run]) -> Iterator[UsersRun]:
    """Put runs together whose generators shared their users: same target, scenario, profile and time."""
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        started = run.started
        share = str(started.get("share") or "1/1")
        alone: object = id(run) if share.endswith("/1") else None
        key = (
            alone,
            *(started.get(name) for name in ("host", "scenario", "profile")),
            share.partition("/")[2],
        )
        group = groups.setdefault(key, [])
        if group and (run.began > group[0].began + group[0].seconds or _share(run) in map(_share, group)):
            key = (id(run), *key[1:])
            group = groups.setdefault(key, [])
        group.append(run)
    return (UsersRun(sorted(group, key=_share)) for group in groups.values())


def _share(run: Run) -> str:
    return str(run.started.get("share") or "1/1")


def chapter(run: UsersRun, folder: Path, prefix: str, number: int) -> list[str]:
    """Return the parts of the chapter, with its pictures written.

    Args:
        run: What to tell of.
        folder: Where the pictures go.
        prefix: Of their names.
        number: Of the run.
    """
    steps = read_steps(run.of("users")).steps
    in_time, searched = steps, run.of("tune_users_verdict")
    if searched:  # up and down, and the same again: in the order of a climb
        steps = sorted(steps, key=lambda each: (each.level, each.number))
    limits = _limits(run.started)
    open_profile = bool(run.started.get("open"))
    breaches = judge_all(steps, limits, open_profile=open_profile) | _told(run)
    found = find(steps, breaches, limits)
    unit = "new users a second" if open_profile else "users"
    began = str((run.parts[0].started or run.parts[0].lines[0]).get("timestamp", ""))
    seconds = max(part.seconds for part in run.parts)
    used, began_at = run.of("control_used"), min(part.began for part in run.parts)
    moments = [line["_at"] - began_at for line in used]
    sections = (
        ("", users_sections.search(searched[-1]) if searched else users_sections.verdict(found, unit)),
        ("Thresholds", users_sections.thresholds(run.of("users_threshold"))),
        ("Steps", users_sections.steps(steps, found)),
        ("Answers", users_sections.questions(found, unit)),
        ("Throughput against users", users_pictures.throughput(steps, found, folder, f"{prefix}-users")),
        ("Over time", users_pictures.over_time(in_time, folder, f"{prefix}-time", moments)),
        ("Controls used", controls(used, began_at)),
        ("Routes", users_sections.routes(run.of("users_routes"))),
        ("Times", users_sections.jobs(run.of("users"))),
        ("Leaks", users_sections.leaks(found)),
        ("The generator", users_sections.generator(steps)),
        ("What went wrong", users_sections.errors(run.of("users"))),
        ("How it was run", _configuration(run)),
    )
    parts = [f"## Users, run {number}: {began}, {duration(seconds)}"]
    for title, text in sections:
        if text:
            parts += [f"### {title}" if title else "", text]
    return parts


def _limits(started: LogLine) -> Limits:
    known = started.get("limits")
    names = {each.name for each in attrs.fields(Limits)}
    usable = (
        {name: value for name, value in known.items() if name in names} if isinstance(known, dict) else {}
    )
    return Limits(**usable)


def _told(run: UsersRun) -> dict[int, list[Breach]]:
    """Return the stop conditions that were met while it ran: what the generator knew then counts."""
    told: dict[int, list[Breach]] = {}
    for line in run.of("users_stop_condition"):
        breach = Breach(str(line.get("condition")), int(line.get("step") or 0), str(line.get("evidence")))
        told.setdefault(breach.step, []).append(breach)
    return told


def _configuration(run: UsersRun) -> str:
    started = run.started
    machine = started.get("machine")
    about = machine if isinstance(machine, dict) else {}
    options = started.get("options")
    return facts(
        [
            ("Target", str(started.get("host") or "")),
            ("Scenario", str(started.get("scenario") or "")),
            (
                "Options",
                ", ".join(f"{k}={v}" for k, v in options.items()) if isinstance(options, dict) else "",
            ),
            ("Profile", str(started.get("profile") or "")),
            ("Generators", len(run.parts)),
            ("Stop conditions", ", ".join(map(str, started.get("conditions") or ())) or "off"),
            ("Ended", ", ".join(dict.fromkeys(str(part.stopped.get("reason") or "?") for part in run.parts))),
            (
                "Machine of the generator",
                f"{about.get('cpu_model', '?')}, {about.get('cpus', '?')} CPUs visible",
            ),
        ]
    )
