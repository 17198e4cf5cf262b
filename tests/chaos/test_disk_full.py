"""The disk is full: the run fails and says so, the target is as it was, and once there is room the next succeeds."""

from __future__ import annotations

import random

import pytest
from psycopg.sql import SQL, Identifier

from tests.chaos import judge, rounds
from tests.chaos.cases import CASES, world
from tests.chaos.conftest import ArenaOf
from tests.chaos.field import Field
from tests.conftest import newest
from tests.faults.disk import NotPermitted, fill, small_tablespace

IN_THE_WAY = {
    "target": "ALTER TABLE t SET TABLESPACE {space}",
    "staging": "ALTER DATABASE {database} SET default_tablespace = {space}",
}


@pytest.mark.parametrize("what", IN_THE_WAY)
@pytest.mark.parametrize("case", [name for name in ("add", "add-chunks") if name in rounds.possible()])
def test_a_full_disk_leaves_the_target_as_it_was_and_the_next_run_succeeds(
    arenas: ArenaOf, pytestconfig: pytest.Config, case: str, what: str
) -> None:
    arena = arenas(newest(pytestconfig))
    try:
        with (
            small_tablespace(arena.server, arena.server.folder) as space,
            arena.field(world(CASES[case], random.Random(1))) as field,
        ):
            fill_up(field, space, IN_THE_WAY[what])

            ended = rounds.run(field, field.url)

            judge.between(field, ended, "full disk")
            assert ended.code == 1
            assert ended.result["error"]["code"] == "database-error"
            assert "No space left on device" in str(ended.result["error"])
            make_room(field)
            judge.final(field, rounds.run(field, field.url))
            judge.remains(field)
    except NotPermitted as reason:
        pytest.skip(str(reason))


def fill_up(field: Field, space: str, statement: str) -> None:
    names = {"space": Identifier(space), "database": Identifier(field.database)}
    with field.connect() as connection:
        connection.execute(SQL(statement).format(**names))
        fill(connection, space)


def make_room(field: Field) -> None:
    with field.connect() as connection:
        connection.execute("DROP TABLE filler")
        # Pages that the failed run took from the file system.
        connection.execute("VACUUM t")
