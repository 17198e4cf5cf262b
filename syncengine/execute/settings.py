"""What the statements of a transaction rely on: the plan's settings, the search_path, and what one of them has alone.

Everything is set for the transaction only (SET LOCAL), so that a rollback takes it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Literal

from syncengine.ledger import lease_seconds
from syncengine.model.plan import Plan
from syncengine.sql.ledger import PART_SETTING

Setting = tuple[str, str]

PINNED_PATH = "pg_catalog, pg_temp"


def prepare(connection: Connection[TupleRow], plan: Plan, part: int, *more: Setting) -> None:
    """Set what all statements of a transaction rely on; `part` is the number of its chunk, 0 if it has none.

    `more` holds but where the plan says otherwise.
    """
    pairs = [("search_path", PINNED_PATH), *plan.settings]
    # A client that was stopped must not hold its locks for ever.
    pairs.append(("idle_in_transaction_session_timeout", f"{round(lease_seconds() * 1000)}ms"))
    if part:
        pairs.append((PART_SETTING, str(part)))
    connection.execute(_locally([*more, *pairs]))


@contextmanager
def under(connection: Connection[TupleRow], own: Sequence[Setting]) -> Iterator[None]:
    """Set what holds for one statement only."""
    if not own:
        yield
        return
    before = connection.execute(_locally(own, before=True)).fetchone()
    assert before is not None
    yield
    connection.execute(_locally([(name, str(value)) for (name, _), value in zip(own, before, strict=False)]))


@contextmanager
def unlimited(connection: Connection[TupleRow], plan: Plan) -> Iterator[None]:
    """Let a statement take its time: what limits it would count the time that the source takes as well."""
    connection.execute(_locally([("statement_timeout", "0")]))
    yield
    connection.execute(_locally([("statement_timeout", dict(plan.settings)["statement_timeout"])]))


def use_path(connection: Connection[TupleRow], plan: Plan, *, own: bool) -> None:
    """Switch to the role's own search_path, or back to the pinned one."""
    connection.execute(_locally([("search_path", plan.search_path if own else PINNED_PATH)]))


@contextmanager
def path(connection: Connection[TupleRow], plan: Plan, *, own: bool) -> Iterator[None]:
    """Have something done under the role's own search_path, if it is to be, and go back to the pinned one."""
    if own:
        use_path(connection, plan, own=True)
    yield
    if own:
        use_path(connection, plan, own=False)


def _locally(pairs: Sequence[Setting], *, before: bool = False) -> Composed:
    """Return the query that sets what is given; `before`: what was set until then comes first in its row."""
    now = [SQL("pg_catalog.current_setting({})").format(Literal(name)) for name, _ in pairs if before]
    calls = [SQL("pg_catalog.set_config({}, {}, true)").format(Literal(n), Literal(v)) for n, v in pairs]
    return SQL("SELECT {}").format(SQL(", ").join([*now, *calls]))
