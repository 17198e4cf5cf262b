"""Events -> structlog: console lines or JSON on standard error; the only importer of structlog."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, TextIO, assert_never

from syncengine.errors import SyncError
from syncengine.model import events as ev

if TYPE_CHECKING:
    import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Lines of at least a level, with fields that all of them have.

    structlog is imported for the first line that is written: a command that has nothing to say does not wait for it.
    """

    def __init__(self, form: str, least: int, bound: Mapping[str, object]) -> None:
        self._form = form
        self._least = least
        self._bound = bound

    def bind(self, **fields: object) -> Log:
        return Log(self._form, self._least, {**self._bound, **fields})

    def write(self, level: str, event: str, **fields: object) -> None:
        if _LEVELS[level] >= self._least:
            getattr(_writer(self._form, sys.stderr), level)(event, **self._bound, **fields)

    def debug(self, event: str, **fields: object) -> None:
        self.write("debug", event, **fields)

    def info(self, event: str, **fields: object) -> None:
        self.write("info", event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        self.write("warning", event, **fields)

    def error(self, event: str, **fields: object) -> None:
        self.write("error", event, **fields)


def configure(*, form: str, level: str) -> Log:
    """Return a logger that writes `console` or `json` lines of at least this level to standard error."""
    if form == "json":
        _writer(form, sys.stderr)  # there is no time for it once an interruption is to be told
    return Log(form, _LEVELS[level], {})


@cache
def _writer(form: str, stream: TextIO) -> structlog.typing.FilteringBoundLogger:
    import structlog

    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=16, sort_keys=False)
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redacted,
            *((_without_nothing,) if form == "console" else ()),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS["debug"]),
    )
    return logger


def _redacted(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Mask secrets in every text; the last step before a line is written."""
    from syncengine.redact import redact

    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def _without_nothing(
    logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave out what is not known, for people."""
    return {key: value for key, value in event.items() if value not in (None, "")}


def emitter(logger: Log, run_id: str, *, steps: str = "info") -> ev.Emit:
    """Return an Emit that writes one line an event, with the run's id, the spec and the step.

    `steps` is the level of the lines for single steps: for people they are details, for machines they are not.
    """
    # Specs that run at the same time do so in a thread each.
    here = threading.local()

    def emit(event: ev.Event) -> None:
        if isinstance(event, ev.SpecStarted | ev.SpecTurn):
            here.spec = event.name
        _write(logger.bind(run_id=run_id, spec=getattr(here, "spec", "")), event, steps)

    return emit


def _write(log: Log, event: ev.Event, steps: str) -> None:
    match event:
        case ev.SpecStarted():
            log.info("spec started", mode=event.mode, strategy=event.strategy, target=event.target)
        case ev.SpecTurn():
            pass
        case ev.UnitStarted():
            log.debug("unit started", unit=event.unit, attempt=event.attempt)
        case ev.StepStarted():
            log.debug("step started", unit=event.unit, step=event.step)
        case ev.StepFinished():
            seconds = round(event.seconds, 4)
            log.write(steps, "step", unit=event.unit, step=event.step, rows=event.rows, seconds=seconds)
        case ev.RowsRead():
            log.info("rows read", rows=event.rows, bytes=event.bytes)
        case ev.BadRowsFound():
            log.warning("bad rows", rows=event.rows, unreadable_keys=event.unreadable)
        case ev.StartedOver():
            log.info("staging again to keep bad rows apart", reason=event.reason)
        case ev.RowsCounted():
            log.debug("rows counted", counter=event.counter, rows=event.rows)
        case ev.Classified():
            log.info(
                "classified",
                insert=event.insert,
                update=event.update,
                unchanged=event.unchanged,
                skipped=event.skipped,
                delete=event.delete,
            )
        case ev.UnitRolledBack():
            log.warning("rolled back", unit=event.unit, reason=event.reason, retry_in=event.retry_in)
        case ev.UnitCommitted():
            log.info("committed", unit=event.unit, seconds=round(event.seconds, 4))
        case ev.ChunkCommitted():
            chunk = f"{event.number}" if event.of is None else f"{event.number} of {event.of}"
            log.info("chunk committed", unit=event.unit, chunk=chunk, seconds=round(event.seconds, 4))
        case ev.Resumed():
            log.info("resumed", run=event.run, chunks=event.chunks, **_counted(event.counters))
        case ev.FoundCommitted():
            log.info("found committed", unit=event.unit, **_counted(event.counters))
        case ev.StagingLost():
            log.warning("staging lost in a crash of the server, filling it again", unit=event.unit)
        case ev.Tried():
            log.debug("tried", unit=event.unit, seconds=round(event.seconds, 4))
        case ev.Waiting():
            log.info("waiting", reason=event.message)
        case ev.PublishedBefore():
            log.info("published before", unit=event.unit)
        case ev.UnitRehearsed():
            log.debug("rehearsed", unit=event.unit, seconds=round(event.seconds, 4))
        case ev.FileWritten():
            log.info("file written", path=event.path, rows=event.rows)
        case ev.SpecFailed():
            log.error("spec failed", **_described(event.error))
        case ev.SpecFinished():
            log.info("spec finished", seconds=round(event.seconds, 4))
        case ev.Progress():
            log.debug("progress", rows=event.rows, bytes=event.bytes)
        case _:
            assert_never(event)


def _counted(counters: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counters.items() if count}


def announcer(logger: Log, run_id: str) -> Callable[[str, str, str | None], None]:
    """Return a function that logs which database was chosen and how."""

    def announce(name: str, place: str, note: str | None) -> None:
        log = logger.bind(run_id=run_id, spec="")
        log.info("target database", chosen_by=name, place=place, **({"note": note} if note else {}))

    return announce


def reporter(logger: Log, run_id: str) -> Callable[[str, SyncError | None], None]:
    """Return a function that logs what stopped a call before or between its specs."""

    def report(message: str, error: SyncError | None) -> None:
        log = logger.bind(run_id=run_id, spec="")
        if error is None:
            log.error("stopped", message=message)
        else:
            log.error("refused", **_described(error))

    return report


def _described(error: SyncError) -> dict[str, str]:
    place = str(error.location) if error.location else None
    known = {"code": error.code, "message": error.message, "location": place, "detail": error.detail}
    return {key: value for key, value in {**known, "hint": error.hint}.items() if value}
