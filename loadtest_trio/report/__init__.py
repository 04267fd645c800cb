"""Reports from log lines alone: reads files, never the running service.

Pictures and statistics need the optional packages of the extra ``report``; they are imported only by
the functions that use them, so that nothing here costs the daemon anything.
"""

from loadtest_trio.report.compare import compare
from loadtest_trio.report.reader import UnreadableRunError
from loadtest_trio.report.report import write_report

__all__ = ["UnreadableRunError", "compare", "write_report"]
