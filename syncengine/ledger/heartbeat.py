"""A thread that keeps a run's lease fresh, on a connection of its own that it opens once the run takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from syncengine.errors import SyncError
from syncengine.ledger.entry import Entry, renew
from syncengine.ledger.timing import lease_seconds

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

Connect = Callable[[], "psycopg.Connection[TupleRow]"]


@contextmanager
def heartbeat(entry: Entry, connect: Connect) -> Iterator[None]:
    """Renew the lease three times in its duration while the block runs."""
    done = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(entry, connect, done), name="syncengine-heartbeat", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()


def _beat(entry: Entry, connect: Connect, done: threading.Event) -> None:
    pause = lease_seconds() / 3
    while not done.wait(pause):
        # A connection that was lost is opened anew at the next beat.
        with suppress(SyncError), closing(connect()) as connection:
            while renew(connection, entry) and not done.wait(pause):
                pass
            if done.is_set():
                return
