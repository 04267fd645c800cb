"""Parses XML from the network safely: expat without the features that S3 never uses.

A document type is an error, so a document cannot declare entities: neither expansion bombs ("billion
laughs") nor external entities are possible. That is all that defusedxml adds to expat, and its last stable
release is from 2021. The encoding is fixed to UTF-8, which S3 sends, so a document cannot select one of
Python's codecs. One pass, no recursion, no tree.
"""

from collections.abc import Callable
from xml.parsers import expat

_BLANKS = b" \t\r\n\xef\xbb\xbf"  # white space and a byte order mark


class UnsafeXMLError(ValueError):
    """The text is not well-formed XML in UTF-8, or has a document type."""


def scan(body: bytes | bytearray, on_end: Callable[[str, str], object]) -> None:
    """Parse a document and call `on_end` at the end of every element.

    Args:
        body: The document; blanks before it are ignored.
        on_end: Called with the name of the element, without its namespace prefix, and the text between its
            last child (or its start) and its end. For an element without children that is its whole text.

    Raises:
        UnsafeXMLError: The document is rejected; the elements before the fault have been reported.
    """
    parser = expat.ParserCreate(encoding="UTF-8")
    parser.buffer_text = True
    text: list[str] = []

    def end(name: str) -> None:
        on_end(name.rpartition(":")[2], "".join(text))
        text.clear()

    parser.StartElementHandler = lambda _name, _attributes: text.clear()
    parser.CharacterDataHandler = text.append
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(bytes(body).lstrip(_BLANKS), True)
    except expat.ExpatError as error:
        raise UnsafeXMLError(str(error)) from None


def _refuse_document_type(*_declaration: object) -> None:
    raise UnsafeXMLError("a document type is not allowed")
