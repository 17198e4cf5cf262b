"""A TCP proxy in front of a PostgreSQL server that breaks connections at a chosen message.

One thread per connection carries both directions, so what an action waits for, both directions wait for.
"""

from __future__ import annotations

import enum
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tests.faults.wire import ASKING, CANCEL_REQUEST, GSS_REQUEST, READY, SSL_REQUEST, Framing, Message

HOST = "127.0.0.1"
BLOCK = 65536
POLL_SECONDS = 0.05
CONNECT_SECONDS = 5.0
# Closing with this on sends RST, as a firewall or a crashed peer's kernel does.
RESET = struct.pack("ii", 1, 0)


class Deal(enum.Enum):
    """What is done with the message that sprang a trap."""

    FORWARD = "forward"
    DROP = "drop it and cut"
    SWALLOW = "forward it, swallow the answer and cut"


@dataclass(slots=True, kw_only=True, eq=False)
class Trap:
    """Springs once, at the client's message number `at`, or at its COMMIT number `at` if `commits`.

    `act` is called before the message goes on, `then` once a swallowed answer has come.
    """

    at: int
    commits: bool = False
    deal: Deal = Deal.FORWARD
    act: Callable[[], None] | None = None
    then: Callable[[], None] | None = None
    sprung: bool = False


class Proxy:
    """Listens on a port of its own; everything goes through untouched until told otherwise.

    `latency` are seconds by which each block is late, `cut_after` the bytes after which the clients are cut off.
    """

    def __init__(self, url: str) -> None:
        self.upstream = url
        self.latency = 0.0
        self.cut_after: int | None = None
        self.messages = 0
        self.commits = 0
        self.bytes = 0
        self._hole_until = 0.0
        self._traps: list[Trap] = []
        self._links: list[_Link] = []
        self._lock = threading.RLock()
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Only a shutdown wakes who waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def url(self, url: str) -> str:
        """Return the URL of the same database by way of the proxy."""
        parts = urlsplit(url)
        account = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{account}@{HOST}:{self.port}"))

    def reset(self) -> None:
        """Be a plain wire again, and count from 0."""
        with self._lock:
            self._traps = []
            self.latency, self.cut_after, self._hole_until = 0.0, None, 0.0
            self.messages = self.commits = self.bytes = 0

    def trap(self, trap: Trap) -> Trap:
        with self._lock:
            self._traps.append(trap)
        return trap

    def cut(self) -> None:
        """Reset all connections that are open now."""
        with self._lock:
            for link in self._links:
                link.doomed = True

    def blackhole(self, seconds: float) -> None:
        """Let nothing through for a while, on any connection; nothing is lost."""
        self._hole_until = time.monotonic() + seconds

    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.upstream)
        return parts.hostname or HOST, parts.port or 5432

    def count(self, message: Message) -> Trap | None:
        """Count a client's message; return the trap that it springs."""
        with self._lock:
            self.messages += 1
            self.commits += message.commits
            self.bytes += len(message.data)
            for trap in self._traps:
                reached = self.commits if trap.commits else self.messages
                if not trap.sprung and reached >= trap.at and (message.commits or not trap.commits):
                    trap.sprung = True
                    return trap
        return None

    def hold_back(self) -> None:
        """Wait as long as latency or a black hole ask for."""
        time.sleep(max(self.latency, self._hole_until - time.monotonic(), 0))

    def forget(self, link: _Link) -> None:
        with self._lock:
            self._links.remove(link)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                link = _Link(self, client)
                with self._lock:
                    self._links.append(link)
                threading.Thread(target=link.carry, name="proxy-link", daemon=True).start()


class _Cut(Exception):
    """The connection is to be reset."""


class _Link:
    """One client's connection and ours to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server: socket.socket | None = None
        self._asked = 1  # the start of the session is answered by a ReadyForQuery as well
        self._answered = 0
        self._swallow_until: int | None = None
        self._then: Callable[[], None] | None = None
        self.doomed = False

    def carry(self) -> None:
        """Carry messages both ways until either side ends, or a fault does."""
        try:
            with suppress(OSError):
                self._server = server = socket.create_connection(self._proxy.address(), CONNECT_SECONDS)
                server.settimeout(None)
                for end in (self._client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._exchange(self._client, server)
        except _Cut:
            for peer in (self._client, self._server):
                if peer is not None:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        finally:
            self._client.close()
            if self._server is not None:
                self._server.close()
            self._proxy.forget(self)

    def _exchange(self, client: socket.socket, server: socket.socket) -> None:
        asked, answers = Framing(typed=False), Framing(typed=True)
        while True:
            ready, _, _ = select.select([client, server], [], [], POLL_SECONDS)
            if self.doomed:
                raise _Cut
            for end in ready:
                block = end.recv(BLOCK)
                if not block:
                    return
                self._proxy.hold_back()
                if end is client:
                    self._from_client(asked, block, client, server)
                else:
                    self._from_server(answers, block, client)

    def _from_client(
        self, framing: Framing, block: bytes, client: socket.socket, server: socket.socket
    ) -> None:
        for message in framing.feed(block):
            if not framing.typed:
                if message.code in (SSL_REQUEST, GSS_REQUEST):
                    client.sendall(b"N")
                    continue
                framing.typed = message.code != CANCEL_REQUEST
            elif message.kind != b"p":  # not passwords: how many there are differs with the method
                self._meet(message)
            server.sendall(message.data)
            self._asked += message.kind != b"" and message.kind in ASKING
            limit = self._proxy.cut_after
            if limit is not None and self._proxy.bytes >= limit:
                raise _Cut

    def _meet(self, message: Message) -> None:
        trap = self._proxy.count(message)
        if trap is None:
            return
        if trap.act is not None:
            trap.act()
        self._proxy.hold_back()
        if self.doomed or trap.deal is Deal.DROP:
            raise _Cut
        if trap.deal is Deal.SWALLOW:
            self._swallow_until, self._then = self._asked + 1, trap.then

    def _from_server(self, framing: Framing, block: bytes, client: socket.socket) -> None:
        for message in framing.feed(block):
            self._answered += message.kind == READY
            if self._swallow_until is None:
                client.sendall(message.data)
            elif self._answered >= self._swallow_until:
                if self._then is not None:
                    self._then()
                raise _Cut
