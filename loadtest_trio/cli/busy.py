"""That something takes a while, for a person at a terminal; silent anywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def busy(doing: str, console: Console | None = None) -> Iterator[None]:
    """Show what is being done, and for how long, until the block ends.

    Args:
        doing: In words, such as ``reading run.jsonl``.
        console: Where to; standard error when None.
    """
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(doing, total=None)
        yield
