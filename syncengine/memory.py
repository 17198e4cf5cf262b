"""The ledger as those see it who look back: what ran, and what dead runs left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncengine import catalog, ledger
from syncengine.again import KeptRow, kept_rows
from syncengine.errors import OptionError
from syncengine.model.record import RunRecord
from syncengine.sql.ledger import VERSION

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow


class Ledger:
    """The ledger in one database, which need not be there yet: then nothing ran."""

    def __init__(self, connection: psycopg.Connection[TupleRow], schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def runs(self, spec: str | None = None) -> tuple[RunRecord, ...]:
        """Return the runs of a spec, or of all, newest first."""
        return ledger.runs(self._connection, self._schema, spec) if self._is_there() else ()

    def run(self, name: str) -> RunRecord:
        """Return the run of this name, of which the beginning may do.  Raises OptionError."""
        found = ledger.runs_called(self._connection, self._schema, name) if self._is_there() else ()
        if not found:
            raise OptionError(f"the ledger knows no run {name!r}", hint="syncengine history lists them")
        if len(found) > 1:
            some = ", ".join(f"{one.run} ({one.spec})" for one in found[:20])
            raise OptionError(f"{len(found)} runs begin with {name!r}", hint=f"name one of {some}")
        return found[0]

    def kept_rows(
        self, *, run: str | None = None, spec: str | None = None, open_only: bool = False
    ) -> Iterator[KeptRow]:
        """Yield what is in quarantine, in order, of one run or spec; `open_only`: not what was loaded since."""
        if self._is_there():
            yield from kept_rows(self._connection, self._schema, run=run, spec=spec, open_only=open_only)

    def collect(self) -> list[str]:
        """Drop what dead runs left, and return its names."""
        if not self._is_there():
            return []
        return ledger.collect(self._connection, self._schema, every=True)

    def _is_there(self) -> bool:
        """Tell whether there are runs to look at: the ledger's first version kept none."""
        facts = catalog.server_facts(self._connection, engine_schema=self._schema)
        return facts.ledger_version >= VERSION
