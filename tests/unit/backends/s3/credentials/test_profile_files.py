"""Profile files: the keys are those that botocore finds, whatever the files look like."""

from pathlib import Path

import pytest
from botocore.configloader import load_config, raw_config_parse
from botocore.credentials import ConfigProvider, SharedCredentialProvider
from botocore.exceptions import ConfigParseError, PartialCredentialsError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadtest_trio.backends.s3.credentials import Credentials
from loadtest_trio.backends.s3.credentials.profile_files import from_profile
from loadtest_trio.errors import CredentialsError

KEYS = "aws_access_key_id = AK{0}\naws_secret_access_key = secret{0}\n"

names = st.sampled_from(["default", "dev", "my dev", "ü", "DEFAULT", " dev ", "preview"])
headers = names | st.sampled_from(
    [
        "profile default",
        "profile dev",
        'profile "dev"',
        "profile 'dev'",
        "profile\tdev",
        "profile    dev",
        'profile "my dev"',
        "profile my\\ dev",
        "profile my dev",
        'profile "dev',
        "profile",
        "profiledev",
        '"profile" dev',
        "Profile dev",
        "sso-session dev",
    ]
)
settings_lines = st.one_of(
    st.builds(
        "{}{}{}\n".format,
        st.sampled_from(
            [
                "aws_access_key_id",
                "aws_secret_access_key",
                "aws_session_token",
                "aws_security_token",
                "AWS_Access_Key_ID",
                "region",
            ]
        ),
        st.sampled_from(["=", " = ", ":", " : ", "\t=\t"]),
        st.sampled_from(["one", "two", "three", "a=b", "c:d", "e#f", "g;h"]),
    ),
    st.sampled_from(
        ["\n", "# a comment\n", "; another\n", "s3 =\n  addressing_style = path\n", "no value\n"]
    ),
)


def files(headers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Write files with some sections, in which lines may come twice or be broken."""
    complete = st.integers(0, 9).map(KEYS.format)
    body = st.lists(settings_lines, max_size=6).map("".join)
    section = st.builds("[{}]\n{}{}".format, headers, complete | st.just(""), body)
    return st.lists(section, max_size=4).map("".join)


def theirs(shared: Path, config: Path, profile: str) -> Credentials | str | None:
    """Return what botocore finds, or what is wrong."""
    try:
        found = (
            SharedCredentialProvider(str(shared), profile, raw_config_parse).load()
            or ConfigProvider(str(config), profile, load_config).load()
        )
    except (PartialCredentialsError, ConfigParseError):
        return "error"
    return found and Credentials(found.access_key, found.secret_key, found.token)


def ours(shared: Path, config: Path, profile: str) -> Credentials | str | None:
    """Return what we find, or what is wrong."""
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(shared), "AWS_CONFIG_FILE": str(config)}
    try:
        return from_profile({**environ, "AWS_PROFILE": profile}, Path("/nowhere"))
    except CredentialsError as error:
        return None if "no such profile" in str(error) else "error"


@given(files(names), files(headers), st.sampled_from(["default", "dev", "my dev", "ü"]))
@example("", "[profile default]\n" + KEYS.format(1), "default")
@example("", '[profile "my dev"]\n' + KEYS.format(1), "my dev")
@example("", "[profile\t  dev]\n" + KEYS.format(1), "dev")
@example("[dev]\naws_security_token = old\naws_session_token = new\n" + KEYS.format(1), "", "dev")
@example("[DEFAULT]\n" + KEYS.format(1) + "[dev]\nregion = x\n", "", "dev")
@example("[dev]\naws_access_key_id = AK\n", "[profile dev]\n" + KEYS.format(1), "dev")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_same_keys_as_botocore(tmp_path: Path, shared: str, config: str, profile: str) -> None:
    """Quoted names, blanks, sections of defaults, both names of the token, and what is broken."""
    paths = tmp_path / "credentials", tmp_path / "config"
    for path, text in zip(paths, (shared, config), strict=True):
        path.write_text(text, encoding="utf-8")
    expected = theirs(*paths, profile)
    # botocore reads the config file only if the other has no keys; a broken one is told at once here.
    assert ours(*paths, profile) == expected or (
        expected != "error" and theirs(Path("/nowhere"), paths[1], profile) == "error"
    )


@pytest.mark.parametrize("given_path", ["$PLACE/keys", "${PLACE}/keys", "~/keys"])
def test_paths_are_expanded(tmp_path: Path, given_path: str) -> None:
    """Variables and the home stand for what they name."""
    (tmp_path / "keys").write_text("[default]\n" + KEYS.format(1), encoding="utf-8")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": given_path, "PLACE": str(tmp_path)}
    assert from_profile(environ, tmp_path) == Credentials("AK1", "secret1")


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    (tmp_path / "keys").write_text("\ufeff[default]\n" + KEYS.format(1), encoding="utf-8")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys")}
    assert from_profile(environ, tmp_path) == Credentials("AK1", "secret1")
