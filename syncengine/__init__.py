"""Keep PostgreSQL tables in step with data.

The names in `__all__` are public; nothing else is promised to callers.  Importing this module is cheap: drivers and
parsers are imported by the first call that needs them.
"""

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
