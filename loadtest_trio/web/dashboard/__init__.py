"""The dashboard: what the log says, live in a browser.

    log line ──► Hub ── history (bounded) ──► a viewer's queue (bounded) ──► server-sent events ──► page
                  └──── Watch: the state of the service in words

The page knows log lines and nothing else of the service, so a finished run's file looks the same in it as
a run that is under way.
"""

from collections.abc import Sequence

from quart_trio import QuartTrio

from loadtest_trio.web.dashboard.access import Access, is_loopback_host
from loadtest_trio.web.dashboard.controls import Control, add_controls
from loadtest_trio.web.dashboard.hub import Hub
from loadtest_trio.web.dashboard.jobs import FoundJobs, add_jobs
from loadtest_trio.web.dashboard.letters import DeadList, add_letters
from loadtest_trio.web.dashboard.routes import add_page

__all__ = [
    "Access",
    "Control",
    "FoundJobs",
    "Hub",
    "add_dashboard",
    "is_loopback_host",
]


def add_dashboard(
    app: QuartTrio,
    hub: Hub,
    access: Access,
    *,
    dead: DeadList | None = None,
    jobs: FoundJobs | None = None,
    controls: Sequence[Control] = (),
) -> None:
    """Add the dashboard to an application.

    Args:
        app: The application, not serving yet.
        hub: Where the lines come from.
        access: Who may look, and who may use the controls.
        dead: The dead list; None where there is none, as in a replay.
        jobs: Where jobs are; None where there are none.
        controls: What can be changed while it runs.
    """
    add_page(app, hub, access)
    add_controls(app, access, controls)
    if jobs is not None:
        add_jobs(app, access, jobs)
    if dead is not None:
        add_letters(app, access, dead)
