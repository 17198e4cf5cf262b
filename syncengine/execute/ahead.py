"""Make the next item while the one before is in use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Yield an iterator over the items; each is made by one thread while the caller has the one before.

    No thread is left, and no item is being made, once the block is done.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="syncengine-ahead") as pool:

        def each() -> Iterator[T]:
            coming = pool.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = pool.submit(next, items, None)
                yield item

        yield each()
