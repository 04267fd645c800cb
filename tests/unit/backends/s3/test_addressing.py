"""Addresses: the style of URL for each bucket and endpoint, and what counts as inside the prefix."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.backends.s3.addressing import is_inside, locate


@pytest.mark.parametrize(
    ("bucket", "region", "endpoint", "url", "host", "path"),
    [
        ("my-bucket", "eu-west-1", None, "https://my-bucket.s3.eu-west-1.amazonaws.com/", None, "/k"),
        ("my.bucket", "eu-west-1", None, "https://s3.eu-west-1.amazonaws.com/", None, "/my.bucket/k"),
        ("Old_Bucket", "us-east-1", None, "https://s3.us-east-1.amazonaws.com/", None, "/Old_Bucket/k"),
        ("b-1", "cn-north-1", None, "https://b-1.s3.cn-north-1.amazonaws.com.cn/", None, "/k"),
        ("b-1", "x", "http://127.0.0.1:8333", "http://127.0.0.1:8333", "127.0.0.1:8333", "/b-1/k"),
        ("b-1", "x", "http://h:80/", "http://h/", "h", "/b-1/k"),
        ("b-1", "x", "https://[::1]:9/sub/", "https://[::1]:9/sub/", "[::1]:9", "/sub/b-1/k"),
    ],
)
def test_styles(
    bucket: str, region: str, endpoint: str | None, url: str, host: str | None, path: str
) -> None:
    """AWS gets virtual hosts where the name allows it; an endpoint, dots and odd names get paths."""
    address = locate(bucket, region, endpoint)
    assert str(address.base) == url
    assert address.host == (host or address.base.host)
    assert address.object_path("k") == path
    assert address.bucket_path == (path.removesuffix("/k") or "/")


@pytest.mark.parametrize(
    "endpoint",
    ["", "s3.example", "ftp://h", "http://", "http://u:hunter2@h", "http://h?a=hunter2", "http://h:hunter2/"],
)
def test_unusable_endpoints(endpoint: str) -> None:
    """An endpoint that is no plain http(s) address is refused, without repeating a password in it."""
    with pytest.raises(ValueError, match="endpoint") as caught:
        locate("b-1", "us-east-1", endpoint)
    assert "hunter2" not in str(caught.value)


@given(st.text(st.characters(codec="utf-8")))
def test_object_paths_are_reversible_and_clean(key: str) -> None:
    """Any key can be read back from its path, which is plain ASCII and in S3's canonical form."""
    path = locate("b-1", "us-east-1", "http://h").object_path(key)
    assert unquote(path, errors="strict") == f"/b-1/{key}"
    assert re.fullmatch(r"(?:[A-Za-z0-9/._~-]|%[0-9A-F]{2})*", path)


@pytest.mark.parametrize("key", ["p/a", "p/.hidden", "p/...", "p/a..b", "p//x", "p/", "p/./x"])
def test_inside(key: str) -> None:
    """What starts with the prefix is inside, dots in names included."""
    assert is_inside(key, "p/")


@pytest.mark.parametrize("key", ["", "p", "q/a", "P/a", "/p/a", "p/../q/a", "p/..", "p/a/../../q"])
def test_outside(key: str) -> None:
    """Other keys are outside, and so are those that a server which resolves dots would lead outside."""
    assert not is_inside(key, "p/")


def test_without_a_prefix_only_the_empty_key_is_outside() -> None:
    """The empty prefix holds every key that names an object."""
    assert is_inside("anything", "")
    assert not is_inside("", "")
