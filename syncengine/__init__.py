"""Keep PostgreSQL tables in step with data.

The names in `__all__` are public; nothing else is promised to callers.  Importing this module is cheap: each name is
imported when it is first asked for, and drivers and parsers by the first call that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncengine.api import arun, plan, plan_all, run, run_all
    from syncengine.errors import (
        AmbiguousKey,
        BadRow,
        Blocked,
        BooksDoNotClose,
        CheckFailed,
        Conflict,
        ConnectionFailed,
        DatabaseError,
        DependencyFailed,
        DuplicateKeys,
        EmbeddedError,
        GroupRolledBack,
        LimitExceeded,
        Location,
        MissingPrivilege,
        NoArbiterIndex,
        NoStrategyFits,
        NotAvailable,
        NullKeys,
        OptionError,
        SourceError,
        SpecError,
        SpecErrors,
        SyncError,
        TargetError,
        UnresolvedLookup,
        WouldCascade,
    )
    from syncengine.loading import load
    from syncengine.model.plan import Plan
    from syncengine.model.report import Report

__all__ = [
    "AmbiguousKey",
    "BadRow",
    "Blocked",
    "BooksDoNotClose",
    "CheckFailed",
    "Conflict",
    "ConnectionFailed",
    "DatabaseError",
    "DependencyFailed",
    "DuplicateKeys",
    "EmbeddedError",
    "GroupRolledBack",
    "LimitExceeded",
    "Location",
    "MissingPrivilege",
    "NoArbiterIndex",
    "NoStrategyFits",
    "NotAvailable",
    "NullKeys",
    "OptionError",
    "Plan",
    "Report",
    "SourceError",
    "SpecError",
    "SpecErrors",
    "SyncError",
    "TargetError",
    "UnresolvedLookup",
    "WouldCascade",
    "arun",
    "load",
    "plan",
    "plan_all",
    "run",
    "run_all",
]

# Where the names are that are no errors.
_ROOMS = {
    **dict.fromkeys(("arun", "plan", "plan_all", "run", "run_all"), "syncengine.api"),
    "load": "syncengine.loading",
    "Plan": "syncengine.model.plan",
    "Report": "syncengine.model.report",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_ROOMS.get(name, "syncengine.errors")), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
