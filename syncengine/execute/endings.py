"""What ends a unit before its end, without being an error."""

from __future__ import annotations


class NothingToDo(Exception):
    """What is staged was published before; the unit is rolled back."""


class StagingGone(Exception):
    """The server crashed and emptied staging; it is to be filled again."""


class DoneAlready(Exception):
    """The run is done, as the ledger says; the unit is rolled back."""
