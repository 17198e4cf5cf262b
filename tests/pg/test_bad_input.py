"""Bad files: each gives one clear error with its place and its remedy, and the target stays as it was."""

from __future__ import annotations

import bz2
import gzip
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard

import syncengine
from syncengine.errors import SyncError
from tests.builders import a_spec, untouched
from tests.conftest import GetServer, newest
from tests.servers import Database, Server

TABLE = """
CREATE TYPE mood AS ENUM ('calm', 'glad');
CREATE TABLE t (id int PRIMARY KEY, name varchar(10) NOT NULL, qty numeric(6,2), day date, doc jsonb, mood mood,
                note text);
INSERT INTO t VALUES (1, 'one', 1.50, '2024-01-01', '{"a": 1}', 'calm');
INSERT INTO t VALUES (2, 'two', 2)"""
MEGABYTES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A file and what is said of it: `line` is that of the error's place, which is in the spec if it is None."""

    data: bytes
    says: tuple[str, ...]
    line: int | None = 0
    code: str = "bad-row"
    source: dict[str, object] = field(default_factory=dict)


def bad(
    data: bytes | str,
    *says: str,
    line: int | None = 0,
    code: str = "bad-row",
    source: dict[str, object] | None = None,
) -> Bad:
    raw = data.encode() if isinstance(data, str) else data
    return Bad(data=raw, says=says, line=line, code=code, source=source or {})


def unreadable(data: bytes | str, *says: str, line: int = 0, source: dict[str, object] | None = None) -> Bad:
    return bad(data, *says, line=line, code="source-unreadable", source=source)


def unfit(data: str, *says: str) -> Bad:
    return bad(data, *says, line=None, code="invalid-spec")


FILES = {
    "empty-file": unreadable("", "is empty: a header line was expected"),
    "byte-order-mark-only": unreadable(b"\xef\xbb\xbf", "is empty"),
    "blank-line-only": unreadable("\n", "has no name", "header: [id, …]", line=1),
    "no-header": unfit("1,one\n2,two\n", "the source has: 1, one", "`header: false`"),
    "wrong-delimiter": unfit("id;name\n1;one\n", 'is `delimiter: ";"` missing?'),
    "wrong-delimiter-tab": unfit("id\tname\n1\tone\n", "is `delimiter: tab` missing?"),
    "unknown-field": unfit(
        "id,name,nite\n1,one,x\n", "'nite'", "did you mean 'note'?", "ignore_fields: ['nite']"
    ),
    "many-unknown-fields": unfit(
        "id,name,a,b,c,d\n1,one,1,2,3,4\n", "4 fields", "a, b, c, d", 'ignore_fields: "*"'
    ),
    "nothing-matches": unfit("a,b\n1,one\n", "the source has: a, b", "the table has: id, name, qty"),
    "header-names-one-twice": unreadable(
        "id,name,name\n1,a,b\n", "names name more than once", "skip_lines", line=1
    ),
    "header-with-an-empty-name": unreadable(
        "id,name,\n1,a,b\n", "field 3 of the header", "skip_lines", line=1
    ),
    "too-few-fields": bad("id,name,qty\n1,one,1\n2,two\n", "check delimiter", line=3),
    "too-many-fields": bad("id,name\n1,one\n2,two,3\n", "check delimiter", line=3),
    "blank-line": bad("id,name\n1,one\n\n2,two\n", "check delimiter", line=3),
    "open-quote": unreadable('id,name\n1,one\n2,"two\n3,three\n', "never closed", "close the quote", line=3),
    "open-quote-in-the-header": unreadable('id,"name\n1,one\n', "never closed", line=1),
    "after-a-value-of-several-lines": bad('id,name\n1,"o\n\nne"\n2,"t\nwo"\nx,y\n', "column id", line=7),
    "utf-16": unreadable("id,name\n1,one\n".encode("utf-16"), "looks like UTF-16", "encoding: utf-16"),
    "utf-16-without-mark": unreadable("id,name\n1,one\n".encode("utf-16-le"), "encoding: utf-16-le"),
    "utf-32": unreadable("id,name\n1,one\n".encode("utf-32"), "encoding: utf-32"),
    "utf-16-cut-off": unreadable(
        "id,name\n1,one\n".encode("utf-16")[:-1], "not valid utf-16", line=2, source={"encoding": "utf-16"}
    ),
    "broken-utf-8": bad("id,name\n1,one\n2,caf\xe9\n".encode("latin-1"), "encoding", "latin-1", line=3),
    "broken-utf-8-in-the-header": bad("id,na\xefme\n1,one\n".encode("latin-1"), "latin-1", line=1),
    "wrong-encoding-stated": unreadable(
        "id,name\n1,é\n", "not valid ascii", line=2, source={"encoding": "ascii"}
    ),
    "nul": bad(b"id,name\n1,one\n2,tw\0o\n", "NUL", line=3),
    "nul-in-the-header": bad(b"id,na\0me\n1,one\n", "NUL", line=1),
    "binary": bad(bytes(range(256)) * 4, "NUL", line=1),
    "compressed-without-saying": unreadable(gzip.compress(b"id,name\n1,one\n"), "compression: gzip"),
    "lone-backslash-dot": bad("id,name\n1,one\n\\.\n3,three\n", line=3),
    "text-in-a-number": bad(
        "id,name,qty\n1,one,1\n2,two,zwei\n", "column qty", '"zwei"', "mend the value", line=3
    ),
    "text-in-a-key": bad("id,name\n1,one\nx,two\n", "column id", '"x"', line=3),
    "number-out-of-range": bad(
        "id,name,qty\n1,one,1\n2,two,123456789\n", "column qty", "precision 6", line=3
    ),
    "integer-out-of-range": bad("id,name\n1,one\n99999999999,two\n", "column id", "out of range", line=3),
    "text-too-long": bad("id,name\n1,one\n2,two and a half\n", "column name", "varying(10)", line=3),
    "no-such-date": bad("id,name,day\n1,one,2024-02-30\n", "column day", "2024-02-30", line=2),
    "bad-json": bad('id,name,doc\n1,one,"{""a"": }"\n', "column doc", "json", line=2),
    "bad-enum-value": bad("id,name,mood\n1,one,sad\n", "column mood", "sad", line=2),
}
# Of several megabytes, so that no strategy for small sources takes them.
LARGE = {
    "megabytes-of-digits": bad(f"id,name,qty\n1,one,{'9' * MEGABYTES}\n", "column qty", line=2),
    "megabytes-in-a-number": bad(f"id,name,qty\n1,one,{'x' * MEGABYTES}\n", "column qty", line=2),
    "megabytes-in-json": bad(f'id,name,doc\n1,one,"{{""a"": {"x" * MEGABYTES}}}"\n', "column doc", line=2),
}
# What only a conflict target can find wrong; the place is that of conflict_keys in the spec.
KEYS = {
    "null-key": bad("id,name\n1,one\n,two\n", "is NULL", "id must not be NULL", line=None, code="null-keys"),
    "one-key-twice": bad(
        "id,name\n1,one\n2,b\n2,c\n", '{"id" : 2}', "duplicates: last", line=None, code="duplicate-keys"
    ),
}


@pytest.fixture(scope="module")
def target(server: Server) -> Iterator[Database]:
    """Make one database with the table for all tests that change nothing, on each server version in turn."""
    with server.database() as database:
        database.execute(TABLE)
        yield database


@pytest.fixture(scope="module")
def newtarget(servers: GetServer, pytestconfig: pytest.Config) -> Iterator[Database]:
    """Make the same, where the version does not matter."""
    with servers(newest(pytestconfig)).database() as database:
        database.execute(TABLE)
        yield database


def refused(db: Database, folder: Path, case: Bad, **keys: object) -> SyncError:
    """Run a spec for the case's file, see that nothing is written, and return the error."""
    (folder / "rows.csv").write_bytes(case.data)
    spec = a_spec(folder, {"path": "rows.csv", **case.source}, **keys)
    with untouched(db), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=db.url)
    return caught.value


def check(error: SyncError, case: Bad) -> None:
    assert error.code == case.code
    assert error.exit_code == (3 if case.code == "invalid-spec" else 1)
    for text in case.says:
        assert text in str(error)
    assert error.location is not None
    if case.line is None:
        assert error.location.file.endswith("spec.yaml")
    else:
        assert (error.location.file, error.location.line) == ("rows.csv", case.line)
    assert len(str(error)) < 1500


@pytest.mark.parametrize("case", (FILES | LARGE | KEYS).values(), ids=FILES | LARGE | KEYS)
def test_bad_file_is_refused_with_its_place(case: Bad, target: Database, tmp_path: Path):
    error = refused(target, tmp_path, case, conflict_keys=["id"], execution={"method": "staged"})

    check(error, case)


@pytest.mark.parametrize("case", (FILES | KEYS).values(), ids=FILES | KEYS)
def test_bad_small_file_is_refused_with_its_place(case: Bad, newtarget: Database, tmp_path: Path):
    error = refused(newtarget, tmp_path, case, conflict_keys=["id"], execution={"method": "rows"})

    check(error, case)


@pytest.mark.parametrize("case", (FILES | LARGE).values(), ids=FILES | LARGE)
def test_copy_into_the_target_refuses_a_bad_file_likewise(case: Bad, newtarget: Database, tmp_path: Path):
    error = refused(newtarget, tmp_path, case, mode="insert", execution={"method": "copy"})

    check(error, case)


@pytest.mark.parametrize("method", ["copy", "staged", "rows"])
def test_key_that_is_there_already_is_refused_in_mode_insert(method: str, target: Database, tmp_path: Path):
    case = bad("id,name\n3,three\n2,two\n", code="database-error")

    error = refused(target, tmp_path, case, mode="insert", execution={"method": method})

    assert error.sqlstate == "23505"
    assert "Key (id)=(2) already exists" in str(error)
    assert "conflict_keys" in str(error.hint)


def test_null_in_a_not_null_column_is_refused(target: Database, tmp_path: Path):
    error = refused(target, tmp_path, bad("id,name\n3,\n"), conflict_keys=["id"])

    assert error.code == "bad-row"
    assert 'null value in column "name"' in error.message
    assert "mend the source" in str(error.hint)


def test_row_99_999_of_100_000_is_found(target: Database, tmp_path: Path):
    lines = [f"{number},name {number % 100},1" for number in range(1, 100_001)]
    lines[99_998] = "99999,name,ninety"
    case = bad("\n".join(["id,name,qty", *lines, ""]), "column qty", '"ninety"', line=100_000)

    error = refused(target, tmp_path, case, conflict_keys=["id"])

    check(error, case)


WORKING = {
    "header-only": (b"id,name\n", []),
    "header-only-without-line-end": (b"id,name", []),
    "crlf": (b"id,name\r\n3,a\r\n4,b\r\n", [(3, "a"), (4, "b")]),
    "cr": (b"id,name\r3,a\r4,b\r", [(3, "a"), (4, "b")]),
    "mixed-line-ends": (b"id,name\r\n3,a\n4,b\r5,c\r\n6,d", [(3, "a"), (4, "b"), (5, "c"), (6, "d")]),
    "byte-order-mark": (b'\xef\xbb\xbf"id",name\n3,a\n', [(3, "a")]),
    "no-last-line-end": (b"id,name\n3,a", [(3, "a")]),
    "identical-rows": (b"id,name\n3,a\n3,a\n", [(3, "a")]),
    "columns-in-another-order": (b"name,id\na,3\n", [(3, "a")]),
    "quoted-line-ends": (b'id,name\n3,"a\r\nb"\n', [(3, "a\r\nb")]),
    "backslash-dot-in-quotes": (b'id,name\n3,"\n\\.\n"\n4,b\n', [(3, "\n\\.\n"), (4, "b")]),
    "backslash-dot-in-a-field": (b"id,name\n3,\\.\n4,b\n", [(3, "\\."), (4, "b")]),
}


@pytest.mark.parametrize("method", ["staged", "rows"])
@pytest.mark.parametrize(("data", "rows"), WORKING.values(), ids=WORKING)
def test_odd_file_is_read(
    data: bytes, rows: list[tuple[object, ...]], method: str, db: Database, tmp_path: Path
):
    (tmp_path / "rows.csv").write_bytes(data)
    db.execute(TABLE)

    spec = a_spec(tmp_path, conflict_keys=["id"], execution={"method": method})
    report = syncengine.run(spec, connection=db.url)

    assert report.error is None
    assert db.execute("SELECT id, name FROM t WHERE id > 2 ORDER BY id") == rows


@pytest.mark.every_server
@pytest.mark.parametrize("method", ["copy", "staged", "rows"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""], ids=["lf", "crlf", "cr", "end-of-file"])
@pytest.mark.parametrize("before", [["a"], ["a", '"x\ny"']], ids=["plain", "after-quotes"])
def test_lone_backslash_dot_line_is_data(
    before: list[str], end: str, method: str, db: Database, tmp_path: Path
):
    """PostgreSQL 17 and older end COPY at such a line without a word."""
    after = ["b", "\\.", "c", "\\."] if end else ["\\."]
    text = (end or "\n").join(["note", *before, *after]) + end
    (tmp_path / "rows.csv").write_text(text, newline="")
    db.execute("CREATE TABLE t (note text)")

    syncengine.run(a_spec(tmp_path, mode="insert", execution={"method": method}), connection=db.url)

    notes = [line.strip('"') for line in before + after]
    assert sorted(db.execute("SELECT note FROM t")) == sorted((note,) for note in notes)


@pytest.mark.every_server
@pytest.mark.parametrize("method", ["copy", "staged", "rows"])
def test_lone_backslash_dot_line_of_a_wider_table_is_refused(method: str, target: Database, tmp_path: Path):
    case = FILES["lone-backslash-dot"]

    check(refused(target, tmp_path, case, mode="insert", execution={"method": method}), case)


@pytest.mark.parametrize(
    ("encoding", "stated"), [("utf-16", "utf-16"), ("utf-16-be", "utf-16-be"), ("latin-1", "latin-1")]
)
def test_encoding_is_read_if_it_is_stated(encoding: str, stated: str, newdb: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_bytes("id,name\n3,Zoë\n".encode(encoding))
    newdb.execute(TABLE)

    spec = a_spec(tmp_path, {"path": "rows.csv", "encoding": stated}, conflict_keys=["id"])
    syncengine.run(spec, connection=newdb.url)

    assert newdb.one("SELECT name FROM t WHERE id = 3") == "Zoë"


@pytest.mark.parametrize("keys", [{"conflict_keys": ["id"]}, {"mode": "insert"}], ids=["upsert", "insert"])
def test_field_of_two_megabytes_is_read(keys: dict[str, object], db: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text(f"id,name,note\n3,a,{'ß' * MEGABYTES}\n", encoding="utf-8")
    db.execute(TABLE)

    syncengine.run(a_spec(tmp_path, **keys), connection=db.url)

    assert db.one("SELECT length(note) FROM t WHERE id = 3") == MEGABYTES


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
}
# Random digits do not pack away, so that half of the file holds many rows.
DIGITS = random.Random(1)
ROWS = "id,name\n" + "".join(f"{number},{DIGITS.randrange(10**9)}\n" for number in range(3, 20_003))


@pytest.mark.parametrize("extension", PACKED)
def test_packed_file_is_read(extension: str, newdb: Database, tmp_path: Path):
    (tmp_path / f"rows.csv.{extension}").write_bytes(PACKED[extension](ROWS.encode()))
    newdb.execute(TABLE)

    report = syncengine.run(
        a_spec(tmp_path, f"rows.csv.{extension}", conflict_keys=["id"]), connection=newdb.url
    )

    assert report.inserted == 20_000


@pytest.mark.parametrize("extension", PACKED)
def test_packed_file_that_is_cut_off_is_refused(extension: str, newtarget: Database, tmp_path: Path):
    whole = PACKED[extension](ROWS.encode())
    (tmp_path / f"rows.csv.{extension}").write_bytes(whole[: len(whole) // 2])
    spec = a_spec(tmp_path, f"rows.csv.{extension}", conflict_keys=["id"])

    with untouched(newtarget), pytest.raises(SyncError, match=r"rows\.csv\.") as caught:
        syncengine.run(spec, connection=newtarget.url)

    assert caught.value.code == "source-unreadable"
    assert caught.value.exit_code == 1


def test_files_of_a_glob_may_have_their_columns_in_any_order(db: Database, tmp_path: Path):
    (tmp_path / "a.csv").write_text("id,name\n3,a\n")
    (tmp_path / "b.csv").write_text("name,id\nb,4\n")
    db.execute(TABLE)

    syncengine.run(a_spec(tmp_path, "*.csv", conflict_keys=["id"]), connection=db.url)

    assert db.execute("SELECT id, name FROM t WHERE id > 2 ORDER BY id") == [(3, "a"), (4, "b")]


def test_error_in_a_glob_names_the_file(target: Database, tmp_path: Path):
    (tmp_path / "a.csv").write_text("id,name\n3,a\n")
    (tmp_path / "b.csv").write_text("name,id\nb,4\nc,five\n")
    spec = a_spec(tmp_path, "*.csv", conflict_keys=["id"])

    with untouched(target), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=target.url)

    assert str(caught.value.location) == "b.csv:3"


def a_folder(folder: Path) -> None:
    (folder / "rows.csv").mkdir()


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "rows.csv")


def a_similar_file(folder: Path) -> None:
    (folder / "row.csv").write_text("id,name\n")


def a_closed_file(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("no file is closed to root")
    (folder / "rows.csv").touch(mode=0)


def a_dangling_link(folder: Path) -> None:
    (folder / "rows.csv").symlink_to(folder / "gone.csv")


def files_that_differ(folder: Path) -> None:
    (folder / "a.csv").write_text("id,name\n3,a\n")
    (folder / "b.csv").write_text("id,qty\n4,1\n")


PATHS: dict[str, tuple[str, Callable[[Path], None], tuple[str, ...]]] = {
    "no-such-file": ("rows.csv", lambda folder: None, ("no such file: rows.csv",)),
    "similar-file": ("rows.csv", a_similar_file, ("no such file: rows.csv", "did you mean row.csv?")),
    "no-such-folder": (
        "data/rows.csv",
        lambda folder: None,
        ("no such file: data/rows.csv", "there is no folder"),
    ),
    "folder": ("rows.csv", a_folder, ("rows.csv is a folder, not a file", "*.csv")),
    "pipe": ("rows.csv", a_pipe, ("a pipe or a device", "standard input")),
    "closed-file": ("rows.csv", a_closed_file, ("Permission denied",)),
    "dangling-link": ("rows.csv", a_dangling_link, ("no such file: rows.csv",)),
    "glob-without-match": ("*.csv", lambda folder: None, ("no file matches *.csv",)),
    "files-that-differ": (
        "*.csv",
        files_that_differ,
        ("b.csv has other fields than a.csv", "lacks name; it adds qty"),
    ),
}


@pytest.mark.parametrize(("path", "make", "says"), PATHS.values(), ids=PATHS)
def test_path_without_a_readable_file_is_refused(
    path: str, make: Callable[[Path], None], says: tuple[str, ...], newtarget: Database, tmp_path: Path
):
    make(tmp_path)
    spec = a_spec(tmp_path, path, conflict_keys=["id"])

    with untouched(newtarget), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newtarget.url)

    assert caught.value.code == "source-unreadable"
    assert caught.value.exit_code == 1
    for text in says:
        assert text in str(caught.value)
    assert caught.value.location is not None
