"""How far long trials have come, for a person at a terminal; silent anywhere else."""

import sys


def show_progress(text: str) -> None:
    """Replace the last line of a terminal on standard error."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")


def end_progress() -> None:
    """End the line that `show_progress` replaces."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")
