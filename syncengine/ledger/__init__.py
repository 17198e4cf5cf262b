"""The engine's memory in the target's database: which runs there were, and how far they came."""

from syncengine.ledger.entry import Entry, Opening, conclude, enter, finish, own_pid, renew, state, tell
from syncengine.ledger.heartbeat import heartbeat
from syncengine.ledger.orphans import collect, intact
from syncengine.ledger.progress import (
    committed_chunks,
    counts_of_chunks,
    counts_of_run,
    forget_chunks,
    is_in_the_way,
    last_chunk,
)
from syncengine.ledger.records import runs, runs_called
from syncengine.ledger.timing import PATIENCE, lease_seconds

__all__ = [
    "PATIENCE",
    "Entry",
    "Opening",
    "collect",
    "committed_chunks",
    "conclude",
    "counts_of_chunks",
    "counts_of_run",
    "enter",
    "finish",
    "forget_chunks",
    "heartbeat",
    "intact",
    "is_in_the_way",
    "last_chunk",
    "lease_seconds",
    "own_pid",
    "renew",
    "runs",
    "runs_called",
    "state",
    "tell",
]
