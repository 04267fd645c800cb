"""The commands: exit codes and error messages."""

import gc
import io
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
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
from loadtest_trio.backends.embedded.ports import free_ports
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
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ended]]:
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

    thresholds = gc.get_threshold()
    yield call
    gc.unfreeze()
    gc.set_threshold(*thresholds)


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
def test_every_end_has_its_exit_code(
    command: Callable[..., Ended], serving: Callable[[object], list[Loaded]], end: object, code: int
) -> None:
    """Every end has its exit code, and errors are reported one line per fault, without a traceback."""
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
    """Without a command, `run` is executed."""
    started = serving(0)
    assert command(*arguments, **NEEDED).code == 0
    assert started[0].settings.s3_bucket == "bucket"


def test_run_spares_the_collector(command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there at the start is never collected, and new objects seldom: a full collection is a pause."""
    seen: list[tuple[int, int]] = []

    async def serve(*_: object) -> int:
        await trio.lowlevel.checkpoint()
        seen.append((gc.get_threshold()[0], gc.get_freeze_count()))
        return 0

    monkeypatch.setattr(run, "serve", serve)
    command("run", **NEEDED)
    ((young, frozen),) = seen
    assert young == 10_000
    assert frozen > 10_000


def test_options_without_command_belong_to_run(
    command: Callable[..., Ended], serving: Callable[[object], list[Loaded]], tmp_path: object
) -> None:
    """Options without a command are those of `run`."""
    started, file = serving(0), f"{tmp_path}/s.toml"
    with open(file, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a name is what the command takes
        stream.write("worker_concurrency = 3\n")
    assert command("--config", file, **NEEDED).code == 0
    assert started[0].settings.worker_concurrency == 3


def test_all_bad_settings_are_reported(command: Callable[..., Ended]) -> None:
    """Every bad setting gets a line with name, value and allowed values; nothing starts; exit code 2."""
    ended = command("run", S3_BUCKET="NO", WORKER_CONCURRENCY="none", LOG_LEVEL="LOUD")
    assert ended.code == 2
    lines = ended.err.splitlines()
    assert len(lines) == 4
    given = {"REDIS_ENDPOINT": "", "S3_BUCKET": "NO", "WORKER_CONCURRENCY": "none", "LOG_LEVEL": "LOUD"}
    for name, value in given.items():
        (line,) = (line for line in lines if f" {name}=" in line)
        assert f"{name}={value!r}" in line
        assert "must be" in line


def test_config_shows_all_settings_without_secrets(command: Callable[..., Ended]) -> None:
    """Every setting is shown with value, source and meaning; passwords are not."""
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


def test_config_shows_table_despite_faults(command: Callable[..., Ended]) -> None:
    """If settings are missing or wrong, the table is still shown, then the faults; exit code 2."""
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


def test_bad_secret_is_masked(command: Callable[..., Ended]) -> None:
    """An invalid URL is reported without its password."""
    ended = command("config", S3_BUCKET="bucket", REDIS_ENDPOINT=f"http://:{SECRET}@host")
    assert ended.code == 2
    assert SECRET not in ended.out + ended.err
    assert "REDIS_ENDPOINT" in ended.err


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_check_reports_health(command: Callable[..., Ended], status: int, code: int) -> None:
    """`check` needs no settings of the backends; it prints the answer and exits with 0 only if healthy."""

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


def test_check_without_service_fails(command: Callable[..., Ended]) -> None:
    """Without an answer the exit code is 1, and a line names the address."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    ended = command("check", HEALTH_PORT=str(port))
    assert ended.code == 1
    assert f"no answer from http://127.0.0.1:{port}/health" in ended.err


def test_check_prefers_environment_to_file(command: Callable[..., Ended], tmp_path: Path) -> None:
    """The address comes from the environment, then --config, then the defaults."""
    file = tmp_path / "s.toml"
    file.write_text('health_host = "localhost"\nhealth_port = 1\n')
    asked = command("check", "--config", str(file), HEALTH_PORT="2", HEALTH_ENDPOINT_PATH="")
    assert "no answer from http://localhost:2/health" in asked.err


@pytest.mark.parametrize(("port", "content"), [("http", ""), ("", "health_port =")])
def test_check_with_bad_settings_is_bad_configuration(
    command: Callable[..., Ended], tmp_path: Path, port: str, content: str
) -> None:
    """An invalid port or a file that is not TOML gives one line and exit code 2."""
    file = tmp_path / "s.toml"
    file.write_text(content)
    ended = command("check", "--config", str(file), HEALTH_PORT=port)
    assert ended.code == 2
    assert "cannot tell where to ask" in ended.err


def test_check_has_the_same_defaults() -> None:
    """Its own copy of three defaults agrees with the settings."""
    assert {
        info.name: info.default_text for info in SETTINGS if info.name in check.DEFAULTS
    } == check.DEFAULTS


def test_check_imports_no_library_of_the_service() -> None:
    """The health check runs on the measured CPU, so it loads none of the service's libraries."""
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
def test_every_command_has_help(command: Callable[..., Ended], name: str) -> None:
    """A command's help starts with its line in the list of commands."""
    meaning = import_module(f"loadtest_trio.cli.{name}").MEANING
    for shown in (command(name, "--help"), command("--help")):
        assert shown.code == 0
        assert meaning in " ".join(shown.out.split())


def test_version_and_help(command: Callable[..., Ended]) -> None:
    """`--version` and `--help` print the version and the list of commands."""
    assert command("--version").out == f"loadtest_trio {__version__}\n"
    shown = command("--help")
    assert shown.code == 0
    for name in ("run", "check", "config", "dead"):
        assert name in shown.out


def test_unknown_command_is_usage_error(command: Callable[..., Ended]) -> None:
    """An unknown command is a usage error."""
    ended = command("fly")
    assert ended.code == 2
    assert "fly" in ended.err


def test_module_runs_the_command() -> None:
    """`python -m loadtest_trio` runs the command line."""
    ended = subprocess.run(
        [sys.executable, "-m", "loadtest_trio", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == f"loadtest_trio {__version__}\n"


def test_missing_authority_file_is_bad_configuration(command: Callable[..., Ended], tmp_path: Path) -> None:
    """`rediss://` with a missing CA file: exit code 2 at once, one line with the file's name."""
    missing = tmp_path / "no-such-ca.pem"
    address = f"rediss://:{SECRET}@h?ssl_ca_certs={missing}"
    ended = command("run", REDIS_ENDPOINT=address, S3_BUCKET="bucket", HEALTH_PORT="0")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert str(missing) in ended.err
    assert SECRET not in ended.err


def test_users_of_an_address_where_nobody_listens(command: Callable[..., Ended]) -> None:
    """Exit code 3 at once and one line that names the option, instead of a verdict on nothing."""
    (port,) = free_ports(1)
    ended = command("users", "-H", f"http://127.0.0.1:{port}", "-u", "1", "-t", "1s", "--output", "none")
    assert ended.code == 3
    assert ended.err == (
        f"loadtest_trio: http://127.0.0.1:{port} cannot be reached: Connection refused; check --host\n"
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:port", "ftp://127.0.0.1", "http://"])
def test_users_of_something_that_is_no_address(command: Callable[..., Ended], url: str) -> None:
    ended = command("users", "-H", url, "-u", "1", "-t", "1s", "--output", "none")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "--host" in ended.err
    assert "dashboard" not in ended.out + ended.err


@pytest.mark.parametrize("flag", ["--seconds", "--objective-p99-ms", "--start"])
@pytest.mark.parametrize("value", ["nan", "inf", "0", "-5", "soon", "\u00b2", "1e999"])
def test_search_without_a_length_or_goal_is_a_usage_error(
    command: Callable[..., Ended], flag: str, value: str
) -> None:
    """A search needs a finite number above 0 wherever it takes one."""
    ended = command("tune", flag, value)
    assert ended.code == 2
    assert f"{flag}: give a number above 0" in ended.err


def test_number_of_dead_letters_to_list_has_a_bound(command: Callable[..., Ended]) -> None:
    """A number beyond Redis's is a usage error and no fault of Redis."""
    assert "must be 1 or more" in command("dead", "list", "--limit", "9" * 30).err


@pytest.mark.parametrize("name", ["report", "compare"])
def test_path_that_no_file_can_have_is_one_line(
    command: Callable[..., Ended], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is too long is an error of the files, like a missing one."""
    monkeypatch.setattr("loadtest_trio.cli.main.discard_output", lambda: None)
    ended = command(name, "x" * 5000, "y" * 5000)
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
