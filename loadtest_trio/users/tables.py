"""What a person sees: a live table on a terminal, and at the end a table, the steps and the verdict."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadtest_trio.metrics.text_lines import on_one_line
from loadtest_trio.report.users_moments import DUE, DURATION
from loadtest_trio.report.users_steps import Step
from loadtest_trio.users.lines import step_fields
from loadtest_trio.users.session import Outcome
from loadtest_trio.users.tally import Counts, JobCounts, RouteCounts, percentiles

_ROWS = 20
_GAP = 2
_FIRST_COLUMN = 12  # so much of it stays in any case


def number(value: object) -> str:
    """Return a number as people read it; "–" for none."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], width: int, spare: Sequence[str] = ()
) -> Table:
    """Return a table no wider than the terminal; the first column to the left, the others to the right.

    Where it does not fit, headings are wrapped, then spare columns are left out, and at last the first column
    is cut. A number is never cut: half of one is a wrong one.

    Args:
        headings: Of the columns.
        rows: What stands below them.
        width: Of the terminal, in characters.
        spare: The headings of the columns that can be missed, the least important first.
    """
    texts = [list(map(number, row)) for row in rows]
    columns = {heading: [row[place] for row in texts] for place, heading in enumerate(headings)}
    first, *_ = headings
    whole = [_longest([heading, *cells]) for heading, cells in columns.items()]
    if _total(whole) <= width:
        widths = dict(zip(columns, whole, strict=True))
    else:
        widths = {heading: _longest([*heading.split(), *cells]) for heading, cells in columns.items()}
        widths[first] = min(widths[first], _FIRST_COLUMN)
        for heading in spare:
            if _total(widths.values()) > width:
                del columns[heading], widths[heading]
        widths[first] = min(whole[0], widths[first] + max(0, width - _total(widths.values())))
    drawn = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for heading in columns:
        is_first = heading == first
        drawn.add_column(
            heading,
            justify="left" if is_first else "right",
            vertical="bottom",
            no_wrap=is_first,
            width=widths[heading],
        )
    for cells in zip(*columns.values(), strict=True):
        drawn.add_row(*cells)
    return drawn


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts))


def _total(widths: Collection[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def routes_table(counts: Counts, seconds: float, width: int) -> Table:
    """Return a row a route and one for all: requests, failures, rate, percentiles from due and from sent."""
    named = [*sorted(counts.routes.items())[:_ROWS], ("all", counts.total)]
    headings = ("route", "requests", "failed", "/s", "p50 ms", "p95 ms", "p99 ms", "max ms", "p95 from sent")
    rows = [_route_row(name, each, seconds) for name, each in named]
    return table(headings, rows, width, spare=("p95 from sent", "p50 ms", "max ms"))


def _route_row(name: str, counts: RouteCounts, seconds: float) -> list[object]:
    due, sent = percentiles(counts.due), percentiles(counts.sent)
    rate = counts.requests / seconds if seconds else None
    return [on_one_line(name), counts.requests, counts.failures, rate, *due.values(), sent["p95_ms"]]


def jobs_text(jobs: JobCounts, still_open: int) -> str:
    """Return what became of the jobs, in a line."""
    duration, queued = percentiles(jobs.duration), percentiles(jobs.queued)
    return (
        f"jobs: {jobs.submitted:,} submitted, {jobs.finished:,} finished, {jobs.failed:,} failed, "
        f"{jobs.abandoned:,} abandoned, {still_open:,} open; "
        f"p95 {number(duration['p95_ms'])} ms to the end, {number(queued['p95_ms'])} ms queued"
    )


def steps_table(steps: Iterable[Step], width: int) -> Table:
    """Return brief 003's table: a row a step."""
    headings = (
        "step", "users", "req/s", "p50 ms", "p95 ms", "p99 ms", "failed %", "target CPU %",
        "jobs/s in", "jobs/s out", "open", "job p95 ms", "own CPU %",
    )  # fmt: skip
    spare = ("p50 ms", "jobs/s in", "own CPU %", "p99 ms", "open", "job p95 ms")
    return table(headings, map(_step_row, steps), width, spare)


def _step_row(step: Step) -> list[object]:
    row, due = step_fields(step), step.distribution(DUE)
    return [
        f"{step.number}{' (generator limited)' if step.limited else ''}",
        round(step.users),
        step.rate,
        *(due.percentile_ms(percent) for percent in (50, 95, 99)),
        row["failed_percent"],
        row["target_cpu_percent"],
        row["jobs_submitted_per_second"],
        step.finish_rate,
        row["jobs_open"],
        step.distribution(DURATION).percentile_ms(95),
        row["generator_cpu_percent"],
    ]


class LiveTable:
    """Redraws a table every interval, on a terminal.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, line: dict[str, Any], counts: Counts) -> None:
        """See `View.show`."""
        generator, jobs = line["generator"], line["jobs"]
        limited = f"  [generator limited: {'; '.join(line['limited'])}]" if line["limited"] else ""
        head = (
            f"{line['uptime_seconds']:.0f} s · step {line['step']} · {line['users']:,} of "
            f"{line['users_wanted']:,} users · {line['requests_per_second']:,.0f} requests/s · "
            f"own CPU {number(generator.get('cpu_percent'))} %, "
            f"late {number(generator.get('lag_p95_ms'))} ms{limited}"
        )
        parts: list[Any] = [Text(head), routes_table(counts, line["uptime_seconds"], self._console.width)]
        if counts.jobs.submitted:
            parts.append(Text(jobs_text(counts.jobs, jobs["open"])))
        parts += [Text(f"{count:,} × {text}") for text, count in counts.errors.most_common(5)]
        self._live.update(Group(*parts), refresh=True)

    def say(self, text: str) -> None:
        """See `View.say`."""
        self._console.print(text, highlight=False, markup=False)


class PlainLines:
    """Says what happens in plain lines, where nobody looks: the figures are in the log.

    Args:
        console: Usually standard error.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> "PlainLines":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def show(self, line: dict[str, Any], counts: Counts) -> None:
        """See `View.show`."""

    def say(self, text: str) -> None:
        """See `View.say`."""
        self._console.print(text, highlight=False, markup=False)


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print the end: routes, jobs, errors, steps, thresholds, verdict."""
    console.print(routes_table(outcome.counts, outcome.seconds, console.width))
    if outcome.counts.jobs.submitted:
        console.print(jobs_text(outcome.counts.jobs, 0), highlight=False, markup=False)
    for text, count in outcome.counts.errors.most_common(10):
        console.print(f"{count:,} × {text}", highlight=False, markup=False)
    console.print()
    console.print(steps_table(outcome.steps.steps, console.width))
    console.print()
    for judged in outcome.judged:
        console.print(f"threshold {judged}", highlight=False, markup=False)
    for sentence in outcome.verdict:
        console.print(sentence, highlight=False, markup=False)
