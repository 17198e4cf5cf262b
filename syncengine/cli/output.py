"""Where results, logs and progress go, and which exit code several specs make together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

from syncengine.errors import SyncError
from syncengine.model import events as ev
from syncengine.protocols import View
from syncengine.redact import redact

# SPEC.md §6: several specs leave with the first of these that applies.
_ORDER = (3, 1, 5, 4, 2, 0)
Announce = Callable[[str, str, str | None], None]


def exit_code(codes: Iterable[int]) -> int:
    """Return the exit code of a call from those of its specs.

    >>> exit_code([0, 1, 4]), exit_code([])
    (1, 0)
    """
    found = set(codes)
    return next((code for code in _ORDER if code in found), max(found, default=0))


def say(text: str) -> None:
    """Write a result to standard output; no secret gets through."""
    click.echo(redact(text), nl=False)


def refuse(view: View, run_id: str, error: SyncError) -> int:
    """Report problems that kept anything from being started; returns the exit code."""
    text = view.problems(run_id, error)
    click.echo(redact(text), nl=False, err=view.name == "text")
    return exit_code(single.exit_code for single in error.each())


@contextmanager
def listening(run_id: str, log_format: str, log_level: str, quiet: bool) -> Iterator[tuple[ev.Emit, Announce]]:
    """Yield who is told of events and of the databases used: a progress bar at a terminal, else log lines."""
    from syncengine import logs

    bar = sys.stderr.isatty() and log_format == "console" and not quiet and log_level == "info"
    level = "error" if quiet else "warning" if bar else log_level
    logger = logs.configure(form=log_format, level=level)
    log = logs.emitter(logger, run_id, steps="info" if log_format == "json" else "debug")
    if not bar:
        yield log, logs.announcer(logger)
        return
    from syncengine.cli.progress import Bars

    with Bars() as bars:

        def emit(event: ev.Event) -> None:
            log(event)
            bars.emit(event)

        yield emit, bars.announce
