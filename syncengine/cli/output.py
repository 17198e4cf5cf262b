"""Where results, logs and progress go, and which exit code several specs make together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import click

from syncengine.cli.options import Logging
from syncengine.errors import SyncError
from syncengine.model import events as ev
from syncengine.protocols import View
from syncengine.redact import redact

# docs/spec.md §6: several specs leave with the first of these that applies.
_ORDER = (3, 1, 5, 4, 2, 0)
P = ParamSpec("P")
Announce = Callable[[str, str, str | None], None]


def exit_code(codes: Iterable[int]) -> int:
    """Return the exit code of a call from those of its specs.

    >>> exit_code([0, 1, 4]), exit_code([])
    (1, 0)
    """
    found = set(codes)
    return next((code for code in _ORDER if code in found), max(found, default=0))


def say(text: str) -> None:
    """Write a result to standard output; no secret gets through.  A reader that went away changes no exit code."""
    from syncengine.cli import silence

    try:
        click.echo(redact(text), nl=False)
    except BrokenPipeError:
        silence(sys.stdout)


def refuse(view: View, run_id: str, error: SyncError, log_format: str = "console") -> int:
    """Report problems that kept anything from being started; returns the exit code.

    In JSON, standard error has them as log lines already.
    """
    text = view.problems(run_id, error)
    if view.name != "text":
        say(text)
    elif log_format != "json":
        click.echo(redact(text), nl=False, err=True)
    return exit_code(single.exit_code for single in error.each())


def _unbroken(write: Callable[P, None]) -> Callable[P, None]:
    """Return `write` so that no run depends on standard error: a reader that went away misses the rest."""
    from syncengine.cli import silence

    def safe(*args: P.args, **more: P.kwargs) -> None:
        try:
            write(*args, **more)
        except BrokenPipeError:
            silence(sys.stderr)

    return safe


@contextmanager
def listening(run_id: str, logging: Logging) -> Iterator[tuple[ev.Emit, Announce]]:
    """Yield who is told of events and of the databases used: a progress bar at a terminal, else log lines."""
    from syncengine import logs

    bar = sys.stderr.isatty() and logging.form == "console" and not logging.quiet and logging.level == "info"
    level = "error" if logging.quiet else "warning" if bar else logging.level
    logger = logs.configure(form=logging.form, level=level)
    log = _unbroken(logs.emitter(logger, run_id, steps="info" if logging.form == "json" else "debug"))
    announce = _unbroken(logs.announcer(logger, run_id))
    if logging.form == "json":
        with _all_logged(_unbroken(logs.reporter(logger, run_id))):
            yield log, announce
        return
    if not bar:
        yield log, announce
        return
    from syncengine.cli.progress import Bars

    with Bars() as bars:

        def emit(event: ev.Event) -> None:
            log(event)
            bars.emit(event)

        yield emit, bars.announce


@contextmanager
def _all_logged(report: Callable[[str, SyncError | None], None]) -> Iterator[None]:
    """Log what else would be plain text between the lines of JSON: problems, interruptions, faults of ours."""
    from syncengine.cli import INTERRUPTS, crash
    from syncengine.cli.interrupts import told

    try:
        with INTERRUPTS.told_by(lambda stop: report(told(stop), None)):
            yield
    except SyncError as error:
        for single in error.each():
            report(single.message, single)
        raise
    except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
        raise
    except Exception as error:
        report(crash.told(error), None)
        raise click.exceptions.Exit(crash.FAILED) from error
