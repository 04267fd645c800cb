"""Settings: all faults at once; environment before file before default; no secret is ever shown."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from loadtest_trio.errors import ConfigurationError, SettingFault
from loadtest_trio.jobs.message import Operation
from loadtest_trio.settings import SETTINGS, LogLevel, Role, SchedulerMode, Settings, load

NEEDED = {"REDIS_ENDPOINT": "redis://localhost:6379", "S3_BUCKET": "my-bucket"}


def faults(environ: dict[str, str], file: Path | None = None) -> dict[str, SettingFault]:
    """Return the faults of a configuration that cannot be used, by name."""
    with pytest.raises(ConfigurationError) as caught:
        load(environ, file)
    return {fault.name: fault for fault in caught.value.faults}


def toml(folder: Path, text: str) -> Path:
    """Write a file of settings."""
    path = folder / "settings.toml"
    path.write_text(text)
    return path


BAD: dict[str, tuple[str, ...]] = {
    "REDIS_ENDPOINT": ("localhost:6379", "http://host", "redis://", "redis://host:port", "redis://host:0"),
    "S3_BUCKET": ("A", "ab", "Has-Capitals", "-dash", "x" * 64, "a/b"),
    "S3_PREFIX": ("/absolute", "x" * 201, "two\nlines"),
    "S3_ENDPOINT_URL": ("localhost:8333", "ftp://host", "http://", "https://xn--zz"),
    "S3_CREATE_BUCKET": ("maybe", "2"),
    "S3_TRANSPORT": ("pigeon",),
    "MAX_OBJECT_BYTES": ("0", "-1", "64MB"),
    "AWS_REGION": ("EU", "eu_central_1", "x"),
    "STARTUP_TIMEOUT_SECONDS": ("0", "soon", "nan"),
    "STEADY_STATE_DISTRIBUTION": (
        "READ",
        "READ:1:2",
        "READ:x",
        "ERASE:5",
        "READ:-1",
        "READ:0",
        "READ:inf",
        "READ:1e308,UPDATE:1e308",
        "READ:50,READ:20",
    ),
    "SCHEDULER_MODE": ("fast",),
    "SCHEDULER_MESSAGES_PER_SECOND": ("0", "-1", "many", "inf"),
    "SCHEDULER_INTERVAL_SECONDS": ("0", "0.001", "-1"),
    "SCHEDULER_TARGET_QUEUE_LENGTH": ("0", "10000001", "1.5"),
    "MAX_QUEUE_LENGTH": ("0", "-5", "1e3"),
    "PRECONDITION_MIN_OBJECTS": ("0", "x"),
    "PRECONDITION_MAX_OBJECTS": ("0", "x"),
    "INVENTORY_RECONCILE_SECONDS": ("0", "0.5"),
    "MIN_FILE_UUIDS": ("0", "1000001"),
    "MAX_FILE_UUIDS": ("0", "1000001"),
    "MIN_FILE_SIZE_BYTES": ("36", "37000001"),
    "MAX_FILE_SIZE_BYTES": ("36", "37000001"),
    "RANDOM_SEED": ("-1", "x"),
    "ROLES": ("boss", "scheduler,", "scheduler;worker"),
    "QUEUE_NAME": ("{q}", "with space", "x" * 101),
    "WORKER_CONCURRENCY": ("0", "4097", "ten"),
    "MAX_RETRIES": ("-1", "101"),
    "MAX_DELIVERIES": ("0", "101"),
    "CONSUMER_TTL_SECONDS": ("0", "0.9"),
    "API_PORT": ("-1", "65536"),
    "API_SERVER": ("uvicorn",),
    "API_TOKEN": ("***",),
    "API_DRAIN_SECONDS": ("-1", "soon"),
    "API_MAX_CONNECTIONS": ("0",),
    "API_MAX_BODY_BYTES": ("100", "1MB"),
    "JOB_RATE_LIMIT_PER_MINUTE": ("-1", "many"),
    "JOB_TTL_SECONDS": ("0", "day"),
    "JOB_ARCHIVE": ("disk",),
    "JOB_INLINE_RESULT_BYTES": ("-1", "1048577"),
    "JOB_WAIT_REPLICAS": ("-1", "11"),
    "JOB_MAX_SECONDS": ("0", "long"),
    "JOB_RETRY_BASE_SECONDS": ("-1", "soon"),
    "COMPUTE_PROCESSES": ("0", "257", "auto"),
    "FACTORIAL_MAX_N": ("0", "1000001"),
    "SHA512_MAX_ITERATIONS": ("0", "10000000001"),
    "HTTP_FETCH_ALLOW": ("10.0.0.1/8", "host:port", "http://host", "127.0.0.1,*"),
    "HTTP_FETCH_MAX_BYTES": ("-1", "67108865", "5MB"),
    "HTTP_FETCH_TIMEOUT_SECONDS": ("0", "soon"),
    "HTTP_FETCH_MAX_REDIRECTS": ("-1", "51"),
    "RUN_DURATION_SECONDS": ("-1", "forever"),
    "MAX_COST_USD": ("-1", "a lot"),
    "SHUTDOWN_GRACE_SECONDS": ("-1",),
    "HEALTH_PORT": ("-1", "65536", "http"),
    "HEALTH_ENDPOINT_PATH": ("health", "/a b", "/a?b"),
    "HEALTH_STALL_SECONDS": ("0",),
    "DASHBOARD": ("maybe",),
    "DASHBOARD_TOKEN": ("***",),  # shown as every value of it is
    "METRICS_ENDPOINT": ("maybe",),
    "LOG_INTERVAL_SECONDS": ("0", "0.05"),
    "LOG_LEVEL": ("LOUD",),
    "LOG_FORMAT": ("xml",),
    "METRICS_FORMAT": ("prometheus",),
    "METRICS_NAMESPACE": ("with space", "x" * 256),
}
ANYTHING_GOES = {"API_HOST", "HEALTH_HOST"}


def test_token_is_never_shown() -> None:
    """Neither a valid nor an invalid token is shown."""
    (fault,) = faults({**NEEDED, "DASHBOARD_TOKEN": "short"}).values()
    assert "short" not in str(fault)
    settings = load({**NEEDED, "DASHBOARD_TOKEN": "correct-horse"}).settings
    assert "correct-horse" not in repr(settings)
    info = next(info for info in SETTINGS if info.name == "DASHBOARD_TOKEN")
    assert info.shown(settings.dashboard_token) == "***"


def test_every_setting_has_a_bad_value() -> None:
    """These tests cover every setting."""
    assert {info.name for info in SETTINGS} == BAD.keys() | ANYTHING_GOES


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_bad_value_is_reported(name: str, value: str) -> None:
    """A bad value is reported with name, value, allowed values and source; nothing else is."""
    found = faults({**NEEDED, name: value})
    fault = found.pop(name)
    assert fault.value == value
    assert fault.source == "environment"
    assert fault.allowed == next(info.allowed for info in SETTINGS if info.name == name)
    assert not {twin for twin in found if not twin.endswith("_SIZE_BYTES")}


def test_all_faults_are_reported_at_once() -> None:
    """One call reports every bad setting, including missing required ones."""
    found = faults({name: values[0] for name, values in BAD.items() if name != "S3_BUCKET"})
    assert found.keys() >= BAD.keys()
    assert found["S3_BUCKET"].source == "not set"


def test_missing_required_settings_are_reported() -> None:
    """An empty environment lacks exactly the required settings."""
    assert faults({}).keys() == {info.name for info in SETTINGS if info.required} == set(NEEDED)


def test_unneeded_setting_may_be_missing() -> None:
    """``dead`` needs no bucket."""
    loaded = load({"REDIS_ENDPOINT": "redis://h"}, unneeded=frozenset(["S3_BUCKET"]))
    assert loaded.settings.s3_bucket == ""


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("PRECONDITION_MIN_OBJECTS", "PRECONDITION_MAX_OBJECTS"),
        ("MIN_FILE_UUIDS", "MAX_FILE_UUIDS"),
        ("MIN_FILE_SIZE_BYTES", "MAX_FILE_SIZE_BYTES"),
    ],
)
def test_crossed_bounds_are_a_fault(low: str, high: str) -> None:
    """A lower bound above its upper bound is a fault that names both; equal bounds are valid."""
    fault = faults({**NEEDED, low: "200", high: "100"})[low]
    assert (fault.value, fault.allowed) == ("200", f"at most {high}, which is 100")
    load({**NEEDED, low: "100", high: "100"})


def test_bound_is_compared_with_default_of_the_other() -> None:
    """A single bound is compared with the other one's default."""
    assert faults({**NEEDED, "MIN_FILE_UUIDS": "20000"})["MIN_FILE_UUIDS"].allowed.endswith("10000")


@pytest.mark.parametrize("name", ["MIN_FILE_SIZE_BYTES", "MAX_FILE_SIZE_BYTES"])
def test_sizes_in_bytes_come_in_pairs(name: str) -> None:
    """A size in bytes without the other bound is a fault of the missing one."""
    twin = {"MIN": "MAX", "MAX": "MIN"}[name[:3]] + name[3:]
    assert faults({**NEEDED, name: "1000"})[twin].allowed == f"set together with {name}"


def test_defaults_apply() -> None:
    """With only the required settings, all others have their documented defaults."""
    loaded = load(NEEDED)
    for info in SETTINGS:
        assert info.required or info.shown(getattr(loaded.settings, info.name.lower())) == info.default_text
        assert loaded.sources[info.name] == ("environment" if info.required else "default")
    assert loaded.warnings == ()


def test_environment_overrides_file_overrides_default(tmp_path: Path) -> None:
    """Each value comes from the first source that has one, and the source is reported."""
    file = toml(
        tmp_path, 'worker_concurrency = 5\nmax_retries = 7\nlog_level = "debug"\ns3_create_bucket = true\n'
    )
    loaded = load({**NEEDED, "WORKER_CONCURRENCY": "9"}, file)
    settings, sources = loaded.settings, loaded.sources
    assert (settings.worker_concurrency, settings.max_retries, settings.max_deliveries) == (9, 7, 5)
    assert (settings.log_level, settings.s3_create_bucket) == (LogLevel.DEBUG, True)
    assert sources["WORKER_CONCURRENCY"] == "environment"
    assert sources["MAX_RETRIES"] == "file settings.toml"
    assert sources["MAX_DELIVERIES"] == "default"


def test_embedded_values_override_everything() -> None:
    """Values of the embedded backends override all other sources."""
    loaded = load(
        {**NEEDED, "S3_ENDPOINT_URL": "http://other"}, None, {"S3_ENDPOINT_URL": "http://127.0.0.1:1"}
    )
    assert loaded.settings.s3_endpoint_url == "http://127.0.0.1:1"
    assert loaded.sources["S3_ENDPOINT_URL"] == "embedded"


def test_aliases_are_used_in_order() -> None:
    """The AWS names are used after ours, in order, and reported as the source."""
    everything = {
        **NEEDED,
        "AWS_ENDPOINT_URL": "http://c",
        "AWS_ENDPOINT_URL_S3": "http://b",
        "S3_ENDPOINT_URL": "http://a",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    for name, value in (("S3_ENDPOINT_URL", "a"), ("AWS_ENDPOINT_URL_S3", "b"), ("AWS_ENDPOINT_URL", "c")):
        loaded = load(everything)
        assert loaded.settings.s3_endpoint_url == f"http://{value}"
        assert loaded.sources["S3_ENDPOINT_URL"].endswith(
            name if name != "S3_ENDPOINT_URL" else "environment"
        )
        del everything[name]
    assert load(everything).settings.aws_region == "eu-west-1"
    assert load(everything).settings.s3_endpoint_url == ""


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_empty_means_unset(empty: str) -> None:
    """An empty variable counts as unset: for a default, an alias and a required setting."""
    loaded = load(
        {**NEEDED, "WORKER_CONCURRENCY": empty, "AWS_REGION": empty, "AWS_DEFAULT_REGION": "eu-west-1"}
    )
    assert (loaded.settings.worker_concurrency, loaded.settings.aws_region) == (10, "eu-west-1")
    assert faults({**NEEDED, "S3_BUCKET": empty})["S3_BUCKET"].source == "not set"


def test_blanks_around_a_value_are_stripped() -> None:
    """Blanks before or after a value, as in an env file, are ignored."""
    padded = {name: f" {value}\n" for name, value in {**NEEDED, "SCHEDULER_MODE": "Saturate"}.items()}
    settings = load({**padded, "WORKER_CONCURRENCY": " 7 ", "ROLES": " worker "}).settings
    assert (settings.redis_endpoint, settings.s3_bucket) == tuple(NEEDED.values())
    assert (settings.scheduler_mode, settings.worker_concurrency) == (SchedulerMode.SATURATE, 7)
    assert settings.roles == {Role.WORKER}


def test_typing_errors_give_warnings() -> None:
    """A variable close to one of ours is reported with the nearest name; others are ignored."""
    foreign = {"PATH": "/bin", "HOME": "/", "REDIS_HOST": "x", "AWS_ACCESS_KEY_ID": "x", "LOG_DIR": "x"}
    loaded = load({**NEEDED, **foreign, "WORKER_CONCURENCY": "5", "S3_BUCKETT": "b"})
    assert loaded.warnings == (
        "unknown variable S3_BUCKETT: did you mean S3_BUCKET?",
        "unknown variable WORKER_CONCURENCY: did you mean WORKER_CONCURRENCY?",
    )


def test_unknown_keys_of_a_file_are_faults(tmp_path: Path) -> None:
    """An unknown key in a settings file is a fault, with the nearest name."""
    found = faults(NEEDED, toml(tmp_path, "worker_concurency = 5\nzzz = 1\n[table]\nx = 1\n"))
    assert found["worker_concurency"].allowed == "a known setting; the nearest is worker_concurrency"
    assert found.keys() == {"worker_concurency", "zzz", "table"}


@pytest.mark.parametrize(
    "text",
    ["worker_concurrency", "a = [", "x = 1\nx = 2", "max_retries = " + "9" * 5000, "roles = " + "[" * 5000],
    ids=["syntax", "open", "twice", "digits", "depth"],
)
def test_invalid_toml_is_a_fault(tmp_path: Path, text: str) -> None:
    """A file that is not TOML is a fault of --config, reported with all others."""
    found = faults({**NEEDED, "MAX_RETRIES": "x"}, toml(tmp_path, text))
    assert found.keys() == {"--config", "MAX_RETRIES"}


def test_unreadable_file_is_a_fault(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are not text are faults of --config."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.toml", tmp_path, tmp_path / "binary"):
        assert faults(NEEDED, path).keys() == {"--config"}


@pytest.mark.parametrize(
    "text",
    [
        "scheduler_messages_per_second = 1" + "0" * 400,
        "worker_concurrency = 1.5",
        "worker_concurrency = true",
        "scheduler_interval_seconds = true",
        "scheduler_interval_seconds = []",
        "s3_bucket = 12345",
        "log_level = 10",
        "roles = []",
        "roles = [1]",
        "steady_state_distribution = []",
        "steady_state_distribution = {READ = 1" + "0" * 400 + "}",
        "s3_create_bucket = 1979-05-27",
    ],
)
def test_wrong_types_in_a_file_are_faults(tmp_path: Path, text: str) -> None:
    """A TOML value of the wrong type or size is a fault like any other."""
    environ = {name: value for name, value in NEEDED.items() if name.lower() not in text}
    assert faults(environ, toml(tmp_path, text)).keys() == {text.partition(" ")[0].upper()}


def test_distribution_as_a_table(tmp_path: Path) -> None:
    """In TOML the mix can be a table; omitted operations have weight 0."""
    file = toml(tmp_path, "[steady_state_distribution]\nread = 3\nDELETE = 1\n")
    mix = load(NEEDED, file).settings.steady_state_distribution
    assert [mix.share(operation) for operation in Operation] == [75, 0, 0, 25]
    assert str(mix) == "READ:3,UPDATE:0,CREATE:0,DELETE:1"


SECRET = "hunter2-s3cr3t"
LEAKY = [
    f"redis://:{SECRET}@host",
    f"redis://user:{SECRET}@host:port",
    f"redis://a@b:{SECRET}@host/x y",
    f"redis://:{SECRET}",
    f"redis://host/0?password={SECRET}",
    f"rediss://host?ssl_ca_certs=x&password={SECRET}",
]


@pytest.mark.parametrize("url", [*LEAKY, f"http://u:{SECRET}@host", f"u:{SECRET}@host"])
def test_secrets_are_masked(url: str) -> None:
    """A password in a URL appears in no error, repr or output, even if the URL does not parse."""
    for environ in ({**NEEDED, "REDIS_ENDPOINT": url}, {**NEEDED, "S3_ENDPOINT_URL": url}):
        try:
            loaded = load(environ)
        except ConfigurationError as error:
            texts = [str(error), repr(error), *map(str, error.faults), *map(repr, error.faults)]
        else:
            texts = [repr(loaded), str(loaded.settings)]
            texts += [info.shown(getattr(loaded.settings, info.name.lower())) for info in SETTINGS]
        assert not [text for text in texts if SECRET in text]


@pytest.mark.parametrize(
    "change",
    [
        {"REDIS_ENDPOINT": "redis://h/abc"},
        {"REDIS_ENDPOINT": "redis://h/0/x"},
        {"REDIS_ENDPOINT": "redis://h#1"},
        {"REDIS_ENDPOINT": "redis://h/1#2"},
        {"REDIS_ENDPOINT": "redis://h/\u0663"},
        {"REDIS_ENDPOINT": f"redis://h/{'1' * 5000}"},
        {"REDIS_ENDPOINT": "redis://h?ssl_ca_certs=f"},
        {"REDIS_ENDPOINT": "rediss://h?timeout=1"},
        {"S3_ENDPOINT_URL": "http://a:pw@h"},
        {"S3_ENDPOINT_URL": "http://h?x=1"},
        {"S3_ENDPOINT_URL": "http://h#x"},
        {"S3_ENDPOINT_URL": "http://a..b"},
        {"S3_ENDPOINT_URL": f"http://{'a' * 64}.b"},
        {"S3_ENDPOINT_URL": "http://\xc6\U0007dc51"},
    ],
    ids=repr,
)
def test_unusable_addresses_are_faults(change: dict[str, str]) -> None:
    """Addresses that the backends could not use are reported with the other faults."""
    (name,) = change
    with pytest.raises(ConfigurationError) as caught:
        load({**NEEDED, **change, "WORKER_CONCURRENCY": "none"})
    assert {fault.name for fault in caught.value.faults} == {name, "WORKER_CONCURRENCY"}


def test_typing_error_is_reported_with_faults() -> None:
    """A missing setting and the mistyped variable for it are reported together."""
    with pytest.raises(ConfigurationError) as caught:
        load({"S3_BUCKET": "bucket", "REDIS_ENDPIONT": "redis://h", "AWS_ENDPOINT_URL_SQS": "http://sqs"})
    assert list(caught.value.hints) == ["unknown variable REDIS_ENDPIONT: did you mean REDIS_ENDPOINT?"]


def test_settings_are_frozen() -> None:
    """The configuration cannot be changed while it is in use."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        load(NEEDED).settings.max_retries = 5  # type: ignore[misc] # that is the point


values = (
    st.text(max_size=40)
    | st.from_regex(r"-?[0-9.e+\-:,_]{1,12}", fullmatch=True)
    | st.sampled_from([value for values in BAD.values() for value in values])
)


@pytest.mark.parametrize("name", ["S3_PREFIX", "API_HOST", "QUEUE_NAME", "S3_BUCKET"])
def test_bytes_that_are_no_text_are_a_fault(name: str) -> None:
    """The environment holds such bytes as lone surrogates, which no backend can be sent."""
    assert faults({**NEEDED, name: "queue\udcff"}).keys() == {name}


@pytest.mark.parametrize("name", [info.name for info in SETTINGS if info.name.endswith("_SECONDS")])
def test_no_duration_is_beyond_redis_and_the_clocks(name: str) -> None:
    """The longest duration is accepted; a longer one would overflow where it becomes milliseconds."""
    load({**NEEDED, name: "1e9"})
    assert "30 years" in str(faults({**NEEDED, name: "1e300"})[name])


@given(st.dictionaries(st.sampled_from([info.name for info in SETTINGS]), values, max_size=8))
def test_any_environment_gives_settings_or_faults(environ: dict[str, str]) -> None:
    """Any variables give settings or one error that names each fault."""
    try:
        loaded = load({**NEEDED, **environ})
    except ConfigurationError as error:
        found = error.faults
    else:
        assert isinstance(loaded.settings, Settings)
        return
    assert found
    assert all(fault.name and fault.allowed and fault.source for fault in found)


scalars: st.SearchStrategy[Any] = st.sampled_from(
    [
        "1",
        "-1",
        "0.5",
        "nan",
        "inf",
        "true",
        '"x"',
        '""',
        "[]",
        '["worker"]',
        "{}",
        "{READ=1}",
        "1979-05-27",
        "9" * 30,
    ]
)


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([info.name.lower() for info in SETTINGS]), scalars, max_size=8))
def test_any_table_gives_settings_or_faults(tmp_path: Path, table: dict[str, str]) -> None:
    """Any TOML table gives settings or one error."""
    text = "".join(f"{name} = {value}\n" for name, value in table.items())
    try:
        load(NEEDED, toml(tmp_path, text))
    except ConfigurationError as error:
        names = {fault.name.lower() for fault in error.faults}
    else:
        return
    assert names
    assert names <= {info.name.lower() for info in SETTINGS}


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_file_gives_settings_or_faults(tmp_path: Path, content: bytes) -> None:
    """Any bytes in a file give settings or one error."""
    path = tmp_path / "any.toml"
    path.write_bytes(content)
    try:
        loaded = load(NEEDED, path)
    except ConfigurationError:
        return
    assert isinstance(loaded.settings, Settings)
