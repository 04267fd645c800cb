"""What a scenario sees of a reply, or of the lack of one."""

from typing import Any

import orjson

from loadtest_trio.users.tally import Recorder, Route
from loadtest_trio.users.wire import Reply


class Response:
    """A reply, or the lack of one.

    Attributes:
        status: The HTTP status; 0 when there was no reply.
        body: All of it.
        due: When the request was due, in Trio's clock.
        done: When its reply had arrived.
        ok: It does not count as a failure.
        error: Why there is no reply, such as ``timeout``; "" when there is one.
    """

    __slots__ = ("_name", "_recorder", "_reply", "_route", "done", "due", "error", "ok")

    def __init__(self, reply: Reply, name: str, recorder: Recorder, route: Route) -> None:
        self._reply, self._name, self._recorder, self._route = reply, name, recorder, route
        self.due = self.done = 0.0
        self.ok = True
        self.error = ""

    @property
    def status(self) -> int:
        """The HTTP status; 0 when there was no reply."""
        return self._reply.status

    @property
    def body(self) -> bytes | bytearray:
        """The body, as received."""
        return self._reply.body

    def json(self) -> Any:
        """Return the body as JSON; None when it is not."""
        try:
            return orjson.loads(self._reply.body)
        except ValueError:
            return None

    def header(self, name: str) -> str:
        """Return a header by its name, in any case; "" when it is absent."""
        wanted = name.lower().encode()
        found = (value for key, value in self._reply.headers if key.lower() == wanted)
        return next(found, b"").decode("latin-1")

    def fail(self, why: str) -> None:
        """Count the request as a failure although its status is fine, as when a task has FAILED."""
        if self.ok:
            self.ok = False
            self._route.fail()
            self._recorder.error(f"{self._name}: {why}")
