"""PostgreSQL's wire protocol, as far as a proxy has to know it: where messages end, and which of them commit."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

# A connection's first message has no type byte; these codes ask for something other than a session.
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
# Each of these is answered by one ReadyForQuery.
ASKING = b"QSF"
READY = b"Z"

_COMMIT = re.compile(rb"(?:\A|;)\s*(?:COMMIT|END)\b[^;]*;?\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One whole message as it was sent; `kind` is its type byte, empty for a connection's first."""

    kind: bytes
    data: bytes

    @property
    def commits(self) -> bool:
        """Tell whether it ends a transaction, as a simple query or as a statement to be parsed."""
        if self.kind == b"Q":
            return _COMMIT.search(self.data[5:].rstrip(b"\0")) is not None
        if self.kind == b"P":
            return _COMMIT.search(self.data[5:].split(b"\0")[1]) is not None
        return False

    @property
    def code(self) -> int:
        """Return the protocol version, or the request that stands in its place, of a first message."""
        return int(struct.unpack_from("!I", self.data, 4)[0])


class Framing:
    """Cuts a stream of bytes into messages."""

    def __init__(self, *, typed: bool) -> None:
        self.typed = typed
        self._pending = bytearray()

    def feed(self, block: bytes) -> Iterator[Message]:
        """Yield the messages that a block completes.  `typed` may be changed between two of them."""
        self._pending += block
        while True:
            start = 1 if self.typed else 0
            if len(self._pending) < start + 4:
                return
            length = start + int(struct.unpack_from("!I", self._pending, start)[0])
            if len(self._pending) < length:
                return
            data = bytes(self._pending[:length])
            del self._pending[:length]
            yield Message(kind=data[:start], data=data)
