"""Dead letters on the dashboard: what was given up and why, with retry and delete."""

from collections.abc import Sequence
from typing import Any, Protocol

from quart import request
from quart_trio import QuartTrio

from loadtest_trio.errors import RedisError
from loadtest_trio.metrics import logs
from loadtest_trio.web.dashboard.access import Access

_MOST = 100  # letters of one answer


class Letter(Protocol):
    """One dead letter; `loadtest_trio.backends.redis.DeadLetter` is one."""

    @property
    def id(self) -> str:
        """Of the message."""
        ...

    @property
    def operation(self) -> str:
        """What it should have done."""
        ...

    @property
    def key(self) -> str:
        """To what."""
        ...

    @property
    def attempts(self) -> int:
        """How often it was tried, or delivered."""
        ...

    @property
    def error(self) -> str:
        """The last error."""
        ...

    @property
    def time(self) -> float:
        """When it was given up, in Unix seconds."""
        ...


class DeadList(Protocol):
    """The dead list; `loadtest_trio.backends.redis.DeadLetters` is one."""

    async def count(self) -> int:
        """Return how many there are."""
        ...

    async def page(self, offset: int = 0, limit: int = 100) -> Sequence[Letter]:
        """Return some, the newest first."""
        ...

    async def requeue(self, id: str) -> bool:  # noqa: A002  # what the record calls it
        """Put one back on the queue."""
        ...

    async def delete(self, id: str) -> bool:  # noqa: A002  # what the record calls it
        """Delete one for good."""
        ...


def add_letters(app: QuartTrio, access: Access, dead: DeadList) -> None:
    """Add ``GET /dead?limit=N``, ``POST /dead/ID/retry`` and ``POST /dead/ID/delete``.

    Args:
        app: The application.
        access: Who may look, and who may act.
        dead: The dead list.
    """

    @app.get("/dead")
    async def list_letters() -> Any:
        if not access.may_look(request):
            return {"error": "the dashboard's token is needed"}, 401
        limit = request.args.get("limit", 20, type=int)
        try:
            count, letters = await dead.count(), await dead.page(limit=max(1, min(limit, _MOST)))
        except RedisError as error:
            return {"error": str(error)}, 503
        return {"count": count, "letters": [_shown(letter) for letter in letters]}

    @app.post("/dead/<path:letter>/<any(retry, delete):action>")
    async def act(letter: str, action: str) -> Any:
        if not access.may_control(request):
            return {"error": "only this machine, or who brings the token, may do that"}, 403
        try:
            done = await (dead.requeue(letter) if action == "retry" else dead.delete(letter))
        except RedisError as error:
            return {"error": str(error)}, 503
        if not done:
            return {"error": f"no dead letter has the id {letter} any more"}, 404
        logs.event("control_used", control=f"dead_letter_{action}", value=letter)
        return {"said": f"{letter} is back on the queue" if action == "retry" else f"{letter} is deleted"}


def _shown(letter: Letter) -> dict[str, Any]:
    names = ("id", "operation", "key", "attempts", "error", "time")
    return {name: getattr(letter, name) for name in names}
