"""Shows the progress of a search on a terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from loadtest_trio.tune.plan.steps import Step, TuneEvent

_REFRESHES_PER_SECOND = 4  # few, because drawing takes CPU from the service


class TerminalProgress:
    """Prints a line per result, and below them the current step with the time left.

    Args:
        console: The terminal; nothing is shown if it is not one.
        clock: Monotonic seconds; also called in the drawing thread.
        seconds: Maximum duration of the search.
    """

    def __init__(self, console: Console, clock: Callable[[], float], seconds: float) -> None:
        self._console = console
        self._clock = clock
        self._ends = clock() + seconds
        self._current = "starting"
        self._spinner = Spinner("dots")
        # The display calls `_render` at every refresh, so the time left counts down during a step.
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=_REFRESHES_PER_SECOND)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "TerminalProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._current = "done"
            self._live.stop()

    def step(self, step: Step) -> None:
        """Show the current step."""
        load = f"{step.rate:.0f}/s offered" if step.rate else "closed loop"
        self._current = f"{step.kind}: {load}, {step.workers} workers {step.change}"

    def _render(self) -> Spinner:
        left = format_time_left(self._ends - self._clock())
        self._spinner.update(text=Text(f"{self._current} · at most {left} left"))
        return self._spinner

    def event(self, event: TuneEvent) -> None:
        """Print a result."""
        if self._live:
            self._console.print(describe(event), highlight=False, markup=False)


def format_time_left(seconds: float) -> str:
    """Return seconds as minutes:seconds, at least 0:00."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def describe(event: TuneEvent) -> str:
    """Return an event as one readable line."""
    fields = event.fields
    match event.name:
        case "tune_stage":
            result = {True: "passed", False: "; ".join(fields["reasons"]), None: ""}[fields["passed"]]
            return (
                f"{fields['kind']:<11} {fields['workers']:>4} workers  "
                f"{fields['offered_per_second']:>8.1f}/s offered "
                f"{fields['goodput_per_second']:>8.1f}/s done "
                f"{fields['cpu_percent']:>5.1f} % CPU  {fields['change']} {result}"
            )
        case "tune_users_stage":
            result = "passed" if fields["passed"] else "; ".join(fields["reasons"])
            return (
                f"{fields['kind']:<11} {fields['wanted_level']:>7,} {fields['unit']}  "
                f"{fields['done_per_second']:>8.1f}/s done {fields['cpu_percent']:>5.1f} % CPU  {result}"
            )
        case "tune_users_verdict":
            how = "confirmed" if fields["confirmed"] else "not confirmed"
            return f"{fields['sustained']:,} {fields['unit']} ({how}); bottleneck: {fields['bottleneck']}"
        case "tune_window":
            return (
                f"experiment  {fields['workers']:>4} workers  {fields['per_second']:>28.1f}/s done "
                f"{fields['cpu_percent']:>5.1f} % CPU  {fields['change']}"
            )
        case "tune_saturation":
            return f"saturation point: {fields['rate']:.0f} messages a second"
        case "tune_experiment":
            return (
                f"{fields['change']}: elasticity {fields['elasticity']} ({fields['low']} to {fields['high']})"
            )
        case "tune_verdict" | "tune_next_verdict":
            return f"bottleneck: {fields['bottleneck']}. {' '.join(fields['because'])}"
    return event.name.removeprefix("tune_")
