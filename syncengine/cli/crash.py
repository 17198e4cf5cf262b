"""An error that nobody foresaw: told without a secret, wherever it comes up."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType

import click

# The exit code of failures; what was not committed is rolled back.
FAILED = 1
_LONGEST = 300
_HINT = "this is a fault of syncengine: report it with these lines; what was not committed is rolled back"


def told(error: BaseException) -> str:
    """Return what happened and where: no values of variables, and of the error's own words the first line.

    The errors behind it are left out, for the server's quote rows.
    """
    from syncengine.redact import redact

    # Masked before it is cut: a part of a secret would not be known as one.
    words = redact(str(error)).strip().partition("\n")[0]
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"  at:     {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    kind = type(error).__qualname__
    first = f"unexpected {kind}: {words}" if words else f"unexpected {kind}"
    return redact("\n".join([first, *places, f"  hint:   {_HINT}"]))


def install() -> None:
    """Have told so what Python would print by itself: errors at the end, in threads, where nobody can catch them."""
    sys.excepthook = _unhandled
    threading.excepthook = lambda args: _tell(args.exc_value)
    sys.unraisablehook = lambda args: _tell(args.exc_value)


def _unhandled(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _tell(error)


def _tell(error: BaseException | None) -> None:
    if error is not None and not isinstance(error, SystemExit):
        click.echo(told(error), err=True)
