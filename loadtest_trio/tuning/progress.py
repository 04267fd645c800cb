"""How the search goes, for a person at a terminal."""

from collections.abc import Callable

from rich.console import Console

from loadtest_trio.tuning.steps import Finding, Step


class TerminalProgress:
    """A line for each result, and the step under way beneath them.

    Args:
        console: Where to; silent when it is no terminal.
        clock: Monotonic seconds.
        seconds: How long all of it takes at most.
    """

    def __init__(self, console: Console, clock: Callable[[], float], seconds: float) -> None:
        self._console = console
        self._clock = clock
        self._ends = clock() + seconds
        self._status = console.status("starting") if console.is_terminal else None

    def __enter__(self) -> "TerminalProgress":
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def step(self, step: Step) -> None:
        """Show the step under way and the time left."""
        if self._status:
            left = max(0.0, self._ends - self._clock())
            load = f"{step.rate:.0f}/s offered" if step.rate else "closed loop"
            doing = f"{step.kind}: {load}, {step.workers} workers {step.change}"
            self._status.update(f"{doing} · at most {left // 60:.0f}:{left % 60:02.0f} left")

    def finding(self, finding: Finding) -> None:
        """Show what was found."""
        if self._status:
            self._console.print(describe(finding), highlight=False, markup=False)


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
        case "tune_saturation":
            return f"saturation point: {fields['rate']:.0f} messages a second"
        case "tune_experiment":
            return (
                f"{fields['change']}: elasticity {fields['elasticity']} ({fields['low']} to {fields['high']})"
            )
        case "tune_verdict" | "tune_next_verdict":
            return f"bottleneck: {fields['bottleneck']}. {' '.join(fields['because'])}"
    return finding.event.removeprefix("tune_")
