"""The bucket in memory: what S3 does, done to a dictionary, with S3's faults behind a switch.

A request has two legs, as on the wire: it can be cut off before it reached S3, or after S3 has acted and
before anybody heard of it. `tests/integration/test_bucket_contract.py` holds `MemoryBucket` and
`S3Service` to the same behaviour.
"""

from collections.abc import AsyncIterator, Callable
from enum import Enum

import trio

from loadtest_trio.backends.s3 import ListedObject, Page
from loadtest_trio.backends.s3.addressing import is_inside
from loadtest_trio.backends.s3.client import unreported
from loadtest_trio.backends.s3.outage_detector import Outage, OutageDetector
from loadtest_trio.errors import (
    BucketMissingError,
    LoadtestError,
    ObjectMissingError,
    S3BrokenResponseError,
    S3DeniedError,
    S3Error,
    S3ServerError,
    S3ThrottledError,
    S3UnreachableError,
)
from loadtest_trio.metrics.counters import Observer
from tests.support.memory_redis import unobserved

_PAGE = 1000


class Fault(Enum):
    """What can be wrong with S3."""

    UNREACHABLE = "connection refused: nothing happens"
    LOST_ANSWER = "the connection breaks after S3 has acted"
    SERVER_ERROR = "500 InternalError"
    SLOW_DOWN = "503 SlowDown"
    DENIED = "403 AccessDenied"
    MISSING = "404 NoSuchKey"
    TRUNCATED = "a body shorter than announced"


class MemoryBucket:
    """A `S3Service` without S3.

    Args:
        prefix: Keys outside it are refused.
        latency: Seconds of each of a request's two legs; None: no time passes between two checkpoints.
        waves: Requests travel together: the first of a wave waits for the latency, who joins it arrives
            with it, sooner; answers take no time. A tenth of the cost of two timers a request.
        observe: Told about every request by kind, unless it was cancelled.
        exists: Whether the bucket is there at the beginning.

    Attributes:
        objects: Key -> contents.
        requests: How many reached S3, by kind.
        under_way: Requests that have begun and not ended: "connections".
        closed: Whether `aclose` was called.
        latency_of: The latency of some kinds of request instead.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        latency: float | None = None,
        waves: bool = False,
        observe: Observer = unobserved,
        exists: bool = True,
    ) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: dict[str, int] = {}
        self.under_way = 0
        self.exists = exists
        self.closed = False
        self.latency_of: dict[str, float] = {}
        self._prefix = prefix
        self._latency = latency
        self._waves = waves
        self._wave: trio.Event | None = None
        self._observe = observe
        self._on_outage: Callable[[Outage | None], None] = unreported
        self._outages = OutageDetector(trio.current_time)
        self._fault: Fault | None = None
        self._affects: Callable[[str, str], bool] = lambda kind, key: True
        self._left = 0

    def watch(self, prefix: str, observe: Observer, on_outage: Callable[[Outage | None], None]) -> None:
        """Become the bucket of a service: with its prefix, and telling its observers."""
        self._prefix, self._observe, self._on_outage = prefix, observe, on_outage

    def break_down(
        self,
        fault: Fault,
        *,
        times: int = 2**60,
        affects: Callable[[str, str], bool] = lambda kind, key: True,
    ) -> None:
        """Switch a fault on.

        Args:
            fault: What goes wrong.
            times: How many requests it hits.
            affects: Which requests it hits, by kind and key.
        """
        self._fault, self._left, self._affects = fault, times, affects

    def recover(self) -> None:
        """Switch the fault off."""
        self._fault = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Nothing here needs a task of its own."""
        task_status.started()
        await trio.sleep_forever()

    async def get(self, key: str) -> bytearray:
        """Download a whole object."""
        body = await self._request("GET", key, lambda: self.objects[key])
        return bytearray(body)

    async def put(self, key: str, body: bytes | bytearray | memoryview) -> None:
        """Upload a whole object."""

        def store() -> bytes:
            self.objects[key] = bytes(body)
            return b""

        await self._request("PUT", key, store, len(body))

    async def delete(self, key: str) -> None:
        """Delete an object; one that is not there counts as deleted."""

        def remove() -> bytes:
            self.objects.pop(key, None)
            return b""

        await self._request("DELETE", key, remove)

    async def list(self) -> AsyncIterator[Page]:
        """List the objects under the prefix, page by page, each page as of its own time."""
        after: str | None = ""
        while after is not None:
            page: list[str] = []

            def read(after: str = after, page: list[str] = page) -> bytes:
                inside = (key for key in self.objects if is_inside(key, self._prefix))
                page += sorted(key for key in inside if key > after)
                return "".join(page[:_PAGE]).encode()

            await self._request("LIST", "", read)
            yield Page([ListedObject(key, len(self.objects.get(key, b""))) for key in page[:_PAGE]])
            after = page[_PAGE - 1] if len(page) > _PAGE else None

    async def check_bucket(self) -> None:
        """Find out whether the bucket can be used."""
        await self._request("LIST", "", lambda: b"")

    async def probe(self) -> None:
        """Find out whether S3 as a whole is out."""
        error: LoadtestError | None = None
        try:
            await self._exchange("LIST", "", lambda: b"", makes_bucket=False)
        except LoadtestError as failure:
            error = failure
        self._on_outage(self._outages.observe_probe(error))

    async def create_bucket(self) -> None:
        """Create the bucket; one that is already ours is fine."""

        def make() -> bytes:
            self.exists = True
            return b""

        await self._request("PUT", "", make, makes_bucket=True)

    async def aclose(self) -> None:
        """Close the connections."""
        await trio.lowlevel.checkpoint()
        self.closed = True

    async def _request(
        self, kind: str, key: str, act: Callable[[], bytes], size: int = 0, *, makes_bucket: bool = False
    ) -> bytes:
        if kind != "LIST" and not makes_bucket and not is_inside(key, self._prefix):
            raise ValueError(f"key {key!r} is outside the prefix {self._prefix!r}")
        started = trio.current_time()
        self.under_way += 1
        try:
            body = await self._exchange(kind, key, act, makes_bucket)
        except S3Error as error:
            self._observe(kind, trio.current_time() - started, 0, error)
            self._on_outage(self._outages.observe(kind, key, error))
            raise
        finally:
            self.under_way -= 1
        self._observe(kind, trio.current_time() - started, size + len(body), None)
        self._on_outage(self._outages.observe(kind, key, None))
        return body

    async def _exchange(self, kind: str, key: str, act: Callable[[], bytes], makes_bucket: bool) -> bytes:
        await self._leg(kind)
        self.requests[kind] = self.requests.get(kind, 0) + 1
        fault = self._strike(kind, key)
        if fault in (Fault.LOST_ANSWER, Fault.TRUNCATED, None):
            if not (self.exists or makes_bucket):
                raise BucketMissingError("the bucket does not exist", code="NoSuchBucket", status=404)
            try:
                body = act()
            except KeyError:
                raise _error(Fault.MISSING, kind, key) from None
            if not self._waves:
                await self._leg(kind)
            if fault is None or (fault is Fault.TRUNCATED and kind not in ("GET", "LIST")):
                return body
        raise _error(fault, kind, key)

    async def _leg(self, kind: str) -> None:
        latency = self.latency_of.get(kind, self._latency)
        if latency is None:
            await trio.lowlevel.checkpoint()
        elif not self._waves:
            await trio.sleep(latency)
        elif self._wave is not None:
            await self._wave.wait()
        else:
            self._wave = wave = trio.Event()
            try:
                await trio.sleep(latency)
            finally:
                self._wave = None
                wave.set()

    def _strike(self, kind: str, key: str) -> Fault | None:
        if self._fault is None or self._left < 1 or not self._affects(kind, key):
            return None
        self._left -= 1
        return self._fault


def _error(fault: Fault, kind: str, key: str) -> LoadtestError:
    match fault:
        case Fault.UNREACHABLE:
            return S3UnreachableError(f"S3 {kind}: connection refused", code="ConnectError", key=key)
        case Fault.LOST_ANSWER:
            return S3BrokenResponseError(f"S3 {kind}: connection reset", code="ReadError", key=key)
        case Fault.SERVER_ERROR:
            return S3ServerError(f"S3 {kind} failed", code="InternalError", key=key, status=500)
        case Fault.SLOW_DOWN:
            return S3ThrottledError(f"S3 {kind} failed", code="SlowDown", key=key, status=503)
        case Fault.DENIED:
            return S3DeniedError(f"S3 {kind} denied", code="AccessDenied", key=key, status=403)
        case Fault.TRUNCATED:
            return S3BrokenResponseError(f"S3 {kind}: cut short", code="TruncatedBody", key=key, status=200)
        case Fault.MISSING:
            return ObjectMissingError("the object does not exist", code="NoSuchKey", key=key, status=404)
