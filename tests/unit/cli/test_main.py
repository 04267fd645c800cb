"""The commands: exit codes, and what a user gets to see of an error."""

import io
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread

import attrs
import pytest
import trio

from loadtest_trio import __version__
from loadtest_trio.cli import check, run
from loadtest_trio.cli.main import main
from loadtest_trio.errors import (
    BackendUnavailableError,
    ConfigurationError,
    CredentialsError,
    LoadtestError,
    RedisRejectedError,
    RedisUnavailableError,
    S3DeniedError,
    SettingFault,
)
from loadtest_trio.settings import SETTINGS, Loaded

NEEDED = {"REDIS_ENDPOINT": "redis://localhost:1", "S3_BUCKET": "bucket"}
ROOT = Path(__file__).parents[2]
SECRET = "hunter2-s3cr3t"
ODD = LoadtestError("odd")


@attrs.frozen
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run a command in an environment of nothing but what is given."""

    def call(*arguments: str, **environ: str) -> Ended:
        with (
            monkeypatch.context() as patch,
            TemporaryFile("w+") as out,  # the log is written to its descriptor
            redirect_stdout(out),
            redirect_stderr(io.StringIO()) as err,
        ):
            for name in {info.name for info in SETTINGS} | {a for info in SETTINGS for a in info.aliases}:
                patch.delenv(name, raising=False)
            for name, value in environ.items():
                patch.setenv(name, value)
            try:
                code = main(arguments)
            except SystemExit as stop:
                code = int(stop.code or 0)
            out.seek(0)
            return Ended(code, out.read(), err.getvalue())

    return call


Serve = Callable[[Loaded, Mapping[str, str]], object]


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], list[Loaded]]:
    """Replace the service: it returns a code or raises an error, and notes what it was started with."""

    def replace(end: object) -> list[Loaded]:
        started: list[Loaded] = []

        async def serve(loaded: Loaded, environ: Mapping[str, str]) -> object:
            await trio.lowlevel.checkpoint()
            started.append(loaded)
            if isinstance(end, BaseException):
                raise end
            return end

        monkeypatch.setattr(run, "serve", serve)
        return started

    return replace


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (0, 0),
        (1, 1),
        (ConfigurationError([SettingFault("A", "1", "2", "x"), SettingFault("B", "1", "2", "x")]), 2),
        (CredentialsError("no credentials"), 2),
        (BackendUnavailableError("no Redis"), 3),
        (RedisUnavailableError("no Redis"), 3),
        (RedisRejectedError("wrong password"), 3),
        (S3DeniedError("denied"), 3),
        (ODD, 1),
        (ExceptionGroup("nursery", [ExceptionGroup("inner", [BackendUnavailableError("no Redis")])]), 3),
        (KeyboardInterrupt(), 0),
        (BaseExceptionGroup("nursery", [BaseExceptionGroup("inner", [KeyboardInterrupt()])]), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_exit_codes(
    command: Callable[..., Ended], serving: Callable[[object], list[Loaded]], end: object, code: int
) -> None:
    """Every end has its exit code, and every error is one line a fault, without a traceback."""
    serving(end)
    ended = command("run", **NEEDED)
    assert ended.code == code
    assert "Traceback" not in ended.err
    lines = ended.err.splitlines()
    faults = len(end.faults) if isinstance(end, ConfigurationError) else int(code > 1 or end is ODD)
    assert len(lines) == faults
    assert all(line.startswith("loadtest_trio: ") for line in lines)


@pytest.mark.parametrize("arguments", [(), ("run",)])
def test_run_is_the_default(
    command: Callable[..., Ended], serving: Callable[[object], list[Loaded]], arguments: tuple[str, ...]
) -> None:
    """Without a command the service runs."""
    started = serving(0)
    assert command(*arguments, **NEEDED).code == 0
    assert started[0].settings.s3_bucket == "bucket"


def test_options_without_a_command(
    command: Callable[..., Ended], serving: Callable[[object], list[Loaded]], tmp_path: object
) -> None:
    """Options alone are those of `run`."""
    started, file = serving(0), f"{tmp_path}/s.toml"
    with open(file, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a name is what the command takes
        stream.write("worker_concurrency = 3\n")
    assert command("--config", file, **NEEDED).code == 0
    assert started[0].settings.worker_concurrency == 3


def test_bad_settings_are_all_told(command: Callable[..., Ended]) -> None:
    """Every bad setting has a line with name, value and what is allowed; nothing is started; exit code 2."""
    ended = command("run", S3_BUCKET="NO", WORKER_CONCURRENCY="none", LOG_LEVEL="LOUD")
    assert ended.code == 2
    lines = ended.err.splitlines()
    assert len(lines) == 4
    given = {"REDIS_ENDPOINT": "", "S3_BUCKET": "NO", "WORKER_CONCURRENCY": "none", "LOG_LEVEL": "LOUD"}
    for name, value in given.items():
        (line,) = (line for line in lines if f" {name}=" in line)
        assert f"{name}={value!r}" in line
        assert "must be" in line


def test_config_shows_everything_but_secrets(command: Callable[..., Ended]) -> None:
    """Each setting stands there with value, source and meaning; passwords do not."""
    ended = command(
        "config",
        S3_BUCKET="bucket",
        REDIS_ENDPOINT=f"redis://user:{SECRET}@host:1/2",
        S3_ENDPOINT_URL="http://s3:1",
        WORKER_CONCURENCY="5",
    )
    assert ended.code == 0
    assert SECRET not in ended.out + ended.err
    assert "redis://***@host:1/2" in ended.out
    for info in SETTINGS:
        assert info.name in ended.out
        assert info.meaning.split()[0] in ended.out
    assert "did you mean WORKER_CONCURRENCY" in ended.err


def test_config_shows_what_there_is(command: Callable[..., Ended]) -> None:
    """Also where settings are missing or wrong the table is shown, then the faults, with exit code 2."""
    ended = command("config", WORKER_CONCURRENCY="none", LOG_LEVEL="DEBUG")
    assert ended.code == 2
    lines = {line.split()[0]: line for line in ended.out.splitlines()}
    assert lines.keys() >= {info.name for info in SETTINGS}
    assert "(fault)" in lines["WORKER_CONCURRENCY"]
    assert "(fault)" in lines["REDIS_ENDPOINT"]
    assert "DEBUG" in lines["LOG_LEVEL"]
    assert [line.split()[1].split("=")[0] for line in ended.err.splitlines()] == [
        "REDIS_ENDPOINT",
        "S3_BUCKET",
        "WORKER_CONCURRENCY",
    ]


def test_a_bad_secret_is_masked(command: Callable[..., Ended]) -> None:
    """A URL that cannot be used is reported without its password."""
    ended = command("config", S3_BUCKET="bucket", REDIS_ENDPOINT=f"http://:{SECRET}@host")
    assert ended.code == 2
    assert SECRET not in ended.out + ended.err
    assert "REDIS_ENDPOINT" in ended.err


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_check_asks_the_service(command: Callable[..., Ended], status: int, code: int) -> None:
    """`check` needs no backend's settings; it shows the answer and ends with 0 only if all is well."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/alive" else 500)
            self.end_headers()
            self.wfile.write(b'{"status": "?"}')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        port = str(server.server_port)
        environ = {"HEALTH_PORT": port, "HEALTH_ENDPOINT_PATH": "/alive", "HEALTH_HOST": "0.0.0.0"}
        ended = command("check", **environ)
        thread.join()
    assert ended.code == code
    assert ended.out == '{"status": "?"}\n'


def test_check_without_a_service(command: Callable[..., Ended]) -> None:
    """Without an answer the exit code is 1 and a line says where it asked."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    ended = command("check", HEALTH_PORT=str(port))
    assert ended.code == 1
    assert f"no answer from http://127.0.0.1:{port}/health" in ended.err


def test_check_reads_the_file_below_the_environment(command: Callable[..., Ended], tmp_path: Path) -> None:
    """Where it asks comes from the environment, then from --config, then from the defaults."""
    file = tmp_path / "s.toml"
    file.write_text('health_host = "localhost"\nhealth_port = 1\n')
    asked = command("check", "--config", str(file), HEALTH_PORT="2", HEALTH_ENDPOINT_PATH="")
    assert "no answer from http://localhost:2/health" in asked.err


@pytest.mark.parametrize(("port", "content"), [("http", ""), ("", "health_port =")])
def test_check_with_bad_settings(
    command: Callable[..., Ended], tmp_path: Path, port: str, content: str
) -> None:
    """A port that is none and a file that is no TOML are one line and exit code 2."""
    file = tmp_path / "s.toml"
    file.write_text(content)
    ended = command("check", "--config", str(file), HEALTH_PORT=port)
    assert ended.code == 2
    assert "cannot tell where to ask" in ended.err


def test_check_knows_the_defaults() -> None:
    """Its own copy of three defaults is what the settings say."""
    assert {
        info.name: info.default_text for info in SETTINGS if info.name in check.DEFAULTS
    } == check.DEFAULTS


def test_check_imports_next_to_nothing() -> None:
    """The health check runs on the CPU that is measured: none of the service's libraries is loaded for it."""
    code = "import sys; from loadtest_trio.cli.main import main; main(['check']); print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"HEALTH_PORT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ended.stdout.split())
    assert not loaded & {"trio", "httpx", "numpy", "redis", "quart", "attrs", "attr", "cattrs", "tomllib"}
    assert {name for name in loaded if name.startswith("loadtest_trio.")} == {
        f"loadtest_trio.{name}"
        for name in ("cli", "cli.main", "cli.check", "cli.exits", "http", "http.address")
    }


@pytest.mark.parametrize("name", ["run", "check", "config", "preflight", "dead", "tune", "report", "compare"])
def test_every_command_explains_itself(command: Callable[..., Ended], name: str) -> None:
    """A command's own help says what it is for, in the words of the list of commands."""
    meaning = import_module(f"loadtest_trio.cli.{name}").MEANING
    for shown in (command(name, "--help"), command("--help")):
        assert shown.code == 0
        assert meaning in " ".join(shown.out.split())


def test_version_and_help(command: Callable[..., Ended]) -> None:
    """The version and the list of commands can be asked for."""
    assert command("--version").out == f"loadtest_trio {__version__}\n"
    shown = command("--help")
    assert shown.code == 0
    for name in ("run", "check", "config", "dead"):
        assert name in shown.out


def test_an_unknown_command(command: Callable[..., Ended]) -> None:
    """A command that does not exist is a usage error."""
    ended = command("fly")
    assert ended.code == 2
    assert "fly" in ended.err


def test_the_module_is_the_command() -> None:
    """`python -m loadtest_trio` is the same."""
    ended = subprocess.run(
        [sys.executable, "-m", "loadtest_trio", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == f"loadtest_trio {__version__}\n"


def test_a_missing_authority_file_is_bad_configuration(command: Callable[..., Ended], tmp_path: Path) -> None:
    """`rediss://` with a file that is not there: exit code 2 at once, one line with the file's name."""
    missing = tmp_path / "no-such-ca.pem"
    address = f"rediss://:{SECRET}@h?ssl_ca_certs={missing}"
    ended = command("run", REDIS_ENDPOINT=address, S3_BUCKET="bucket", HEALTH_PORT="0")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert str(missing) in ended.err
    assert SECRET not in ended.err
