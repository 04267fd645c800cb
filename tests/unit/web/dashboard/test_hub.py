"""The hub: everybody gets every line, nobody holds it up, nobody who returns misses one."""

from typing import Any

import orjson
import trio
from trio.testing import MockClock

from loadtest_trio.metrics import logs
from loadtest_trio.web.dashboard.hub import Hub, Viewer
from tests.support.log_lines import LogLines


def event_of(chunk: bytes) -> tuple[str, str, Any]:
    """Return id, name and data of the first event of a chunk."""
    fields = dict(line.split(": ", 1) for line in chunk.decode().split("\n\n")[0].splitlines())
    return fields.get("id", ""), fields["event"], orjson.loads(fields["data"])


def join(hub: Hub, last_id: str | None = None) -> Viewer:
    """Begin a stream that must be possible."""
    viewer = hub.join(last_id)
    assert viewer is not None
    return viewer


async def test_a_viewer_gets_the_past_and_then_every_line() -> None:
    """First comes the history with how things are, then a line an event, with ids that count."""
    hub = Hub()
    hub.publish({"event": "metrics", "n": 1})
    viewer = join(hub)
    _, name, told = event_of(await viewer.__anext__())
    assert (name, told["fresh"], [line["n"] for line in told["lines"]]) == ("history", True, [1])
    assert told["situation"]["level"] in ("starting", "good")
    hub.publish({"event": "metrics", "n": 2})
    number, name, line = event_of(await viewer.__anext__())
    assert (name, line["n"], number.endswith("-2")) == ("line", 2, True)


async def test_large_fields_are_not_sent() -> None:
    """Histograms and CloudWatch's header are for other readers."""
    hub = Hub()
    hub.publish({"event": "metrics", "histograms": {"a": "x" * 9000}, "_aws": {}, "kept": 1})
    _, _, told = event_of(await join(hub).__anext__())
    assert told["lines"] == [{"event": "metrics", "kept": 1}]


async def test_who_returns_gets_what_was_missed() -> None:
    """With the id of the last event only later lines come, and the page keeps what it has."""
    hub = Hub()
    for n in range(1, 4):
        hub.publish({"event": "metrics", "n": n})
    seen, _, _ = event_of(await join(hub).__anext__())
    hub.publish({"event": "metrics", "n": 4})
    _, _, told = event_of(await join(hub, seen).__anext__())
    assert (told["fresh"], [line["n"] for line in told["lines"]]) == (False, [4])


async def test_an_id_of_another_life_brings_everything() -> None:
    """A service that was started anew, or nonsense in the header, begins the page anew."""
    hub = Hub()
    hub.publish({"event": "metrics", "n": 1})
    ours = [f"{hub._boot}-{number}" for number in ("x", "", "²", "١", "-1", "2", "9" * 5000)]
    for last_id in ("00000000-1", "nonsense", "", *ours):
        _, _, told = event_of(await join(hub, last_id).__anext__())
        assert (told["fresh"], len(told["lines"])) == (True, 1)


async def test_a_slow_viewer_is_dropped_and_holds_nobody_up() -> None:
    """Whoever does not read is let go after a bounded number of events; others miss nothing."""
    hub = Hub()
    slow, quick = join(hub), join(hub)
    await quick.__anext__()
    for n in range(1000):
        hub.publish({"event": "metrics", "n": n})
        assert event_of(await quick.__anext__())[2]["n"] == n
    assert hub.viewers == 1
    chunks = [chunk async for chunk in slow]
    assert len(chunks) < 100


async def test_silence_is_filled(autojump_clock: MockClock) -> None:
    """While nothing happens a comment comes every quarter of a minute."""
    hub = Hub()
    viewer = join(hub)
    await viewer.__anext__()
    assert await viewer.__anext__() == b":\n\n"
    assert trio.current_time() == 15


async def test_the_end_ends_every_stream() -> None:
    """After the last line streams end, and nobody can begin one."""
    hub = Hub()
    viewers = [join(hub) for _ in range(3)]
    hub.publish({"event": "service_stopped", "reason": "x"})
    hub.close()
    for viewer in viewers:
        chunks = [chunk async for chunk in viewer]
        assert event_of(chunks[1])[2]["event"] == "service_stopped"
    assert (hub.join(None), hub.viewers) == (None, 0)


async def test_viewers_are_limited() -> None:
    """A hundred and no more; one that leaves makes room."""
    hub = Hub()
    viewers = [join(hub) for _ in range(100)]
    assert hub.join(None) is None
    hub.leave(viewers[0])
    assert hub.join(None) is not None


async def test_it_hears_what_the_log_says(log_lines: LogLines) -> None:
    """While it listens every line of INFO and above is published; before and after, none."""
    hub = Hub()
    logs.event("before")
    with hub.listening():
        viewer = join(hub)
        logs.event("within", count=3)
        logs.event("detail", "DEBUG")
    logs.event("after")
    chunks = [chunk async for chunk in viewer]
    assert [event_of(chunk)[2].get("event") for chunk in chunks[1:]] == ["within"]
    assert [line["event"] for line in log_lines.all()] == ["before", "within", "after"]


async def test_it_hears_other_threads(log_lines: LogLines) -> None:
    """A line that a thread writes arrives like any other."""
    hub = Hub()
    with hub.listening():
        viewer = join(hub)
        await viewer.__anext__()
        await trio.to_thread.run_sync(lambda: logs.event("from_a_thread"))
        assert event_of(await viewer.__anext__())[2]["event"] == "from_a_thread"


async def test_odd_lines_are_published() -> None:
    """Lone surrogates, huge numbers and line breaks make one valid event."""
    hub = Hub()
    hub.publish({"event": "odd", "text": "a\ud800\nb", "huge": 2**70})
    _, _, told = event_of(await join(hub).__anext__())
    assert told["lines"][0]["text"] == "a?\nb"
