"""Read an asynchronous iterable from another thread, as if it were an ordinary iterator."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

# One hop between threads costs about as much as making a hundred rows.
BATCH = 500


def from_async(rows: AsyncIterable[object], loop: asyncio.AbstractEventLoop) -> Iterator[object]:
    """Yield what `rows` yields, fetched by `loop`, which must run in another thread, BATCH rows at a time.

    What the iterable raises comes after the rows before it.  An asynchronous generator is closed at the end,
    also when the caller stops early.
    """
    from asyncio import run_coroutine_threadsafe

    iterator = aiter(rows)
    try:
        more = True
        while more:
            batch, more, error = run_coroutine_threadsafe(_batch(iterator), loop).result()
            yield from batch
            if error is not None:
                raise error
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None and loop.is_running():
            # The loop may still be inside the generator, if a batch was interrupted; and what a generator raises as it
            # ends would only hide why it is ended.
            with suppress(Exception):
                run_coroutine_threadsafe(_close(iterator), loop).result()


async def _batch(iterator: AsyncIterator[object]) -> tuple[list[object], bool, Exception | None]:
    """Return up to BATCH rows, whether more may follow, and what went wrong after them."""
    batch: list[object] = []
    try:
        while len(batch) < BATCH:
            batch.append(await anext(iterator))
    except StopAsyncIteration:
        return batch, False, None
    except Exception as error:
        return batch, False, error
    return batch, True, None


async def _close(iterator: object) -> None:
    await iterator.aclose()  # type: ignore[attr-defined]  # only asynchronous generators get here
