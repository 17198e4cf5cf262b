"""A connection that is lost while a spec is planned, at whichever message, is told as what it is."""

from __future__ import annotations

import pytest

import syncengine
from syncengine.errors import ConnectionFailed, SyncError
from tests.faults.proxy import Deal, Proxy, Trap
from tests.servers import Database

pytestmark = pytest.mark.direct

SPEC = {
    "name": "t",
    "target": "t",
    "conflict_keys": ["id"],
    "update_columns": ["*", {"n": "target.n + 1"}],
    "where": "target.v <> excluded.v",
}


def planned(proxy: Proxy, db: Database) -> str | SyncError:
    try:
        return syncengine.plan(SPEC, source=[{"id": 1, "v": "x"}], connection=proxy.url(db.direct)).strategy
    except SyncError as error:
        return error


def test_a_connection_lost_while_planning_is_never_taken_for_anything_else(newdb: Database):
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, v text, n int)")
    with Proxy(newdb.direct) as proxy:
        strategy = planned(proxy, newdb)
        messages = proxy.messages
        outcomes = {}
        for number in range(1, messages + 1):
            proxy.reset()
            proxy.trap(Trap(at=number, deal=Deal.DROP))
            outcomes[number] = planned(proxy, newdb)

    strange = {
        number: outcome
        for number, outcome in outcomes.items()
        if outcome != strategy and not isinstance(outcome, ConnectionFailed)
    }
    assert messages > 10
    assert strange == {}
