"""Fetches from a real server that behaves as badly as it is asked to."""

import base64
import gzip
import socket
import ssl
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import orjson
import pytest
import trio
import trustme

from loadtest_trio.errors import FetchRefusedError, FetchUnreachableError, WorkError
from loadtest_trio.handlers.http_fetch.connect import Resolve, SystemResolver, connect
from loadtest_trio.handlers.http_fetch.fetch import Fetcher, FetchLimits
from loadtest_trio.jobs.message import Message
from loadtest_trio.settings.allow_list import AllowList, parse_allow_list
from tests.support.cancellation import Scene, cancel_everywhere
from tests.support.odd_server import BREAKING
from tests.support.processes import descriptors

LIMITS = FetchLimits(allow=parse_allow_list("127.0.0.1"), max_bytes=100_000, timeout_seconds=5.0)


class Names:
    """A name server: each look-up of a name gives its next answer, the last one again and again."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self._answers:
            return [host]
        answers = self._answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


async def fetch(
    url: str, *, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None, **limits: Any
) -> dict[str, Any]:
    """Fetch a page and return it decoded."""
    fetcher = Fetcher(attrs.evolve(LIMITS, **limits), resolve or SystemResolver(), tls)
    page: dict[str, Any] = orjson.loads(await fetcher.fetch(Message("1", "http-fetch", params={"url": url})))
    return page


async def test_page_has_status_headers_and_body(odd_port: int) -> None:
    page = await fetch(f"http://127.0.0.1:{odd_port}/ok?q#part")
    assert page == {
        "url": f"http://127.0.0.1:{odd_port}/ok?q#part",
        "status": 200,
        "headers": [["content-length", "5"], ["x-twice", "1"], ["x-twice", "2"]],
        "encoding": "utf-8",
        "body": "Hello",
        "truncated": False,
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chunked", "Hello, world"),
        ("/until-close", "to the end"),
        ("/empty", ""),
        ("/interim", "late"),
        ("/no-location", "where?"),
    ],
)
async def test_every_framing_is_understood(odd_port: int, path: str, body: str) -> None:
    assert (await fetch(f"http://127.0.0.1:{odd_port}{path}"))["body"] == body


@pytest.mark.parametrize("status", [404, 418, 500, 503])
async def test_any_complete_answer_is_a_result(odd_port: int, status: int) -> None:
    page = await fetch(f"http://127.0.0.1:{odd_port}/status?{status}")
    assert (page["status"], page["body"]) == (status, "said so")


async def test_bytes_come_back_exactly(odd_port: int) -> None:
    page = await fetch(f"http://127.0.0.1:{odd_port}/binary")
    assert page["encoding"] == "base64"
    assert base64.b64decode(page["body"]) == bytes(range(256))


async def test_compressed_body_is_not_unpacked(odd_port: int) -> None:
    page = await fetch(f"http://127.0.0.1:{odd_port}/gzip")
    assert gzip.decompress(base64.b64decode(page["body"])) == b"zeros" * 1000


@pytest.mark.parametrize(
    ("size", "truncated"), [(9_999, False), (100_000, False), (100_001, True), (10**7, True)]
)
async def test_body_is_cut_off_at_the_limit(odd_port: int, size: int, truncated: bool) -> None:
    page = await fetch(f"http://127.0.0.1:{odd_port}/big?{size}")
    assert len(page["body"]) == min(size, 100_000)
    assert page["truncated"] is truncated


@pytest.mark.parametrize("path", ["/endless-body", "/endless-crumbs"])
async def test_endless_body_is_cut_off(odd_port: int, path: str) -> None:
    page = await fetch(f"http://127.0.0.1:{odd_port}{path}")
    assert page["truncated"]
    assert page["body"] == "x" * 100_000


@pytest.mark.parametrize("path", [*BREAKING, "/switch"])
async def test_broken_answer_may_be_retried(odd_port: int, path: str) -> None:
    with pytest.raises(FetchUnreachableError, match=path):
        await fetch(f"http://127.0.0.1:{odd_port}{path}")


@pytest.mark.parametrize("path", ["/endless-head", "/endless-line", "/endless-trailer"])
async def test_endless_head_is_refused_before_the_deadline(odd_port: int, path: str) -> None:
    with pytest.raises(FetchUnreachableError, match=r"too long|too large|exceeded"):
        await fetch(f"http://127.0.0.1:{odd_port}{path}")


@pytest.mark.parametrize("path", ["/silent", "/endless-interim"])
async def test_deadline_names_its_setting(odd_port: int, path: str) -> None:
    with pytest.raises(FetchUnreachableError, match=r"HTTP_FETCH_TIMEOUT_SECONDS=0\.3"):
        await fetch(f"http://127.0.0.1:{odd_port}{path}", timeout_seconds=0.3)


async def test_refused_connection_is_retryable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(FetchUnreachableError, match=r"\(127\.0\.0\.1: Connection refused\)"):
            await fetch(f"http://127.0.0.1:{bound.getsockname()[1]}/")


async def test_redirects_are_followed_and_counted(odd_port: int) -> None:
    """Relative and absolute targets work; the final URL is told; one redirect too many is an error."""
    here = f"http://127.0.0.1:{odd_port}"
    chain = f"/redirect?{here}/redirect?/ok"
    assert (await fetch(f"{here}{chain}", max_redirects=2))["url"] == f"{here}/ok"
    with pytest.raises(FetchRefusedError, match="more than HTTP_FETCH_MAX_REDIRECTS=1 redirects"):
        await fetch(f"{here}{chain}", max_redirects=1)


async def test_redirect_to_itself_ends(odd_port: int) -> None:
    with pytest.raises(FetchRefusedError, match="HTTP_FETCH_MAX_REDIRECTS=5"):
        await fetch(f"http://127.0.0.1:{odd_port}/loop")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/", "http://user@h/", "http://h:99999/"])
async def test_redirect_obeys_the_rules_for_urls(odd_port: int, target: str) -> None:
    with pytest.raises(FetchRefusedError, match="redirects to"):
        await fetch(f"http://127.0.0.1:{odd_port}/redirect?{target}")


@pytest.mark.parametrize(
    "target",
    [
        "http://user:hunter2@h/",
        "//user:hunter2@h/",
        "ftp://user:hunter2@h/",
        "http://user:hun@ter2@h:x/",
        f"http://user:{'ter2' * 60}@h/",
    ],
)
async def test_redirect_shows_no_password(odd_port: int, target: str) -> None:
    """The error is kept with the job and shown to whoever asks for it."""
    with pytest.raises(
        FetchRefusedError, match=r"redirects to '(\w+:)?//…@h.*(user name or a password|begin with|no URL)"
    ) as caught:
        await fetch(f"http://127.0.0.1:{odd_port}/redirect?{target}")
    assert "ter2" not in str(caught.value).partition(" redirects to ")[2]


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/", "http://[::ffff:a9fe:a9fe]/", "http://0xa9.0xfe.0xa9.0xfe/"]
)
async def test_redirect_obeys_the_rules_for_addresses(odd_port: int, target: str) -> None:
    with pytest.raises(FetchRefusedError, match="metadata address"):
        await fetch(f"http://127.0.0.1:{odd_port}/redirect?{target}")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:7f00:1]"]
)
async def test_nothing_on_loopback_without_permission(odd_port: int, host: str) -> None:
    with pytest.raises(FetchRefusedError, match="loopback"):
        await fetch(f"http://{host}:{odd_port}/ok", allow=AllowList())


async def test_rule_for_a_port_opens_no_other(odd_port: int, tls_port: int) -> None:
    allow = parse_allow_list(f"127.0.0.1:{odd_port}")
    assert (await fetch(f"http://127.0.0.1:{odd_port}/ok", allow=allow))["status"] == 200
    with pytest.raises(FetchRefusedError):
        await fetch(f"https://127.0.0.1:{tls_port}/ok", allow=allow)


async def test_rule_for_a_name_opens_its_addresses(odd_port: int) -> None:
    allow = parse_allow_list(f"localhost:{odd_port}")
    assert (await fetch(f"http://localhost:{odd_port}/ok", allow=allow))["status"] == 200
    with pytest.raises(FetchRefusedError):
        await fetch(f"http://127.0.0.1:{odd_port}/ok", allow=allow)


async def test_name_that_changes_after_the_check_changes_nothing(odd_port: int) -> None:
    """Each hop asks once; what the second answer would have been reaches nobody."""
    names = Names(rebind_test=[["127.0.0.1"], ["169.254.169.254"]])
    assert (await fetch(f"http://rebind.test:{odd_port}/ok", resolve=names))["body"] == "Hello"
    assert names.asked == ["rebind.test"]


async def test_name_that_changes_before_a_redirect_is_checked_anew(odd_port: int) -> None:
    names = Names(rebind_test=[["127.0.0.1"], ["169.254.169.254"]])
    with pytest.raises(FetchRefusedError, match=r"rebind\.test has a metadata address"):
        await fetch(f"http://rebind.test:{odd_port}/redirect?/ok", resolve=names)
    assert names.asked == ["rebind.test", "rebind.test"]


async def test_one_forbidden_address_refuses_the_name(odd_port: int) -> None:
    names = Names(mixed_test=[["127.0.0.1", "10.0.0.1"]])
    with pytest.raises(FetchRefusedError, match=r"mixed\.test has a private address"):
        await fetch(f"http://mixed.test:{odd_port}/ok", resolve=names)


async def test_next_address_is_tried_when_one_refuses(odd_port: int) -> None:
    names = Names(two_test=[["127.0.0.9", "127.0.0.1"]])
    page = await fetch(f"http://two.test:{odd_port}/ok", resolve=names, allow=parse_allow_list("127.0.0.0/8"))
    assert page["body"] == "Hello"


async def test_address_that_says_nothing_leaves_time_for_the_next(odd_port: int) -> None:
    """Connecting to the first address hangs, as if behind a firewall; the second one answers in time."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.9", odd_port))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.9", odd_port))
        names = Names(slow_test=[["127.0.0.9", "127.0.0.1"]])
        allow = parse_allow_list("127.0.0.0/8")
        page = await fetch(f"http://slow.test:{odd_port}/ok", resolve=names, allow=allow, timeout_seconds=2.0)
    assert page["body"] == "Hello"


@pytest.mark.parametrize(
    ("error", "expected"),
    [(socket.EAI_AGAIN, FetchUnreachableError), (socket.EAI_NONAME, FetchRefusedError)],
)
async def test_unknown_name_is_final_and_a_silent_name_server_is_not(
    error: int, expected: type[WorkError]
) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(error, "as the system puts it")

    with pytest.raises(expected, match=r"cannot resolve nowhere\.test: as the system puts it"):
        await fetch("http://nowhere.test/", resolve=resolve)


async def test_slow_name_server_is_under_the_deadline() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(FetchUnreachableError, match="HTTP_FETCH_TIMEOUT_SECONDS"):
        await fetch("http://slow.test/", resolve=resolve, timeout_seconds=0.1)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".test"])
async def test_impossible_name_is_refused(host: str) -> None:
    with pytest.raises(FetchRefusedError, match="not a host name"):
        await fetch(f"http://{host}/")


async def test_system_resolver_reads_the_hosts_file() -> None:
    assert "127.0.0.1" in await SystemResolver()("localhost", 80)


async def test_proxy_of_the_environment_is_ignored(odd_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await fetch(f"http://127.0.0.1:{odd_port}/ok"))["status"] == 200


async def test_tls_is_verified(tls_port: int, authority: trustme.CA) -> None:
    """The right authority and name pass; an unknown authority or another name is refused for good."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    names = Names(localhost=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    page = await fetch(f"https://localhost:{tls_port}/ok", tls=trusting, resolve=names)
    assert page["body"] == "Hello"
    with pytest.raises(FetchRefusedError, match=r"certificate of other\.test: .*other\.test"):
        await fetch(f"https://other.test:{tls_port}/ok", tls=trusting, resolve=names)
    with pytest.raises(FetchRefusedError, match=r"certificate of localhost: .*(self-signed|local issuer)"):
        await fetch(f"https://localhost:{tls_port}/ok", resolve=names)


async def test_server_without_tls_is_unreachable_by_https(odd_port: int) -> None:
    with pytest.raises(FetchUnreachableError, match="no TLS with"):
        await fetch(f"https://127.0.0.1:{odd_port}/ok")


async def test_connection_is_closed_when_the_handshake_is_cancelled(odd_port: int) -> None:
    before = descriptors()
    with trio.move_on_after(0.1):
        async with await connect("127.0.0.1", odd_port, LIMITS.allow, SystemResolver()):
            assert descriptors() == before + 1
            await trio.sleep_forever()
    assert descriptors() == before


@pytest.mark.parametrize("secure", [False, True])
def test_cancelled_at_any_step_a_fetch_leaves_no_descriptor(
    odd_port: int, tls_port: int, authority: trustme.CA, secure: bool
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    url = (
        f"https://localhost:{tls_port}/redirect?/chunked"
        if secure
        else f"http://127.0.0.1:{odd_port}/redirect?/chunked"
    )

    async def build() -> Scene:
        names = Names(localhost=[["127.0.0.1"]])
        before = descriptors()

        async def run() -> None:
            await fetch(url, resolve=names, tls=context)

        async def check(cancelled: bool) -> None:
            assert descriptors() == before

        return Scene(run, check)

    assert cancel_everywhere(build, real_time=True) > 10


async def test_ten_thousand_fetches_of_which_half_break_leave_no_descriptor(odd_port: int) -> None:
    """Brief 003's service failed with "too many open files" after such a run."""
    paths = ["/ok", "/big?200000", "/chunked", "/redirect?/ok"] * 2 + [*BREAKING[1:], "/silent"]
    left = iter(paths * (10_000 // len(paths)))
    before = descriptors()
    outcomes: Counter[str] = Counter()

    async def worker() -> None:
        for path in left:
            seconds = 0.1 if path == "/silent" else 30.0
            try:
                await fetch(f"http://127.0.0.1:{odd_port}{path}", timeout_seconds=seconds)
            except FetchUnreachableError:
                outcomes["failed"] += 1
            else:
                outcomes["fetched"] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(32):
            nursery.start_soon(worker)
    assert outcomes == {"fetched": 5000, "failed": 5000}
    assert descriptors() == before


@pytest.mark.parametrize("lack", [RuntimeError("can't start new thread"), OSError(24, "Too many open files")])
async def test_lack_of_threads_or_descriptors_is_tried_again(lack: Exception) -> None:
    """The job is not at fault: another attempt may succeed."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        raise lack

    with pytest.raises(FetchUnreachableError, match="cannot resolve nowhere"):
        await fetch("http://nowhere.test/", resolve=resolve)
