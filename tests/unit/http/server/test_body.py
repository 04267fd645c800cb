"""Bodies: however their bytes arrive, what comes out is the same, and what is malformed is refused."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest_trio.http.server.body import Body, ChunkedBody, SizedBody
from loadtest_trio.http.server.refusal import RefusedError

LIMIT = 1000


def feed(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Let a body take pieces one after another; return what it is and what was left."""
    data = buffer = b""
    for piece in pieces:
        part, buffer = body.take(buffer + piece)
        data += part
    return data, buffer


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.binary(min_size=1, max_size=50), st.binary(max_size=10), st.lists(st.integers(0, 60)))
def test_sized_body_ends_where_its_length_says(content: bytes, rest: bytes, places: list[int]) -> None:
    """A body of known length leaves what follows it."""
    body = SizedBody(len(content))
    assert not body.ends_within(content[:-1])
    assert body.ends_within(content + rest)
    assert feed(body, cut(content + rest, places)) == (content, rest)
    assert body.complete


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=10),
    st.sampled_from([b"", b";a", b";a=b", b';a="b;\\"c"', b";a=1;b"]),
    st.sampled_from([b"", b"X: y\r\n", b"X:\r\nY: \xff\r\n"]),
    st.binary(max_size=10),
    st.lists(st.integers(0, 800)),
)
def test_chunks_become_the_body(
    chunks: list[bytes], extension: bytes, trailers: bytes, rest: bytes, places: list[int]
) -> None:
    """Chunks come out as one body, without extensions and trailers, and leave what follows them."""
    wire = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    wire += b"0" + extension + b"\r\n" + trailers + b"\r\n"
    body = ChunkedBody(LIMIT)
    assert feed(body, cut(wire + rest, places)) == (b"".join(chunks), rest)
    assert body.complete
    assert body.ends_within(b"")


@pytest.mark.parametrize("size", [b"5", b"05", b"0000000000000005"])
def test_spellings_of_a_size(size: bytes) -> None:
    """Zeros may precede a size, up to sixteen digits."""
    assert feed(ChunkedBody(LIMIT), [size + b"\r\nabcde\r\n0\r\n\r\nX"]) == (b"abcde", b"X")


MALFORMED = {
    "bare line feed after the size": b"5\nabcde\r\n0\r\n\r\n",
    "bare line feed after the data": b"5\r\nabcde\n0\r\n\r\n",
    "bare line feed at the end": b"0\r\n\n",
    "bare line feeds at the end": b"0\n\n",
    "no line break after the data": b"5\r\nabcde0\r\n\r\n",
    "more data than the size": b"5\r\nabcdef\r\n0\r\n\r\n",
    "bytes between chunks": b"5\r\nabcde\r\nX\r\n0\r\n\r\n",
    "hexadecimal prefix": b"0x5\r\nabcde\r\n0\r\n\r\n",
    "negative size": b"-5\r\nabcde\r\n0\r\n\r\n",
    "signed size": b"+5\r\nabcde\r\n0\r\n\r\n",
    "underscore": b"5_0\r\nabcde\r\n0\r\n\r\n",
    "blank before the size": b" 5\r\nabcde\r\n0\r\n\r\n",
    "blank after the size": b"5 \r\nabcde\r\n0\r\n\r\n",
    "tab after the size": b"5\t\r\nabcde\r\n0\r\n\r\n",
    "no size": b"\r\nabcde\r\n0\r\n\r\n",
    "no digit": b"g\r\n",
    "digits beyond ASCII": "٥\r\nabcde\r\n".encode(),
    "too many digits": b"00000000000000005\r\nabcde\r\n0\r\n\r\n",
    "two carriage returns": b"5\r\r\nabcde\r\n0\r\n\r\n",
    "empty extension": b"5;\r\nabcde\r\n0\r\n\r\n",
    "blank before an extension": b"5 ;a\r\nabcde\r\n0\r\n\r\n",
    "bare line feed in an extension": b"5;a\nb\r\nabcde\r\n0\r\n\r\n",
    "bare line feed in a quoted extension": b'5;a="\n"\r\nabcde\r\n0\r\n\r\n',
    "bare carriage return in an extension": b"5;a\rb\r\nabcde\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\0\r\nabcde\r\n0\r\n\r\n",
    "long extension": b"5;" + b"a" * 2000,
    "blank before the colon of a trailer": b"0\r\nX : y\r\n\r\n",
    "bare line feed in a trailer": b"0\r\nX: y\n\r\n",
    "folded trailer": b"0\r\nX: y\r\n z\r\n\r\n",
    "NUL in a trailer": b"0\r\nX: \0\r\n\r\n",
    "no trailer": b"0\r\nGET / HTTP/1.1\r\n\r\n",
    "long trailer": b"0\r\nX: " + b"y" * 2000,
}


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_malformed_chunks_are_refused(wire: bytes) -> None:
    """Chunks that could be read in two ways are answered 400, whether they arrive at once or byte by byte."""
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        with pytest.raises(RefusedError) as caught:
            feed(ChunkedBody(LIMIT), pieces)
        assert caught.value.status == 400


@pytest.mark.parametrize("size", [b"3e9", b"ffffffff", b"ffffffffffffffff", b"8000000000000000"])
def test_long_body_is_refused_by_the_size_of_its_chunk(size: bytes) -> None:
    """A chunk that passes the limit is refused before its data is read."""
    with pytest.raises(RefusedError) as caught:
        feed(ChunkedBody(LIMIT), [size + b"\r\n"])
    assert caught.value.status == 413


def test_long_body_is_refused_by_the_sum_of_its_chunks() -> None:
    """The limit holds for all chunks together; a body of exactly its size is accepted."""
    chunk = b"64\r\n" + b"a" * 100 + b"\r\n"
    body = ChunkedBody(LIMIT)
    assert len(feed(body, [chunk * 10])[0]) == LIMIT
    with pytest.raises(RefusedError) as caught:
        feed(body, [b"1\r\n"])
    assert caught.value.status == 413


def test_body_of_tiny_chunks_is_refused() -> None:
    """What frames a body is bounded, too: a megabyte in chunks of one byte costs a second to read."""
    with pytest.raises(RefusedError) as caught:
        feed(ChunkedBody(1_000_000), [b"1\r\na\r\n" * 100] * 100)
    assert caught.value.status == 400


def test_trailers_are_bounded() -> None:
    """Trailers may not go on for ever."""
    with pytest.raises(RefusedError) as caught:
        feed(ChunkedBody(LIMIT), [b"0\r\n" + b"X: y\r\n" * 101])
    assert caught.value.status == 431


@given(st.binary(max_size=100), st.lists(st.integers(0, 100)))
def test_anything_is_a_body_or_refused(data: bytes, places: list[int]) -> None:
    """No bytes raise anything but a refusal."""
    for wire in (data, b"5\r\nabcde\r\n" + data, b"0\r\n" + data):
        with contextlib.suppress(RefusedError):
            feed(ChunkedBody(LIMIT), cut(wire, places))
