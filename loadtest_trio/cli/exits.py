"""Exit codes and the one way to complain."""

import sys

OK = 0
FAILED = 1
BAD_CONFIGURATION = 2
NO_BACKEND = 3
THRESHOLD_CROSSED = 99


def complain(code: int, *lines: str) -> int:
    """Write lines to standard error, each naming the program, and return the code."""
    for line in lines:
        sys.stderr.write(f"loadtest_trio: {line}\n")
    return code
