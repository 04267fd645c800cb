"""The credential chain: what is found where, in botocore's order, and what is refused clearly."""

from pathlib import Path

import botocore.session
import pytest
import trio
from trio.testing import MockClock

from loadtest_trio.backends.s3.credentials import Credentials, RenewingCredentials
from loadtest_trio.backends.s3.credentials.provider_chain import find_credentials
from loadtest_trio.errors import CredentialsError

STATIC = "aws_access_key_id = AK{0}\naws_secret_access_key = sec/ret+%{0}\n"


def write(home: Path, name: str, text: str) -> None:
    """Write a file of the home's .aws folder."""
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / name).write_text(text)


async def found(environ: dict[str, str], home: Path) -> Credentials:
    """Find the keys that are there at once."""
    return await (await find_credentials(environ, home=home, unix_clock=lambda: 0.0)).current()


async def test_environment_comes_first(tmp_path: Path) -> None:
    """The variables win over the files and the container endpoint."""
    write(tmp_path, "credentials", "[default]\n" + STATIC.format("file"))
    environ = {
        "AWS_ACCESS_KEY_ID": "AKenv",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "t",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x",
    }
    assert await found(environ, tmp_path) == Credentials("AKenv", "s", "t")


async def test_blank_session_token_is_none(tmp_path: Path) -> None:
    """An empty token variable, as compose files produce, means there is no token."""
    environ = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s\n", "AWS_SESSION_TOKEN": ""}
    assert await found(environ, tmp_path) == Credentials("AK", "s")


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
async def test_half_a_pair_is_an_error(missing: str, tmp_path: Path) -> None:
    """One half of the pair names the other as missing, and does not fall through to another account."""
    write(tmp_path, "credentials", "[default]\n" + STATIC.format("file"))
    environ = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "hidden"}
    del environ[missing]
    with pytest.raises(CredentialsError, match=f"^{missing} is missing") as caught:
        await found(environ, tmp_path)
    assert "hidden" not in str(caught.value)


FILES = {
    "credentials, default": ("[default]\n" + STATIC.format(1), "", {}),
    "credentials, named": (
        "[default]\n" + STATIC.format(1) + "[two]\n" + STATIC.format(2),
        "",
        {"AWS_PROFILE": "two"},
    ),
    "config, default": ("", "[default]\nregion = x\n" + STATIC.format(3), {}),
    "config, named": ("", "[profile four]\n" + STATIC.format(4), {"AWS_PROFILE": "four"}),
    "credentials before config": (
        "[a]\n" + STATIC.format(5) + "aws_session_token = tok\n",
        "[profile a]\n" + STATIC.format(6),
        {"AWS_PROFILE": "a"},
    ),
    "nested settings": ("", "[default]\ns3 =\n  max_concurrent_requests = 20\n" + STATIC.format(7), {}),
    "keys before a process": (
        "[default]\n" + STATIC.format(8),
        "[default]\ncredential_process = /bin/false\n",
        {},
    ),
    "default profile variable": ("[nine]\n" + STATIC.format(9), "", {"AWS_DEFAULT_PROFILE": "nine"}),
}


@pytest.mark.parametrize(("credentials", "config", "environ"), FILES.values(), ids=FILES)
async def test_profiles_as_botocore_reads_them(
    credentials: str, config: str, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Static keys of a profile are the ones that botocore finds in the same files."""
    write(tmp_path, "credentials", credentials)
    write(tmp_path, "config", config)
    environ = {
        **environ,
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / ".aws" / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / ".aws" / "config"),
    }
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    theirs = botocore.session.Session().get_credentials()
    ours = await found(environ, tmp_path / "elsewhere")
    assert ours == Credentials(theirs.access_key, theirs.secret_key, theirs.token)


async def test_default_files_are_in_the_home_directory(tmp_path: Path) -> None:
    """Without variables the files are those of the home, and ``~`` in a variable means it too."""
    write(tmp_path, "credentials", "[default]\n" + STATIC.format(1))
    write(tmp_path, "other", "[default]\n" + STATIC.format(2))
    assert (await found({}, tmp_path)).access_key == "AK1"
    assert (await found({"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/other"}, tmp_path)).access_key == "AK2"


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("role_arn = arn:aws:iam::1:role/x\nsource_profile = b", "an assumed role"),
        ("sso_session = corp", "SSO"),
        ("sso_start_url = https://x", "SSO"),
        ("credential_process = /usr/bin/keys --secret hidden", "an external process"),
        ("web_identity_token_file = /x", "a web identity"),
    ],
)
async def test_unsupported_profile_is_rejected(setting: str, named: str, tmp_path: Path) -> None:
    """A profile of a kind that is not supported is refused by one line that says which and what to do."""
    write(tmp_path, "config", f"[profile corp]\n{setting}\n")
    with pytest.raises(CredentialsError, match=named) as caught:
        await found({"AWS_PROFILE": "corp"}, tmp_path)
    assert "'corp'" in str(caught.value)
    assert "not supported" in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


async def test_missing_profile_is_named(tmp_path: Path) -> None:
    """A profile asked for by name that does not exist is named."""
    with pytest.raises(CredentialsError, match=r"^AWS_PROFILE=nobody: no such profile"):
        await found({"AWS_PROFILE": "nobody"}, tmp_path)


async def test_profile_without_secret_is_an_error(tmp_path: Path) -> None:
    """A profile without its secret says which setting is missing."""
    write(tmp_path, "credentials", "[default]\naws_access_key_id = AK\n")
    with pytest.raises(CredentialsError, match=r"^aws_secret_access_key of profile 'default' is missing"):
        await found({}, tmp_path)


@pytest.mark.parametrize(
    "text", ["s3cr3t = before any section\n", "[default\ns3cr3t\n", "[default]\ns3cr3t\n"], ids=range(3)
)
async def test_malformed_file_is_named_and_not_quoted(text: str, tmp_path: Path) -> None:
    """A file that is no profile file is named, its lines are not."""
    write(tmp_path, "credentials", text)
    with pytest.raises(CredentialsError, match="not a valid AWS profile file") as caught:
        await found({}, tmp_path)
    assert "s3cr3t" not in str(caught.value)


async def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    """A file that cannot be read is an error, not an absence."""
    (tmp_path / ".aws" / "credentials").mkdir(parents=True)
    with pytest.raises(CredentialsError, match="directory"):
        await found({}, tmp_path)


async def test_home_that_may_not_be_entered_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOME=/root and another user, in a container with keys from its endpoint; a named file is an error."""

    def forbidden(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", forbidden)
    environ = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}
    source = await find_credentials(environ, home=tmp_path, unix_clock=lambda: 0.0)
    assert isinstance(source, RenewingCredentials)
    for named in ({"AWS_PROFILE": "p"}, {"AWS_SHARED_CREDENTIALS_FILE": "/etc/keys"}):
        with pytest.raises(CredentialsError, match="Permission denied"):
            await find_credentials(environ | named, home=tmp_path, unix_clock=lambda: 0.0)


async def test_profile_that_no_thread_can_read_is_a_credentials_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system gives no thread now; the keys are asked for again."""

    async def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", no_thread)
    with pytest.raises(CredentialsError, match="can't start new thread"):
        await find_credentials({}, home=tmp_path, unix_clock=lambda: 0.0)


async def test_container_endpoint_comes_last(tmp_path: Path) -> None:
    """Without keys elsewhere the container variables give a source that renews itself, not asked yet."""
    write(tmp_path, "config", "[default]\nregion = eu-west-1\n")
    environ = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}
    source = await find_credentials(environ, home=tmp_path, unix_clock=lambda: 0.0)
    assert isinstance(source, RenewingCredentials)


async def test_no_source_lists_the_possible_ones(tmp_path: Path) -> None:
    """Without any source one line says where keys can come from."""
    with pytest.raises(CredentialsError, match=r"AWS_ACCESS_KEY_ID.*AWS_PROFILE.*container") as caught:
        await find_credentials({}, home=tmp_path, unix_clock=lambda: 0.0)
    assert len(str(caught.value).splitlines()) == 1


async def test_profile_is_read_again_when_its_keys_are_refused(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Keys that their owner has replaced in the file are found, at most every two seconds."""
    write(tmp_path, "credentials", "[default]\n" + STATIC.format(1))
    source = await find_credentials({}, home=tmp_path, unix_clock=trio.current_time)
    old = await source.current()
    assert await source.renewed(old) == old
    write(tmp_path, "credentials", "[default]\n" + STATIC.format(2))
    assert await source.renewed(await source.current()) == old
    await trio.sleep(2.1)
    assert (await source.renewed(await source.current())).access_key == "AK2"
    write(tmp_path, "credentials", "")
    await trio.sleep(2.1)
    assert (await source.renewed(await source.current())).access_key == "AK2"


@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"])
async def test_both_names_of_the_token_are_read(tmp_path: Path, name: str) -> None:
    """The older name is still in use."""
    environ = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s", name: "token"}
    assert (await found(environ, tmp_path)).session_token == "token"
