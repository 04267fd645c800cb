"""The generator's own limits are told, and never called the service's."""

import json
import resource
from math import isfinite

import orjson
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest_trio.users.generator import limits_reached, ports_warning, raise_descriptor_limit
from loadtest_trio.users.http_wire import HttpWire
from loadtest_trio.users.origin import resolve
from loadtest_trio.users.target import Scraped, process_metrics, stats_of
from tests.support.users_world import raw_server, socket_watch

ODD_TEXT = (
    "# TYPE process_x counter\n",
    "# HELP process_x y\n",
    "# UNIT x{ y\n",
    'process_x{a="b",',
    '\t="c"}',
    "process_x ",
    "process_open_fds 1e300",
    " 1.5",
    " NaN",
    "9" * 400,
    "²",
    "\n",
    "\\",
    "{",
    "}",
    '"',
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
OURS = b'{"byStatus": {}, "byType": {}, "lanes": 0, "cache": {}}'


@pytest.mark.parametrize(
    ("generator", "errors", "said"),
    [
        ({"cpu_percent": 50.0, "lag_p95_ms": 3.0}, {}, ""),
        ({"cpu_percent": 97.0, "lag_p95_ms": 3.0}, {}, "CPU"),
        ({"cpu_percent": 50.0, "lag_p95_ms": 250.0}, {}, "lag"),
        ({"cpu_percent": None, "lag_p95_ms": None}, {}, ""),
        ({"cpu_percent": 50.0}, {"GET /: no ports": 3}, "no ports"),
        ({"cpu_percent": 50.0}, {"GET /: no descriptors": 3}, "no descriptors"),
        ({"cpu_percent": 50.0}, {"GET /: timeout": 3}, ""),
    ],
)
def test_why_the_generator_was_the_limit(
    generator: dict[str, float], errors: dict[str, int], said: str
) -> None:
    reasons = limits_reached(generator, errors)
    assert bool(reasons) is bool(said)
    assert said in "".join(reasons)


def test_too_few_descriptors_say_what_to_set() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert raise_descriptor_limit(10) == ""
        if before[1] != resource.RLIM_INFINITY:
            assert f"ulimit -n {before[1] + 164}" in raise_descriptor_limit(before[1] + 100)
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1], "raised as far as allowed"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_few_source_ports_say_what_to_set() -> None:
    assert ports_warning(10_000, "h:80", "32768\t60999\n") == ""
    assert "28,232" in ports_warning(30_000, "h:80", "32768\t60999\n")
    assert ports_warning(30_000, "h:80", "") == ""


def test_the_targets_process_is_read_from_prometheus_text() -> None:
    text = "# TYPE process_open_fds gauge\nprocess_open_fds 12\nother 3\nprocess_cpu_seconds_total 4.5\n"
    assert process_metrics(text) == {"process_open_fds": 12.0, "process_cpu_seconds_total": 4.5}
    assert process_metrics("<html>") == {}
    assert process_metrics("process_open_fds NaN\nprocess_cpu_seconds_total +Inf\n") == {}


def test_stats_keep_numbers_only() -> None:
    body = b'{"queued": 3, "by_status": {"running": 2, "note": "x"}, "name": "q", "list": [1]}'
    assert stats_of(body) == {"queued": 3, "by_status": {"running": 2}}
    assert stats_of(b"no json") == {}


@settings(max_examples=300)
@given(st.lists(st.one_of(st.sampled_from(ODD_TEXT), st.text(max_size=5)), max_size=12).map("".join))
def test_any_page_is_read_or_left_out(text: str) -> None:
    """The parser of such pages raises whatever it likes; a target must not end the run with one."""
    assert all(isfinite(value) for value in process_metrics(text).values())


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=40), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_statistics_are_read_or_left_out(body: bytes) -> None:
    """So for ``/api/jobs/stats``: what is kept can be written to the log."""
    orjson.dumps(stats_of(body))


async def test_redis_is_only_suspected_where_the_statistics_are_ours() -> None:
    """Another service that answers at the path may have no Redis that could be slow."""
    for stats, known in ((b'{"queued": 3}', False), (b"<html>", False), (OURS, True)):

        async def serve(stream: trio.SocketStream, stats: bytes = stats) -> None:
            while await stream.receive_some(65536):
                await stream.send_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(stats), stats)
                )

        async with raw_server(serve) as url, socket_watch() as watch:
            wire = HttpWire(await resolve(url), watch)
            read = await Scraped(wire, b"Host: a\r\n").read()
            wire.close()
        assert ("stats_ms" in read) is known
