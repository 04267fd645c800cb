"""How the search goes, for a person at a terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from loadtest_trio.tune.plan.steps import Finding, Step

_REFRESHES = 4  # a second: the thread that draws takes its time from the service


class TerminalProgress:
    """A line for each result, and the step under way beneath them, with the time left.

    Args:
        console: Where to; silent when it is no terminal.
        clock: Monotonic seconds; asked in the thread that draws, too.
        seconds: How long all of it takes at most.
    """

    def __init__(self, console: Console, clock: Callable[[], float], seconds: float) -> None:
        self._console = console
        self._clock = clock
        self._ends = clock() + seconds
        self._doing = "starting"
        self._spinner = Spinner("dots")
        # The display draws its content again and again, and each time asks for it: the time left goes on.
        self._live = (
            Live(console=console, get_renderable=self._shown, refresh_per_second=_REFRESHES)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "TerminalProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._doing = "done"
            self._live.stop()

    def step(self, step: Step) -> None:
        """Show the step under way."""
        load = f"{step.rate:.0f}/s offered" if step.rate else "closed loop"
        self._doing = f"{step.kind}: {load}, {step.workers} workers {step.change}"

    def _shown(self) -> Spinner:
        self._spinner.update(text=Text(f"{self._doing} · at most {left(self._ends - self._clock())} left"))
        return self._spinner

    def finding(self, finding: Finding) -> None:
        """Show what was found."""
        if self._live:
            self._console.print(describe(finding), highlight=False, markup=False)


def left(seconds: float) -> str:
    """Return a time left as minutes and seconds."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def describe(finding: Finding) -> str:
    """Return one readable line."""
    fields = finding.fields
    match finding.event:
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
            return f"{fields['sustained']:,} {fields['unit']} ({how}); what gave in: {fields['bottleneck']}"
        case "tune_saturation":
            return f"saturation point: {fields['rate']:.0f} messages a second"
        case "tune_experiment":
            return (
                f"{fields['change']}: elasticity {fields['elasticity']} ({fields['low']} to {fields['high']})"
            )
        case "tune_verdict" | "tune_next_verdict":
            return f"bottleneck: {fields['bottleneck']}. {' '.join(fields['because'])}"
    return finding.event.removeprefix("tune_")
