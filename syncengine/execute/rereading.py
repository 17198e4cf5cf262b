"""A source that is read batch by batch, and whose last chunk can be read once more (execute/reading.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Generic, Protocol, TypeVar

from syncengine.model.facts import Handover
from syncengine.protocols import Payload, Position, Source

Item = TypeVar("Item")


class Begun(Protocol):
    """A chunk that was begun at a place; `last` once it was read to the source's end."""

    start: Position
    last: bool


class Rereading(ABC, Generic[Item]):
    """`place` is where the next row begins.  What can't be read again (`keeps`) is kept until the chunk after.

    A failure of the source is raised where its next row would be, each time that is asked for: what has failed once
    must not pass for ended.
    """

    handover: Handover
    _coming: Iterator[Item]

    def __init__(self, source: Source, after: Position, *, keeps: bool) -> None:
        self.place = after
        self.keeps = keeps
        self._source = source
        self._ahead: deque[Item] = deque()
        self._kept: list[Item] = []
        self._chunk: Begun | None = None
        self._failure: Exception | None = None
        self._open(after)

    @property
    def ended(self) -> bool:
        """Tell whether the chunk that was begun last was the source's last one."""
        return self._chunk is not None and self._chunk.last

    @property
    def done(self) -> bool:
        """Tell whether no row is left; reads ahead to know."""
        try:
            while not self._ahead and self._failure is None:
                if (item := next(self._coming, None)) is None:
                    return True
                self._ahead.append(item)
        except Exception as error:
            self._failure = error
        return False

    def next(self) -> Item:
        """Return what comes next, once it is known that there is something."""
        if not self._ahead and self._failure is not None:
            raise self._failure
        return self._ahead.popleft()

    def rewind(self) -> None:
        """Go back to the beginning of the chunk that was begun last."""
        assert self._chunk is not None
        if self.keeps:
            self._put_back()
            self._kept.clear()
            self.place = self._chunk.start
        else:
            self.close()
            self._ahead.clear()
            self._failure = None
            self._open(self._chunk.start)
        self._chunk = None

    def close(self) -> None:
        self._stack.close()

    def _open(self, after: Position) -> None:
        self._stack = ExitStack()
        self._begin(self._stack.enter_context(self._source.open(self.handover, after)), after)
        self.place = after

    def _put_back(self) -> None:
        self._ahead.extendleft(reversed(self._kept))

    @abstractmethod
    def _begin(self, payload: Payload, after: Position) -> None:
        """Take what the source gives behind a place, which is `_coming` from then on."""
