"""The nginx endpoint of the benchmarks, as seen by S3 clients."""

import ssl
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from benchmarks.endpoint import NginxS3
from benchmarks.process import Unavailable

KEYS = [f"loadtest/{number:04d}" for number in range(25)] + ["other/a&b", "top"]
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[NginxS3]:
    try:
        server = NginxS3()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with server:
        yield server


@pytest.fixture
def s3(endpoint: NginxS3) -> Iterator[httpx.Client]:
    endpoint.reset("bench", [(key, key.encode()) for key in KEYS])
    with httpx.Client(base_url=endpoint.url, trust_env=False) as client:
        yield client


def listing(s3: httpx.Client, **query: str) -> tuple[list[str], list[str], str | None]:
    response = s3.get("/bench", params={"list-type": "2", **query})
    assert response.status_code == 200
    root = ET.fromstring(response.text)
    contents = [entry.findtext(f"{NAMESPACE}Key", "") for entry in root.iter(f"{NAMESPACE}Contents")]
    prefixes = [entry.findtext(f"{NAMESPACE}Prefix", "") for entry in root.iter(f"{NAMESPACE}CommonPrefixes")]
    token = root.findtext(f"{NAMESPACE}NextContinuationToken")
    assert root.findtext(f"{NAMESPACE}IsTruncated") == str(token is not None).lower()
    assert root.findtext(f"{NAMESPACE}KeyCount") == str(len(contents) + len(prefixes))
    return contents, prefixes, token


def test_put_answers_200_with_an_etag_and_delete_answers_204(s3: httpx.Client) -> None:
    """A PUT is answered with 200 and an ETag, new or not; a GET returns it; a DELETE is 204, there or not."""
    for body in (b"first", b"second"):
        put = s3.put("/bench/deep/er/key", content=body)
        assert put.status_code == 200
        assert put.headers["etag"].startswith('"')
        got = s3.get("/bench/deep/er/key")
        assert got.content == body
        assert got.headers["etag"].startswith('"')
    assert [s3.delete("/bench/deep/er/key").status_code for _ in range(2)] == [204, 204]
    missing = s3.get("/bench/deep/er/key")
    assert missing.status_code == 404
    assert "<Code>NoSuchKey</Code>" in missing.text


def test_head_tells_whether_bucket_exists(s3: httpx.Client) -> None:
    """HEAD is 200 for an existing bucket and 404 for another."""
    assert s3.head("/bench").status_code == 200
    assert s3.head("/bench/").status_code == 200
    assert s3.head("/nowhere").status_code == 404


def test_pages_hold_every_key_once_and_in_order(s3: httpx.Client) -> None:
    """Following the tokens, whatever the page's size, gives every key once and in order."""
    for size in ("1", "7", "1000"):
        found: list[str] = []
        token: str | None = ""
        while token is not None:
            page, _, token = listing(
                s3, **{"max-keys": size}, **({"continuation-token": token} if token else {})
            )
            assert len(page) <= int(size)
            found += page
        assert found == sorted(KEYS)


def test_prefix_filters_delimiter_groups_start_after_skips(s3: httpx.Client) -> None:
    """A prefix filters, a delimiter groups, start-after skips."""
    assert listing(s3, prefix="loadtest/001")[0] == KEYS[10:20]
    assert listing(s3, delimiter="/")[:2] == (["top"], ["loadtest/", "other/"])
    assert listing(s3, prefix="loadtest/", **{"start-after": "loadtest/0022"})[0] == KEYS[23:25]


def test_special_keys_survive_xml_and_urls(s3: httpx.Client) -> None:
    """A key that XML or a URL would misread comes back whole, in both encodings."""
    assert listing(s3, prefix="other/")[0] == ["other/a&b"]
    assert listing(s3, prefix="other/", **{"encoding-type": "url"})[0] == [quote("other/a&b")]


def test_post_delete_removes_named_objects_only(s3: httpx.Client, endpoint: NginxS3) -> None:
    """POST ?delete removes what it names and nothing else, and does not leave the bucket."""
    body = "<Delete><Object><Key>top</Key></Object><Object><Key>other/a&amp;b</Key></Object></Delete>"
    assert s3.post("/bench?delete", content=body).status_code == 200
    assert listing(s3)[0] == KEYS[:25]
    endpoint.reset("neighbour", [("safe", b"")])
    s3.post("/bench?delete", content="<Delete><Object><Key>../neighbour/safe</Key></Object></Delete>")
    assert [key for key, _ in endpoint.contents("neighbour")] == ["safe"]


def test_aws_chunked_bodies_are_refused(s3: httpx.Client) -> None:
    """An aws-chunked body would be stored with its frames, so it is refused."""
    put = s3.put("/bench/framed", content=b"x", headers={"content-encoding": "aws-chunked"})
    assert put.status_code == 501


def test_https_uses_tls_13_with_a_valid_certificate(endpoint: NginxS3) -> None:
    """The HTTPS side speaks TLS 1.3 and its certificate holds for the authority that is handed out."""
    endpoint.reset("bench", [("top", b"body")])
    context = ssl.create_default_context(cafile=str(endpoint.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with httpx.Client(base_url=endpoint.tls_url, verify=context, trust_env=False) as client:
        assert client.get("/bench/top").content == b"body"
    with (
        httpx.Client(base_url=endpoint.tls_url, trust_env=False) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.get("/bench/top")
