"""Turn the bytes of a text file into UTF-8: encodings, byte order marks, and signs of a wrong encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from syncengine.errors import Location, SourceError, SpecError
from syncengine.sources._decompress import MAGIC

BOM = codecs.BOM_UTF8


def codec_name(encoding: str) -> str:
    """Return Python's own name of a text encoding; SpecError if there is none of that name."""
    try:
        "a".encode(encoding)  # a lookup alone finds base64 and its like as well
        return codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        raise SpecError(
            f'unknown encoding "{encoding}"', hint="such as utf-8, utf-16, latin-1, cp1252"
        ) from error


def utf8(blocks: Iterable[bytes], encoding: str, label: str) -> Iterator[bytes]:
    """Yield the text as UTF-8 without a byte order mark.  UTF-8 itself passes unchecked."""
    if encoding in ("utf-8", "utf-8-sig"):
        return _without_bom(blocks)
    return _without_bom(_transcoded(blocks, encoding, label))


def _without_bom(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = iter(blocks)
    head = b""
    for block in rest:
        head += block
        if len(head) >= len(BOM):
            break
    head = head.removeprefix(BOM)
    if head:
        yield head
    yield from rest


def _transcoded(blocks: Iterable[bytes], encoding: str, label: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    fed = lines = 0
    try:
        for block in blocks:
            fed += len(block)
            text = decoder.decode(block)
            lines += text.count("\n")
            yield text.encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode(encoding, "ignore")
        # The header may stand there, which is needed to tell what the bad record lacks.
        yield good.encode()
        raise SourceError(
            f"{label} is not valid {encoding}: {error.reason}",
            detail=f"at byte {fed - len(error.object) + error.start}: {_hex(error.object[error.start :])}",
            hint="state the right `encoding`",
            location=Location(label, lines + good.count("\n") + 1),
        ) from error
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{label} holds half of a surrogate pair, which is no text",
            location=Location(label, lines + 1),
        ) from error


def _hex(data: bytes) -> str:
    return " ".join(f"0x{byte:02x}" for byte in data[:4])


def check_plain_text(head: bytes, label: str) -> None:
    """Raise SourceError if the head of a file that should be UTF-8 is UTF-16, UTF-32 or compressed."""
    for magic, compression in MAGIC:
        if magic.match(head):
            raise SourceError(
                f"{label} is compressed with {compression}",
                hint=f"compression: {compression}",
                location=Location(label),
            )
    if encoding := _wide(head[:1024]):
        raise SourceError(
            f"{label} looks like {encoding.upper()}, not UTF-8",
            hint=f"encoding: {encoding}",
            location=Location(label),
        )


def _wide(head: bytes) -> str | None:
    """Return the encoding of two or four bytes a character that a text seems to have."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"  # its little-endian mark starts like that of UTF-16
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.count(b"\0") * 3 < max(len(head), 1):
        return None
    return "utf-16-le" if head[1::2].count(b"\0") >= head[::2].count(b"\0") else "utf-16-be"
