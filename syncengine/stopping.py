"""End threads that wait for the server: their statements are cancelled until they have ended, or patience has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

import psycopg

from syncengine.connect import cancel

# A thread may have been between two statements when it was told.
REMINDER = 0.3


def end(
    threads: Sequence[threading.Thread],
    busy: Callable[[], Iterable[psycopg.Connection[Any]]],
    patience: float,
) -> bool:
    """Cancel what runs on the `busy` connections until all threads have ended; tell whether they have."""
    deadline = monotonic() + patience
    asking: list[threading.Thread] = []
    while any(thread.is_alive() for thread in threads) and monotonic() < deadline:
        for connection in busy():
            ask = threading.Thread(target=cancel, args=(connection, patience), daemon=True)
            ask.start()
            asking.append(ask)
        _join(threads, min(deadline, monotonic() + REMINDER))
    # One that is still under way would hit what is done on the connection next.
    _join(asking, deadline)
    return not any(thread.is_alive() for thread in threads)


def _join(threads: Sequence[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
