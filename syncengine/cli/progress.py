"""A progress bar on a terminal: rows, megabytes, rate, time remaining."""

from __future__ import annotations

from threading import get_ident
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from syncengine.model import events as ev


class Bars:
    """One bar for each spec under way; it goes when the spec is done, for the report says the rest.

    Specs that run at the same time do so in a thread each.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[step]}", style="dim"),
            console=self._console,
            transient=True,
        )
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def announce(self, name: str, place: str, note: str | None) -> None:
        """Say which database is used."""
        self._console.print(f"target database: {place} (chosen by {name})", markup=False, style="dim")
        if note:
            self._console.print(note, markup=False)

    def emit(self, event: ev.Event) -> None:
        """Move the bar."""
        match event:
            case ev.SpecStarted():
                task = self._progress.add_task(event.name, total=event.bytes, rows="", step="")
                self._tasks[get_ident()] = task
            case ev.SpecFinished() | ev.SpecFailed():
                done = self._tasks.pop(get_ident(), None)
                if done is not None:
                    self._progress.remove_task(done)
            case ev.StepStarted():
                self._show(step=event.step)
            case ev.Progress():
                rows = f"{event.rows:,} rows" if event.rows is not None else ""
                self._show(completed=event.bytes, rows=rows)
            case ev.RowsRead():
                self._show(completed=event.bytes, total=event.bytes, rows=f"{event.rows:,} rows")
            case _:
                pass

    def _show(self, *, completed: int | None = None, total: int | None = None, **fields: str) -> None:
        task = self._tasks.get(get_ident())
        if task is not None:
            known: dict[str, Any] = dict(fields)
            self._progress.update(task, completed=completed, total=total, **known)
