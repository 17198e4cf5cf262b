"""Every error that syncengine raises.

SyncError
├── SpecError            the text of a spec or project file is wrong; several are gathered in SpecErrors
│   └── NotAvailable     a documented key or value that this version does not carry out
├── SpecErrors           all problems of one call, at once
├── OptionError          a command-line option or an argument of the Python API is wrong
├── TargetError          the table, as the catalog shows it, cannot take the rows
│   ├── NoArbiterIndex   no unique index can arbitrate the conflict target
│   └── MissingPrivilege the role lacks a right
├── NoStrategyFits       every strategy refused
├── ConnectionFailed     no server, wrong password, unknown database
├── EmbeddedError        the embedded server cannot be installed, started or reached
├── SourceError          a file is missing, empty, unreadable or changed; an iterator raised
├── BadRow               a row that the target's types or constraints refuse
├── TooManyBadRows       more rows would go to the quarantine than `bad_rows.max` allows
├── DuplicateKeys        one source holds several different rows with one key
├── NullKeys             a conflict key is NULL, or outside conflict_where
├── AmbiguousKey         a key of a mode without an index matches several stored rows
├── UnresolvedLookup     a lookup found no row, or several, for a natural key
├── Blocked              stopped before anything was published, by what the spec itself allows
│   ├── LimitExceeded    a limit such as `max_deletes` or `min_rows`
│   ├── CheckFailed      a query under `checks` was false or NULL
│   ├── UnreadableKeys   a mode that deletes what is gone can't read the keys of all rows
│   ├── WouldCascade     deleting would take rows of other tables along
│   └── Locked           another run of the same spec into the same target is under way
├── TakenOver            another process has gone on with this run
├── UnfinishedRun        an earlier run can neither go on nor be started over without writing rows twice
├── GroupRolledBack      a spec that is published together with this one failed
├── DatabaseError        anything else that the server answered
│   └── Conflict         another transaction was in the way
├── BooksDoNotClose      rows_read is not the sum of the classes; nothing was published
├── DependencyFailed     a spec was not run, as one that it depends on failed
└── Interrupted          Ctrl-C or SIGTERM

`code` is stable and names the error for machines, `exit_code` is docs/spec.md §6's, `retryable` tells whether the same
call may succeed later, `sqlstate` is the server's where the error is the server's.  Errors pickle: engines send them
home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file; line and column count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = (self.file, *(str(part) for part in (self.line, self.column) if part))
        return ":".join(parts)


class SyncError(Exception):
    """What went wrong, where, what was seen there, and how to put it right.

    `row` is the number of the row that it is about, from 1 among those that were sent together, where that is known.
    """

    code: ClassVar[str] = "error"
    exit_code: int = 1
    retryable: ClassVar[bool] = False
    sqlstate: str | None = None
    row: int | None = None

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.location = location

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.__dict__.copy(), self.args))

    def __str__(self) -> str:
        lines = [f"{self.location}: {self.message}" if self.location else self.message]
        lines += [f"  detail: {self.detail}"] if self.detail else []
        lines += [f"  hint:   {self.hint}"] if self.hint else []
        return "\n".join(lines)

    def document(self) -> dict[str, object]:
        """Return the error as docs/spec.md §6 shapes it in JSON; `location` is None or {file, line, column}."""
        place = self.location
        where = {"file": place.file, "line": place.line, "column": place.column} if place else None
        return {
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
            "hint": self.hint,
            "location": where,
        }

    def each(self) -> tuple[SyncError, ...]:
        """Return the single problems this error stands for."""
        return (self,)


def _rebuild(cls: type[SyncError], state: dict[str, object], args: tuple[object, ...]) -> SyncError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SpecError(SyncError):
    code = "invalid-spec"
    exit_code = 3


class NotAvailable(SpecError):
    code = "not-available"


class SpecErrors(SyncError):
    """All problems found in the specs of one call, in file order."""

    code = "invalid-spec"
    exit_code = 3

    def __init__(self, errors: Sequence[SyncError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(first.message, detail=first.detail, hint=first.hint, location=first.location)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.errors,))

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)

    def each(self) -> tuple[SyncError, ...]:
        return tuple(single for error in self.errors for single in error.each())


class OptionError(SyncError):
    code = "invalid-option"
    exit_code = 3


class TargetError(SyncError):
    code = "target-unfit"
    exit_code = 3


class NoArbiterIndex(TargetError):
    code = "no-arbiter-index"


class MissingPrivilege(TargetError):
    code = "missing-privilege"


class NoStrategyFits(SyncError):
    code = "no-strategy-fits"
    exit_code = 3


class ConnectionFailed(SyncError):
    code = "connection-failed"
    retryable = True


class EmbeddedError(SyncError):
    code = "embedded-server"


class SourceError(SyncError):
    code = "source-unreadable"


class BadRow(SyncError):
    code = "bad-row"


class TooManyBadRows(SyncError):
    code = "too-many-bad-rows"


class DuplicateKeys(SyncError):
    code = "duplicate-keys"


class NullKeys(SyncError):
    code = "null-keys"


class AmbiguousKey(SyncError):
    code = "ambiguous-key"


class UnresolvedLookup(SyncError):
    code = "unresolved-lookup"


class Blocked(SyncError):
    code = "blocked"
    exit_code = 5


class LimitExceeded(Blocked):
    code = "limit-exceeded"


class CheckFailed(Blocked):
    code = "check-failed"


class UnreadableKeys(Blocked):
    code = "unreadable-keys"


class WouldCascade(Blocked):
    code = "would-cascade"


class Locked(Blocked):
    """`run`: the one that is under way."""

    code = "locked"
    retryable = True
    run: str | None = None


class TakenOver(SyncError):
    code = "taken-over"


class UnfinishedRun(SyncError):
    code = "unfinished-run"


class GroupRolledBack(SyncError):
    """Nothing was published, for another spec of the group failed; it leaves with that one's exit code."""

    code = "group-rolled-back"


class DatabaseError(SyncError):
    code = "database-error"


class Conflict(DatabaseError):
    """Another transaction was in the way; the same statements may succeed now."""

    code = "conflict"
    retryable = True


class BooksDoNotClose(SyncError):
    code = "books-do-not-close"


class DependencyFailed(SyncError):
    code = "dependency-failed"


class Interrupted(SyncError):
    code = "interrupted"
    exit_code = 130
