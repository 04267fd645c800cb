"""The dashboard's routes: what they serve, and to whom."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from quart.typing import TestClientProtocol as Client
from quart_trio import QuartTrio

from loadtest_trio.backends.redis import DeadLetter, dead_record
from loadtest_trio.errors import RedisUnavailableError
from loadtest_trio.web.dashboard import Access, Control, Hub, add_dashboard
from loadtest_trio.web.dashboard import routes as dashboard_routes
from tests.support.log_lines import LogLines

TOKEN = "correct-horse"


@attrs.frozen
class Letter:
    """One dead letter."""

    id: str
    operation: str = "READ"
    key: str = "loadtest/a.txt"
    attempts: int = 4
    error: str = "S3 said 503"
    time: float = 1_790_000_000.0


class Dead:
    """A dead list in memory, that can go away."""

    def __init__(self) -> None:
        self.letters = [Letter("a"), Letter("b")]
        self.requeued: list[str] = []
        self.away = False

    async def count(self) -> int:
        """Return how many there are."""
        if self.away:
            raise RedisUnavailableError("Redis at host: refused")
        return len(self.letters)

    async def page(self, offset: int = 0, limit: int = 100) -> list[Letter]:
        """Return some."""
        return self.letters[offset : offset + limit]

    async def requeue(self, id: str) -> bool:  # noqa: A002  # what the record calls it
        """Take one off."""
        found = await self.delete(id)
        if found:
            self.requeued.append(id)
        return found

    async def delete(self, id: str) -> bool:  # noqa: A002  # what the record calls it
        """Take one off."""
        await self.count()
        before = len(self.letters)
        self.letters = [letter for letter in self.letters if letter.id != id]
        return len(self.letters) < before


class Service:
    """The application with something to control."""

    def __init__(self, token: str = "", local: bool = True) -> None:
        self.rate = 100.0
        self.dead = Dead()
        self.hub = Hub()
        self.app = QuartTrio("test", static_folder=None)
        access = Access(token, local)
        controls = [Control("rate", "Rate", "field", self.set_rate, lambda: f"{self.rate:g}")]
        add_dashboard(self.app, self.hub, access, dead=self.dead, controls=controls)

    def set_rate(self, value: str) -> None:
        """Take a rate, as a setting would."""
        try:
            self.rate = float(value)
        except ValueError:
            raise ValueError("a number") from None

    def visitor(self, address: str = "127.0.0.1", host: str = "127.0.0.1:8080", **headers: str) -> "Visitor":
        """Return somebody who comes from an address."""
        return Visitor(self.app.test_client(), address, {"Host": host, **headers})


@attrs.frozen
class Visitor:
    """Who asks, from where."""

    client: Client
    address: str
    headers: dict[str, str]

    async def get(self, path: str) -> Any:
        """Read."""
        return await self.client.get(path, headers=self.headers, scope_base={"client": (self.address, 1)})

    async def post(self, path: str, body: Any = None) -> Any:
        """Change something."""
        scope = {"client": (self.address, 1)}
        return await self.client.post(path, json=body or {}, headers=self.headers, scope_base=scope)


@pytest.fixture
def service(log_lines: LogLines) -> Iterator[Service]:
    """A service on loopback without a token."""
    return Service()  # type: ignore[return-value] # the fixture needs the log caught first, nothing more


async def test_the_page_and_its_files(service: Service) -> None:
    """The page names files that exist, and nothing of another server."""
    page = await (await service.visitor().get("/")).get_data(as_text=True)
    assert "loadtest_trio" in page
    assert "http://" not in page
    assert "https://" not in page
    for name in ("main.js", "style.css", "icon.svg", "chart.js"):
        response = await service.visitor().get(f"/static/{name}")
        assert response.status_code == 200
        etag = response.headers["ETag"]
        again = await service.visitor(**{"If-None-Match": etag}).get(f"/static/{name}")
        assert again.status_code == 304
    for name in ("none.js", "../hub.py", "%2e%2e/hub.py"):
        assert (await service.visitor().get(f"/static/{name}")).status_code == 404


async def test_charts_come_out_of_the_installed_package(service: Service) -> None:
    """The page's script is plotly's own file, to be kept for good under an address with its version."""
    page = await (await service.visitor().get("/")).get_data(as_text=True)
    address = page.split('<script defer src="')[1].split('"')[0]
    response = await service.visitor(Range="bytes=0-199").get(f"/{address}")
    assert response.status_code == 206
    assert "immutable" in response.headers["Cache-Control"]
    assert int(response.headers["Content-Range"].rpartition("/")[2]) > 1_000_000
    assert b"plotly.js" in await response.get_data()


async def test_without_the_extra_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plotly: no script, and one line that helps."""
    monkeypatch.setattr(dashboard_routes, "find_plotly", lambda: None)
    page = await (await Service().visitor().get("/")).get_data(as_text=True)
    assert "pip install 'loadtest-trio[dashboard]'" in page
    assert "plotly-" not in page


LOOK = [
    # token set, listens on loopback only, address, Host, may look
    (False, True, "127.0.0.1", "127.0.0.1:8080", True),
    (False, True, "127.0.0.1", "localhost:8080", True),
    (False, True, "::1", "[::1]:8080", True),
    (False, True, "127.0.0.1", "evil.example:8080", False),  # DNS rebinding
    (False, False, "10.0.0.7", "service.internal:8080", True),
    (True, False, "127.0.0.1", "127.0.0.1:8080", False),
]


@pytest.mark.parametrize(("token", "local", "address", "host", "expected"), LOOK)
async def test_who_may_look(token: bool, local: bool, address: str, host: str, expected: bool) -> None:
    """The page, the stream and the dead list follow one rule."""
    service = Service(TOKEN if token else "", local)
    service.hub.close()  # a stream would not end
    visitor = service.visitor(address, host)
    page = await (await visitor.get("/")).get_data(as_text=True)
    assert ('id="glance"' in page) is expected
    assert ((await visitor.get("/events")).status_code == 503) is expected
    assert ((await visitor.get("/dead")).status_code == 200) is expected


CONTROL = [
    ({}, "127.0.0.1", "127.0.0.1:8080", True),
    ({"Origin": "http://127.0.0.1:8080"}, "127.0.0.1", "127.0.0.1:8080", True),
    ({"Origin": "http://evil.example"}, "127.0.0.1", "127.0.0.1:8080", False),
    ({"Origin": "null"}, "127.0.0.1", "127.0.0.1:8080", False),
    ({"Origin": "http://["}, "127.0.0.1", "127.0.0.1:8080", False),
    ({}, "127.0.0.1", "evil.example", False),
    ({}, "10.0.0.7", "127.0.0.1:8080", False),
    ({"X-Forwarded-For": "10.0.0.7"}, "127.0.0.1", "127.0.0.1:8080", False),
]


@pytest.mark.parametrize(("headers", "address", "host", "expected"), CONTROL)
async def test_who_may_control_without_a_token(
    headers: dict[str, str], address: str, host: str, expected: bool, log_lines: LogLines
) -> None:
    """Only who sits at this machine, on our own page."""
    service = Service(local=False)
    response = await service.visitor(address, host, **headers).post("/controls/rate", {"value": 7})
    assert response.status_code == (200 if expected else 403)
    assert service.rate == (7 if expected else 100)
    retried = await service.visitor(address, host, **headers).post("/dead/a/retry")
    assert retried.status_code == (200 if expected else 403)


async def test_a_plain_form_of_another_page_controls_nothing(service: Service) -> None:
    """What is not JSON, as any page may send it, is refused."""
    client = service.app.test_client()
    response = await client.post(
        "/controls/rate",
        form={"value": "7"},
        headers={"Host": "127.0.0.1"},
        scope_base={"client": ("127.0.0.1", 1)},
    )
    assert (response.status_code, service.rate) == (403, 100)


async def test_the_token_opens_everything(log_lines: LogLines) -> None:
    """As a bearer for programs; as a cookie that is not the token for browsers."""
    service = Service(TOKEN, local=False)
    bearer = service.visitor("10.0.0.7", "host", Authorization=f"Bearer {TOKEN}")
    assert (await bearer.post("/controls/rate", {"value": 7})).status_code == 200
    wrong = service.visitor("10.0.0.7", "host", Authorization="Bearer wrong")
    assert (await wrong.post("/controls/rate", {"value": 8})).status_code == 403
    for token, admitted in (("wrong", False), (TOKEN, True)):
        client = service.app.test_client()
        answer = await client.post("/login", form={"token": token})
        assert answer.status_code == 303
        assert TOKEN not in str(answer.headers)
        page = await (await client.get("/")).get_data(as_text=True)
        assert ('id="glance"' in page) is admitted


async def test_controls_are_shown_only_to_who_may_use_them(service: Service) -> None:
    """Others get an empty list, not an error: their page shows none."""
    shown = await (await service.visitor().get("/controls")).get_json()
    assert [(each["name"], each["value"]) for each in shown["controls"]] == [("rate", "100")]
    none = await service.visitor("10.0.0.7").get("/controls")
    assert (none.status_code, await none.get_json()) == (200, {"controls": []})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/controls/rate", {"value": "fast"}, 400),
        ("/controls/rate", {"value": [1]}, 400),
        ("/controls/rate", [], 400),
        ("/controls/none", {"value": 1}, 404),
    ],
)
async def test_what_cannot_be_is_refused(service: Service, path: str, body: Any, status: int) -> None:
    """With one line that says what it must be, and nothing has changed."""
    response = await service.visitor().post(path, body)
    assert response.status_code == status
    assert (await response.get_json())["error"]
    assert service.rate == 100


async def test_each_use_is_logged(service: Service, log_lines: LogLines) -> None:
    """A control's name, its value and what it was before; a dead letter's id."""
    await service.visitor().post("/controls/rate", {"value": "250"})
    await service.visitor().post("/dead/a/retry")
    await service.visitor().post("/dead/b/delete")
    used = [(line["control"], line["value"], line.get("before")) for line in log_lines.of("control_used")]
    assert used == [
        ("rate", "250", "100"),
        ("dead_letter_retry", "a", None),
        ("dead_letter_delete", "b", None),
    ]
    assert (service.dead.requeued, service.dead.letters) == (["a"], [])


async def test_dead_letters(service: Service) -> None:
    """They are listed with reason and count; one that is gone is said so; without Redis it is 503."""
    listed = await (await service.visitor().get("/dead?limit=1")).get_json()
    assert (listed["count"], [letter["id"] for letter in listed["letters"]]) == (2, ["a"])
    assert (await service.visitor().post("/dead/none/retry")).status_code == 404
    service.dead.away = True
    assert (await service.visitor().get("/dead")).status_code == 503
    assert (await service.visitor().post("/dead/a/delete")).status_code == 503


async def test_nobody_frames_the_page(service: Service) -> None:
    """The page runs only its own scripts, and in no other page."""
    policy = (await service.visitor().get("/")).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_dead_letters_of_any_bytes_are_shown() -> None:
    """What could not be read as a message is on the dead list, and must not break the page that shows it."""
    odd = [
        b"",
        b"\xff\xfe{",
        b"null",
        b'{"id":"\\ud800"}',
        b'{"id":"\\u0000","operation":"READ","key":"k"}',
    ]
    records = [dead_record(element, error="unreadable \ud800", attempts=1, time=1.0) for element in odd]
    service = Service()
    service.dead.letters = [DeadLetter.parse(record) for record in records]  # type: ignore[misc]
    answer = await service.visitor().get("/dead")
    shown = (await answer.get_json())["letters"]
    assert (answer.status_code, len({letter["id"] for letter in shown})) == (200, len(odd))
