"""Listings: what a server sends, and what only an attacker would."""

from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest_trio.backends.s3.listing import ListedObject, ListingError, ListingPage, parse_listing
from loadtest_trio.backends.s3.safe_xml import UnsafeXMLError, scan

keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def document(objects: list[tuple[str, int]], *, more: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    """Write a listing as S3 does, with encoded keys."""
    contents = "".join(
        f"<Contents><Key>{escape(quote_plus(key))}</Key><LastModified>2024-02-03T04:05:06.500Z</LastModified>"
        f"<ETag>&quot;0&quot;</ETag><Size>{size}</Size><Owner><ID>me</ID></Owner></Contents>"
        for key, size in objects
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p/</Prefix>'
        f"<EncodingType>url</EncodingType>{contents}{more}</ListBucketResult>"
    ).encode()


@given(st.lists(st.tuples(keys, st.integers(0, 2**63))))
def test_every_key_survives_the_round_trip(objects: list[tuple[str, int]]) -> None:
    """Keys and sizes are read as they were written, in order, whatever the keys hold."""
    in_scope = [(key, size if size < 10**18 else None) for key, size in objects]
    assert parse_listing(document(objects)) == ListingPage(
        [ListedObject(key, size) for key, size in in_scope], None
    )


def test_unencoded_keys_are_left_alone() -> None:
    """A server that ignores encoding-type sends plain keys: a plus is a plus."""
    body = document([]).replace(
        b"<EncodingType>url</EncodingType>", b"<Contents><Key>a+b%20</Key><Size>1</Size></Contents>"
    )
    assert parse_listing(body).objects == [ListedObject("a+b%20", 1)]


def test_truncated_page_yields_its_continuation_token() -> None:
    """The continuation token of a page that goes on is handed over as it is."""
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>1/+=&amp;</NextContinuationToken>"
    assert parse_listing(document([], more=more)).next_token == "1/+=&"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>It works!</body></html>",
        b"<Error><Code>SlowDown</Code></Error>",
        document([("k", 1)])[:-30],
        document([], more="<IsTruncated>true</IsTruncated>"),
    ],
)
def test_other_documents_are_listing_errors(body: bytes) -> None:
    """Anything else, cut, mangled or of another kind, is a ListingError."""
    with pytest.raises(ListingError):
        parse_listing(body)


@pytest.mark.parametrize(
    ("written", "instead", "read"),
    [
        (b"<Size>1</Size>", b"", ListedObject("k", None)),
        (b"<Size>1<", b"<Size>one<", ListedObject("k", None)),
        (b"<Size>1<", b"<Size>" + b"9" * 10_000 + b"<", ListedObject("k", None)),
        (b"<Size>1<", b"<Size> 1\n<", ListedObject("k", 1)),
        (b"2024-02-03T04:05:06.500Z", b"Sat, 03 Feb 2024 04:05:06 GMT", ListedObject("k", 1)),
        (b"2024-02-03T04:05:06.500Z", b"yesterday", ListedObject("k", 1)),
        (b"<Key>k<", b"<Key>\n      k\n    <", ListedObject("k", 1)),
        (b"<Size>1<", b"<StorageClass>GLACIER</StorageClass><Size>1<", ListedObject("k", 1, "GLACIER")),
        (b"<IsTruncated>false<", b"<IsTruncated>False<", ListedObject("k", 1)),
        (b"<IsTruncated>false</IsTruncated>", b"", ListedObject("k", 1)),
        (b'xmlns="', b'xmlns:x="', ListedObject("k", 1)),
    ],
)
def test_only_what_is_needed_is_read(written: bytes, instead: bytes, read: ListedObject) -> None:
    """A field that nobody needs may be missing or of any form; so may white space."""
    body = document([("k", 1)])
    assert written in body
    assert parse_listing(body.replace(written, instead)) == ListingPage([read], None)


@pytest.mark.parametrize("before", [b"\n", b"  \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_blanks_before_the_declaration_are_ignored(before: bytes) -> None:
    """White space or a byte order mark before the XML declaration does not spoil the page."""
    assert parse_listing(before + document([("k", 1)])).objects == [ListedObject("k", 1)]


def test_namespace_prefixes_are_ignored() -> None:
    """A server may write every element with a prefix."""
    body = document(
        [("k", 1)], more="<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    )
    prefixed = (
        body.replace(b"</", b"</s3:")
        .replace(b"<", b"<s3:")
        .replace(b"<s3:/s3:", b"</s3:")
        .replace(b"<s3:?", b"<?")
    )
    assert b"<s3:Key>k</s3:Key>" in prefixed
    assert parse_listing(prefixed) == ListingPage([ListedObject("k", 1)], "t")


@pytest.mark.parametrize(
    "key",
    [
        b"caf%E9",
        b"caf\xe9",
        b"caf&#xE9;%FF",
        b"control&#1;",
        b"control&#x1b;",
        b"control\x0b",
        b"pair&#xD800;",
        b"",
    ],
)
def test_unreadable_key_costs_one_object(key: bytes) -> None:
    """A key that is not UTF-8, or not XML, is skipped and counted; the others of the page are read."""
    body = document([("a", 1), ("k", 2), ("z", 3)]).replace(b"<Key>k<", b"<Key>" + key + b"<")
    assert parse_listing(body) == ListingPage([ListedObject("a", 1), ListedObject("z", 3)], None, 1)


BOMB = b"""<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><ListBucketResult>&c;</ListBucketResult>"""
EXTERNAL = b'<!DOCTYPE x SYSTEM "file:///etc/hostname"><ListBucketResult>x</ListBucketResult>'


@pytest.mark.parametrize("body", [BOMB, EXTERNAL, b"<!DOCTYPE ListBucketResult><ListBucketResult/>"])
def test_document_types_are_refused(body: bytes) -> None:
    """No document type is accepted, so that no entity can be declared."""
    with pytest.raises(ListingError, match="document type"):
        parse_listing(body)


def test_undeclared_entities_are_refused() -> None:
    """Without a document type an entity is an error, never a value."""
    with pytest.raises(UnsafeXMLError, match="undefined entity"):
        scan(b"<a>&b;</a>", lambda _name, _text: None)


def test_deep_nesting_does_not_recurse() -> None:
    """A hundred thousand nested elements are read without recursion."""
    ends: list[str] = []
    scan(b"<a>" * 100_000 + b"</a>" * 100_000, lambda name, _text: ends.append(name))
    assert len(ends) == 100_000


@given(
    st.binary()
    | st.tuples(st.integers(0, 600), st.binary(max_size=20)).map(
        lambda cut: document([("k", 1)])[: cut[0]] + cut[1] + document([("k", 1)])[cut[0] + 5 :]
    )
)
@example(b"\xff\xfe<\x00a\x00")
@example(b"<?xml version='1.0' encoding='utf-7'?><a/>")
@example(b"<?xml version='1.0' encoding='no-such'?><a/>")
@example(b"\x00")
def test_arbitrary_bytes_are_parsed_or_rejected(body: bytes) -> None:
    """Whatever arrives, the answer is a page or a ListingError."""
    try:
        page = parse_listing(body)
    except ListingError:
        return
    assert isinstance(page, ListingPage)
