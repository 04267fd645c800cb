"""``python -m loadtest_trio``."""

import sys

from loadtest_trio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
