"""One simulated user: its HTTP client, its randomness, its pace. What a scenario gets.

A request is timed twice: from when it was sent, and from when it was *due*. What follows a reply is due at
once. What follows `User.wait` is due by the user's own schedule, however late the reply before it came: a
user that polls every second and is held up for two by a stalled server sends the polls it missed at once,
each timed from its own second (G. Tene, "How NOT to Measure Latency": coordinated omission).
"""

import re
from collections.abc import Collection, Coroutine, Mapping
from math import inf
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote

import attrs
import orjson
import trio

from loadtest_trio.users.clock import Sleepers
from loadtest_trio.users.durations import bad_flag
from loadtest_trio.users.jobs_seen import Job
from loadtest_trio.users.response import Response
from loadtest_trio.users.tally import Recorder
from loadtest_trio.users.wire import ExchangeError, Reply, Wire

T = TypeVar("T", int, float, str)

_MOST_BEHIND_SECONDS = 10.0  # further behind, a user skips polls: they are counted
_FIRST_ERROR = 400
_SAFE = re.compile(r"[A-Za-z0-9._~-]*").fullmatch  # needs no quoting (RFC 3986, 2.3)
_NO_REPLY = Reply(0, [], b"")


@attrs.frozen
class Surroundings:
    """What all users of a generator share.

    Attributes:
        recorder: Counts what they see.
        sleepers: Wakes them.
        headers: Lines that every request carries, Host among them, each with its line end.
        options: Of the scenario, by name, as given on the command line.
        shared: For scenarios whose users know of each other.
        url: Of the service.
    """

    recorder: Recorder
    sleepers: Sleepers
    headers: bytes
    options: Mapping[str, str] = attrs.field(factory=dict)
    shared: dict[str, Any] = attrs.field(factory=dict)
    url: str = ""


class User:
    """A user, alive from its start until its scenario is over after it was told to leave.

    Args:
        number: Among all users of all generators, from 0.
        wire: Carries its requests; this object closes it.
        around: What all users share.
        due: When it was to start, in Trio's clock.
        seed: Of its randomness.

    Attributes:
        number: Among all users.
        id: A name for it, such as ``user-17``, to be a client id.
        jobs: The jobs it waits for.
        failed: One of its requests has failed, since somebody made this false.
    """

    __slots__ = (
        "_around",
        "_due",
        "_headers",
        "_rng",
        "_seed",
        "_tick",
        "_wire",
        "failed",
        "id",
        "jobs",
        "number",
    )

    def __init__(self, number: int, wire: Wire, around: Surroundings, due: float, seed: int) -> None:
        self.number, self.id = number, f"user-{number}"
        self.jobs: list[Job] = []
        self.failed = False
        self._wire, self._around = wire, around
        self._headers = around.headers
        self._seed = seed
        self._rng: Random | None = None
        self._tick = due
        self._due: float | None = due

    @property
    def rng(self) -> Random:
        """Its randomness; made when it is first asked for, as it takes 2.5 KB."""
        if self._rng is None:
            self._rng = Random(self._seed)
        return self._rng

    def option(self, name: str, default: T) -> T:
        """Return an option of the scenario (``-P name=value``), of the default's type.

        Raises:
            ConfigurationError: It is a number where the default is one, and cannot be read or is negative.
        """
        text = self._around.options.get(name)
        if text is None:
            return default
        try:
            value = type(default)(text)
        except ValueError:
            value = None
        if value is None or (not isinstance(value, str) and not 0 <= value < inf):
            kind = "a whole number" if isinstance(default, int) else "a number"
            raise bad_flag("-P", f"{name}={text}", f"{name}={kind} of 0 or more")
        return value

    @property
    def shared(self) -> dict[str, Any]:
        """What the users of a scenario share."""
        return self._around.shared

    @property
    def url(self) -> str:
        """The service's address, as it was given."""
        return self._around.url

    def set_header(self, name: str, value: str) -> None:
        """Send a header with every further request of this user."""
        self._headers += f"{name}: {value}\r\n".encode()

    def get(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """GET; see `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """POST; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """PUT; see `request`."""
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> Coroutine[Any, Any, Response]:
        """DELETE; see `request`."""
        return self.request("DELETE", path, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
        **values: object,
    ) -> Response:
        """Send a request and wait for its reply, or for the lack of one, which is no exception.

        Args:
            method: Such as ``GET``.
            path: The route's template: ``/api/jobs/{id}``. Statistics are kept by it.
            json: The body, as JSON.
            data: The body, as it is; a form where no header says otherwise and it is a text.
            headers: Of this request alone.
            expect: Statuses that are no failure; none: all under 400.
            values: What the template's names stand for; they are quoted.
        """
        name = f"{method} {path}"
        recorder = self._around.recorder
        route = recorder.route(name)
        target = path.format(**{key: _quoted(str(each)) for key, each in values.items()}) if values else path
        lines, body = self._body(json, data)
        if headers:
            lines += "".join(f"{key}: {value}\r\n" for key, value in headers.items()).encode()
        if body or method in ("POST", "PUT", "PATCH"):
            lines += b"Content-Length: %d\r\n" % len(body)
        sent = trio.current_time()
        due = sent if self._due is None else self._due
        error = ""
        try:
            reply = await self._wire.exchange(method, target.encode(), self._headers + lines, body)
        except ExchangeError as caught:
            reply, error = _NO_REPLY, caught.kind
        response = Response(reply, name, recorder, route)
        response.due, response.done, response.error = due, trio.current_time(), error
        status = reply.status
        response.ok = status in expect if expect else 0 < status < _FIRST_ERROR
        route.record(status, response.done - due, response.done - sent, failed=not response.ok)
        if not response.ok:
            self.failed = True
            recorder.error(f"{name}: {error or status}")
        self._due = None
        return response

    @staticmethod
    def _body(json: Any, data: bytes | str) -> tuple[bytes, bytes]:
        if json is not None:
            return b"Content-Type: application/json\r\n", orjson.dumps(json)
        if isinstance(data, str):
            return b"Content-Type: application/x-www-form-urlencoded\r\n", data.encode()
        return b"", data

    async def wait(self, seconds: float) -> None:
        """Go on `seconds` after the last time that this user waited: its schedule, which never drifts.

        When that time is past, the next request is due since then; when it is past by more than ten
        seconds, the user skips what it has missed, which is counted.
        """
        now = trio.current_time()
        self._tick += seconds
        if self._tick > now:
            await self._sleep()
        elif now - self._tick > _MOST_BEHIND_SECONDS and seconds > 0:
            missed = int((now - self._tick) / seconds)
            self._tick += missed * seconds
            self._around.recorder.skipped += missed
        self._due = self._tick

    async def think(self, seconds: float, most: float | None = None) -> None:
        """Do nothing for some seconds from now, as a person does who reads a reply.

        Args:
            seconds: How long, or how long at least.
            most: How long at most; between the two every time is as likely.
        """
        self._tick = trio.current_time() + (seconds if most is None else self.rng.uniform(seconds, most))
        await self._sleep()
        self._due = self._tick

    async def _sleep(self) -> None:
        await self._around.sleepers.until(self._tick)
        self._around.recorder.lag.record(trio.current_time() - self._tick)

    def submitted(self, response: Response, name: object) -> Job:
        """Take note of a job that the service has accepted.

        Args:
            response: To its submission.
            name: Its id.
        """
        job = Job(self._around.recorder, str(name), response.due)
        self.jobs.append(job)
        return job

    def saw(self, job: Job, word: str, response: Response, queued: float | None = None) -> bool:
        """Take note of a job's state, in the service's own word; return whether it has ended.

        Args:
            job: One of this user's.
            word: Its state.
            response: The reply that told it.
            queued: Seconds that it was queued, where the reply tells that, too.
        """
        ended = job.saw(word, response.done, queued)
        if ended and job in self.jobs:
            self.jobs.remove(job)
        return ended

    def give_up(self) -> None:
        """Abandon the jobs that this user still waits for."""
        while self.jobs:
            self.jobs.pop().abandon()

    def close(self) -> None:
        """Leave: abandon what is open, and hang up."""
        self.give_up()
        self._wire.close()


def _quoted(text: str) -> str:
    return text if _SAFE(text) else quote(text, safe="")
