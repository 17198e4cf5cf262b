"""The rights that `mirror`, `replace` and `history` need: just these are enough, and each that lacks is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

import syncengine
from syncengine.errors import SyncError
from tests.modecases import METHODS, by_id
from tests.runs import counts
from tests.servers import Database

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, v text, note text, gone boolean DEFAULT false);"
    "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"
)
VERSIONS = (
    "CREATE TABLE t (id int, v text, note text, valid_from timestamptz, valid_to timestamptz);"
    "INSERT INTO t VALUES (1, 'a', NULL, '2020-01-01'), (2, 'b', NULL, '2020-01-01'), (3, 'c', NULL, '2020-01-01')"
)
PASSWORD = "s3cr3t"
ROWS = [{"id": 1, "v": "a"}, {"id": 2, "v": "x"}, {"id": 4, "v": "d"}]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """A spec, the rights it needs, and what its error says where one of them lacks."""

    spec: dict[str, Any]
    rights: tuple[str, ...]
    ddl: str = TABLE
    says: dict[str, str] = field(default_factory=dict)
    books: dict[str, int] = field(
        default_factory=lambda: {"unchanged": 1, "updated": 1, "inserted": 1, "deleted": 1}
    )


KEYED = {"conflict_keys": ["id"]}
CASES: dict[str, Needs] = {
    "mirror": Needs(
        spec={"mode": "mirror", **KEYED}, rights=("SELECT", "INSERT (id, v)", "UPDATE (v)", "DELETE")
    ),
    "mirror-softly": Needs(
        spec={"mode": "mirror", **KEYED, "delete": {"soft": {"gone": "true"}}},
        rights=("SELECT", "INSERT (id, v)", "UPDATE"),
    ),
    "mirror-softly-with-a-stated-live": Needs(
        spec={"mode": "mirror", **KEYED, "delete": {"soft": {"gone": "true"}, "live": False}},
        rights=("SELECT", "INSERT (id, v, gone)", "UPDATE"),
    ),
    "replace-by-key": Needs(
        spec={"mode": "replace", **KEYED},
        rights=("SELECT", "INSERT (id, v)", "UPDATE (v, note, gone)", "DELETE"),
    ),
    "replace-without-a-key": Needs(
        spec={"mode": "replace"},
        rights=("SELECT", "INSERT (id, v)", "DELETE"),
        books={"unchanged": 1, "inserted": 2, "deleted": 2},
    ),
    "history": Needs(
        ddl=VERSIONS,
        spec={"mode": "history", **KEYED},
        rights=("SELECT", "INSERT (id, v, valid_from)", "UPDATE"),
    ),
}


@pytest.fixture
def guest(emptied: Database) -> Iterator[str]:
    """Make a role that may make temporary tables, and nothing else."""
    name = f"guest_{emptied.name}"
    emptied.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA public TO {name}")
    emptied.execute(f"REVOKE ALL ON DATABASE {emptied.name} FROM public")
    emptied.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {emptied.name} TO {name}")
    yield name
    emptied.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def run_as(db: Database, guest: str, spec: dict[str, Any], rows: list[dict[str, Any]]) -> syncengine.Report:
    whole = {"name": "t", "target": "t", **spec}
    return syncengine.run(
        whole, source=rows, connection=make_conninfo(db.direct, user=guest, password=PASSWORD)
    )


@pytest.mark.parametrize("method", METHODS)
@by_id(CASES)
def test_just_the_rights_that_are_needed_are_enough(emptied: Database, guest: str, case: Needs, method: str):
    emptied.execute(case.ddl)
    emptied.execute(f"GRANT {', '.join(case.rights)} ON t TO {guest}")

    spec = {**case.spec, "execution": {"method": method}}
    books = [counts(run_as(emptied, guest, spec, ROWS)) for _ in range(2)]

    assert books == [case.books, {"unchanged": 3}]


@pytest.mark.parametrize(
    ("case", "lacking"),
    [
        pytest.param(case, right, id=f"{name}-without-{right.partition(' ')[0].lower()}")
        for name, case in CASES.items()
        for right in case.rights
    ],
)
def test_a_right_that_lacks_is_named_before_reading(emptied: Database, guest: str, case: Needs, lacking: str):
    emptied.execute(case.ddl)
    emptied.execute(f"GRANT {', '.join(right for right in case.rights if right != lacking)} ON t TO {guest}")

    with pytest.raises(SyncError) as failure:
        run_as(emptied, guest, case.spec, ROWS)

    errors = failure.value.each()
    assert {(error.code, error.exit_code) for error in errors} == {("missing-privilege", 3)}
    for error in errors:
        emptied.execute(str(error.hint))
    assert counts(run_as(emptied, guest, case.spec, ROWS)) == case.books


def test_tables_that_deletes_may_cascade_to_must_be_readable(emptied: Database, guest: str):
    emptied.execute(
        f"{TABLE}; CREATE SCHEMA other; CREATE TABLE other.child (t int REFERENCES t ON DELETE CASCADE);"
        f"GRANT ALL ON t TO {guest}"
    )
    spec = {"mode": "mirror", **KEYED}

    with pytest.raises(SyncError) as failure:
        run_as(emptied, guest, spec, ROWS)

    assert (failure.value.code, failure.value.exit_code) == ("missing-privilege", 3)
    emptied.execute(str(failure.value.hint))
    assert counts(run_as(emptied, guest, spec, ROWS))["deleted"] == 1


def test_a_sequence_that_numbers_new_rows_must_be_usable(emptied: Database, guest: str):
    emptied.execute(f"CREATE TABLE t (n serial, id int PRIMARY KEY, v text); GRANT ALL ON t TO {guest}")

    with pytest.raises(SyncError) as failure:
        run_as(emptied, guest, {"mode": "mirror", **KEYED}, ROWS)

    assert (failure.value.code, failure.value.exit_code) == ("missing-privilege", 3)
    assert "t_n_seq" in str(failure.value)
