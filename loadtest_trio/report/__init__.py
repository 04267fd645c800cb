"""Reports and comparisons, made from files of log lines only.

Pictures and statistics need the optional packages of the extra ``report``. Only the functions that use them
import them, so the daemon does not pay for them.
"""

from loadtest_trio.report.compare import compare
from loadtest_trio.report.reader import UnreadableRunError
from loadtest_trio.report.report import write_report

__all__ = ["UnreadableRunError", "compare", "write_report"]
