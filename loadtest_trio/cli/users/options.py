"""The flags of ``users``: Locust's and k6's names where they have one; and what is made of them."""

import argparse
import re
from math import inf
from pathlib import Path

from loadtest_trio.report.users_conditions import NAMES, Limits
from loadtest_trio.users.course import Rules
from loadtest_trio.users.durations import bad_flag, lasting, seconds
from loadtest_trio.users.population import Crowd
from loadtest_trio.users.profile import MOST_USERS, Profile, Share, arriving, constant, stages, steps
from loadtest_trio.users.scenarios import find
from loadtest_trio.users.session import Run
from loadtest_trio.users.thresholds import Threshold

_LINES_A_STEP = 20
_INTERVALS = (1.0, 10.0)  # seconds, least and most
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = ("content-length", "transfer-encoding", "connection", "upgrade", "trailer", "expect")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add this command's own options."""
    parser.add_argument(
        "scenario",
        nargs="?",
        default="jobs",
        metavar="SCENARIO",
        help="jobs, tasks, enqueue or a file.py",
    )
    parser.add_argument("-H", "--host", metavar="URL", help="the service; else an embedded job service")
    _add_profile(parser.add_argument_group("how many users, and when"))
    _add_scenario(parser.add_argument_group("what they do"))
    _add_rules(parser.add_argument_group("when it is enough"))
    _add_output(parser.add_argument_group("what is written"))


def _add_profile(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-u", "--users", "--vus", type=int, metavar="N", help="users, or the most (10)")
    group.add_argument("-r", "--spawn-rate", type=float, metavar="N", help="users that arrive a second (1)")
    group.add_argument("-t", "--run-time", "-d", "--duration", metavar="T", help="such as 60s, 10m, 1h30m")
    group.add_argument(
        "-s", "--stage", action="append", metavar="T:N", help="change to N users within T; repeat; 0s:N jumps"
    )
    group.add_argument("--step", metavar="N/T", help="N more users every T, until the service gives in")
    group.add_argument("--rate", type=float, metavar="N", help="open model: N new users a second")
    group.add_argument(
        "--rate-stage", action="append", metavar="T:N", help="change to N new users a second within T; repeat"
    )
    group.add_argument("--share", default="1/1", metavar="K/N", help="be the K-th of N generators (1/1)")


def _add_scenario(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-P", "--param", action="append", metavar="NAME=VALUE", help="for the scenario")
    group.add_argument("--header", action="append", metavar="NAME:VALUE", help="a header of every request")
    group.add_argument("--timeout", default="60s", metavar="T", help="of a request (60s)")
    group.add_argument("--insecure", action="store_true", help="do not check the certificate")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the users' randomness (0)")
    group.add_argument(
        "--graceful-stop",
        "--stop-timeout",
        default="30s",
        metavar="T",
        help="for users to finish (30s)",
    )


def _add_rules(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--threshold",
        action="append",
        metavar="EXPR",
        help="such as 'http_req_duration: p(95)<200'",
    )
    group.add_argument("--abort-on-fail", action="store_true", help="end as soon as a threshold is crossed")
    group.add_argument("--abort-delay", default="10s", metavar="T", help="but not before (10s)")
    group.add_argument(
        "--stop-on",
        metavar="NAMES",
        help=f"some of {','.join(NAMES)}; all; none (all with --step)",
    )
    group.add_argument("--stop-cpu", type=float, default=95.0, metavar="%", help="of a core (95)")
    group.add_argument("--stop-load", type=float, metavar="N", help="load average of the target's machine")
    group.add_argument("--stop-errors", type=float, default=0.01, metavar="SHARE", help="(0.01)")
    group.add_argument("--recovery", metavar="T", help="after a stop, at most (as long as a step)")
    group.add_argument("--target-pid", type=int, metavar="PID", help="the service's process, when it is here")


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--dashboard-port",
        "--web-port",
        type=int,
        default=8089,
        metavar="PORT",
        help="of the live dashboard on loopback; another one when it is taken; -1: none (8089)",
    )
    group.add_argument("--headless", action="store_true", help="no live table; what a pipe gets")
    group.add_argument("--interval", metavar="T", help="between two lines (1s to 10s, by the length)")
    group.add_argument(
        "--output",
        default="users-report",
        metavar="DIR",
        help="lines and report; or none (users-report)",
    )
    group.add_argument("--summary-export", type=Path, metavar="FILE", help="JSON")
    group.add_argument("--junit", type=Path, metavar="FILE", help="thresholds as test cases")
    group.add_argument("--csv", metavar="PREFIX", help="PREFIX_stats.csv, _failures.csv, _steps.csv")
    group.add_argument("--html", type=Path, metavar="FILE", help="the report as one page")


def make_run(options: argparse.Namespace) -> Run:
    """Return the run that the flags describe.

    Raises:
        ConfigurationError: A flag cannot be used.
    """
    profile = _profile(options)
    interval = _interval(options, profile)
    share = Share.parse(options.share)
    crowd = Crowd(
        find(options.scenario),
        share=share,
        seed=options.seed,
        grace=seconds(options.graceful_stop, "--graceful-stop"),
        most=options.users or 10_000,
    )
    return Run(profile, crowd, _rules(options, profile), interval)


def _profile(options: argparse.Namespace) -> Profile:
    given = [flag for flag in ("stage", "step", "rate", "rate_stage") if getattr(options, flag)]
    if len(given) > 1:
        first, second = (f"--{flag.replace('_', '-')}" for flag in given[:2])
        raise bad_flag(second, str(getattr(options, given[1])), f"left out beside {first}")
    length = lasting(options.run_time, "--run-time") if options.run_time else inf
    for flag in ("users", "spawn_rate", "rate"):
        value = getattr(options, flag)
        if value is not None and not 0 < value <= MOST_USERS:
            raise bad_flag(f"--{flag.replace('_', '-')}", str(value), f"more than 0, {MOST_USERS:,} at most")
    if options.stage:
        return stages(options.stage)
    if options.rate_stage:
        return stages(options.rate_stage, rates=True)
    if options.step:
        return steps(options.step, options.users or inf, options.spawn_rate)
    if options.rate:
        return arriving(options.rate, length)
    return constant(options.users or 10, options.spawn_rate or 1.0, length)


def _interval(options: argparse.Namespace, profile: Profile) -> float:
    if options.interval:
        return max(0.1, seconds(options.interval, "--interval"))
    shortest = min((each.seconds for each in profile.segments if not each.settling), default=inf)
    return min(_INTERVALS[1], max(_INTERVALS[0], float(round(min(shortest, 1e6) / _LINES_A_STEP))))


def _rules(options: argparse.Namespace, profile: Profile) -> Rules:
    return Rules(
        thresholds=tuple(map(Threshold.parse, options.threshold or ())),
        abort_after=seconds(options.abort_delay, "--abort-delay") if options.abort_on_fail else None,
        conditions=_conditions(options.stop_on, profile),
        limits=Limits(errors=options.stop_errors, target_cpu=options.stop_cpu, load=options.stop_load),
        recovery=seconds(options.recovery, "--recovery") if options.recovery else None,
    )


def _conditions(text: str | None, profile: Profile) -> frozenset[str]:
    if text is None:
        return frozenset(NAMES) if profile.stepped else frozenset()
    if text in ("all", "none"):
        return frozenset(NAMES if text == "all" else ())
    names = frozenset(text.split(","))
    if names - set(NAMES):
        raise bad_flag("--stop-on", text, f"some of {','.join(NAMES)}; all; none")
    return names


def headers(texts: list[str] | None) -> dict[str, str]:
    """Return ``NAME:VALUE`` flags as headers.

    Raises:
        ConfigurationError: One of them cannot be sent, or would change where a request ends.
    """
    found = pairs(texts, "--header", ":")
    for name, value in found.items():
        if not _HEADER_NAME.fullmatch(name):
            raise bad_flag("--header", f"{name}:…", "NAME:VALUE, the name without blanks")
        if any(each < " " and each != "\t" for each in value):
            raise bad_flag("--header", f"{name}:…", "NAME:VALUE without control characters")
        if name.lower() in _FRAMING:
            raise bad_flag("--header", f"{name}:…", f"none of {', '.join(_FRAMING)}: users set those")
    return found


def pairs(texts: list[str] | None, flag: str, separator: str) -> dict[str, str]:
    """Return ``NAME=VALUE`` flags as a mapping.

    Raises:
        ConfigurationError: One of them has another form.
    """
    found_pairs = {}
    for text in texts or ():
        name, found, value = text.partition(separator)
        if not found or not name.strip() or "\n" in text or "\r" in text:
            raise bad_flag(flag, text, f"NAME{separator}VALUE")
        found_pairs[name.strip()] = value.strip()
    return found_pairs
