"""XML from the network: expat with everything switched off that an S3 answer never needs.

Why not defusedxml: its last stable release is from 2021, and what it adds over expat is the refusal of
document types, which is one handler here. Without a document type there are no entities to declare, so
neither a bomb ("billion laughs") nor an external entity can exist. The encoding is fixed to UTF-8, which
is what S3 sends, so a document cannot pick one of Python's codecs either. One pass, no recursion, no tree.
"""

from collections.abc import Callable
from xml.parsers import expat


class UnsafeXMLError(ValueError):
    """The text is not well-formed XML in UTF-8, or has a document type."""


def scan(body: bytes | bytearray, on_end: Callable[[str, str], object]) -> None:
    """Read a document, calling back at the end of every element.

    Args:
        body: The document.
        on_end: Called with the element's name and the text between its last child (or its start) and
            its end: for an element without children, all its text.

    Raises:
        UnsafeXMLError: The document is refused; what came before the fault has been reported.
    """
    parser = expat.ParserCreate(encoding="UTF-8")
    parser.buffer_text = True
    text: list[str] = []

    def end(name: str) -> None:
        on_end(name, "".join(text))
        text.clear()

    parser.StartElementHandler = lambda _name, _attributes: text.clear()
    parser.CharacterDataHandler = text.append
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(bytes(body), True)
    except expat.ExpatError as error:
        raise UnsafeXMLError(str(error)) from None


def _refuse_document_type(*_declaration: object) -> None:
    raise UnsafeXMLError("a document type is not allowed")
