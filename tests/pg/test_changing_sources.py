"""Files that change while they are read, and iterators that break off: each is told, and nothing is written."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.errors import SyncError
from syncengine.model import events as ev
from tests.builders import a_spec, untouched
from tests.servers import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'one')"
SPEC: dict[str, Any] = {"target": "public.t", "conflict_keys": ["id"]}
# Of several blocks, so that a run is in the middle when it says how far it has come.
LINES = "id,name\n" + "".join(f"{number},{'x' * 90}\n" for number in range(2, 20_000))


@pytest.fixture(scope="module")
def target(shared: Database) -> Database:
    shared.execute(TABLE)
    return shared


def grown(path: Path) -> None:
    with path.open("a") as file:
        file.write("50000,late\n")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def replaced(path: Path) -> None:
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").rename(path)


def torn(path: Path) -> None:
    """Write other rows over what is still to be read, and make it look as if nothing had happened."""
    before = path.stat()
    with path.open("r+") as file:
        file.seek(before.st_size * 2 // 3)
        file.write('"' * (before.st_size // 3))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "appended-to": (grown, "it grew from"),
    "truncated": (cut, "it shrank from"),
    "replaced": (replaced, "another file has taken its place"),
    "deleted": (Path.unlink, "it is gone"),
    "torn": (torn, "its contents are others now"),
}
WAYS: dict[str, dict[str, Any]] = {
    "staged": {"conflict_keys": ["id"], "execution": {"method": "staged"}},
    "rows": {"conflict_keys": ["id"], "execution": {"method": "rows"}},
    "copy": {"mode": "insert", "execution": {"method": "copy"}},
}


def meddling(change: Callable[[], None]) -> Callable[[ev.Event], None]:
    """Return a listener that makes a change once, after the first rows have been read, or before if none is said."""
    left = [change]

    def emit(event: ev.Event) -> None:
        sending = isinstance(event, ev.StepStarted) and event.step == "send the rows"
        if left and (sending or isinstance(event, ev.Progress)):
            left.pop()()

    return emit


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_while_it_is_read_is_refused(
    target: Database, tmp_path: Path, change: Callable[[Path], None], says: str, way: dict[str, Any]
):
    path = tmp_path / "rows.csv"
    # Multi-row statements are for sources of which it is known how few rows they have.
    path.write_text(LINES[:9000] if "rows" in str(way) else LINES)
    spec = a_spec(tmp_path, **way)

    with untouched(target), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=target.url, emit=meddling(lambda: change(path)))

    error = caught.value
    assert (error.code, error.exit_code, str(error.location)) == ("source-unreadable", 1, "rows.csv")
    assert error.message.startswith("rows.csv changed ")
    assert says in str(error.detail)
    assert "rename them when they are complete" in str(error.hint)


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_a_file_of_json_lines_that_changes_is_refused(
    target: Database, tmp_path: Path, change: Callable[[Path], None], says: str
):
    path = tmp_path / "rows.jsonl"
    text = "".join(f'{{"id": {number}, "name": "{"x" * 90}"}}\n' for number in range(2, 20_000))
    path.write_text(text)

    with untouched(target), pytest.raises(SyncError, match=r"rows\.jsonl changed while") as caught:
        syncengine.run(
            a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"]),
            connection=target.url,
            emit=meddling(lambda: change(path)),
        )

    assert says in str(caught.value.detail)


@pytest.mark.parametrize("name", ["a.csv", "b.csv", "c.csv"])
def test_a_file_of_a_glob_may_not_change_until_all_are_read(target: Database, tmp_path: Path, name: str):
    (tmp_path / "a.csv").write_text("id,name\n2,b\n")
    (tmp_path / "b.csv").write_text(LINES)
    (tmp_path / "c.csv").write_text("id,name\n3,c\n")
    changed = []

    def emit(event: ev.Event) -> None:
        if isinstance(event, ev.Progress) and not changed:
            time.sleep(0.12)  # it is told ten times a second
            if event.bytes > 100_000:
                changed.append(name)
                grown(tmp_path / name)

    with untouched(target), pytest.raises(SyncError, match=rf"^{name}: {name} changed") as caught:
        syncengine.run(
            a_spec(tmp_path, "*.csv", conflict_keys=["id"], duplicates="last"),
            connection=target.url,
            emit=emit,
        )

    assert "it grew from" in str(caught.value.detail)


# Iterators.


class Resource:
    """Tells whether it was given back."""

    def __init__(self) -> None:
        self.closed = False


def rows_of(resource: Resource, count: int, *then: object) -> Iterator[object]:
    try:
        yield from ({"id": number, "name": "x"} for number in range(2, count))
        yield from then
    finally:
        resource.closed = True


async def arows_of(resource: Resource, count: int, *then: object) -> AsyncIterator[object]:
    try:
        for number in range(2, count):
            yield {"id": number, "name": "x"}
        for row in then:
            yield row
    finally:
        await asyncio.sleep(0)
        resource.closed = True


FAULTS: dict[str, tuple[dict[str, Any], tuple[object, ...], str]] = {
    "bad-value": ({}, ({"id": "x", "name": "y"}, *({"id": 1, "name": "z"},) * 5000), "bad-row"),
    "no-mapping": ({}, (7, *({"id": 1, "name": "z"},) * 5000), "source-unreadable"),
    "no-such-table": ({"target": "public.missing"}, (), "target-unfit"),
    "limit": ({"limits": {"max_inserts": 1}}, (), "limit-exceeded"),
}


@pytest.mark.parametrize(("keys", "then", "code"), FAULTS.values(), ids=FAULTS)
def test_a_generator_is_closed_when_the_run_fails(
    target: Database, keys: dict[str, Any], then: tuple[object, ...], code: str
):
    resource = Resource()

    with untouched(target), pytest.raises(SyncError) as caught:
        syncengine.run({**SPEC, **keys}, source=rows_of(resource, 3000, *then), connection=target.url)

    assert resource.closed
    assert caught.value.each()[0].code == code


@pytest.mark.parametrize(("keys", "then", "code"), FAULTS.values(), ids=FAULTS)
def test_an_asynchronous_generator_is_closed_when_the_run_fails(
    target: Database, keys: dict[str, Any], then: tuple[object, ...], code: str
):
    resource = Resource()

    async def run() -> SyncError:
        source = arows_of(resource, 3000, *then)
        with pytest.raises(SyncError) as caught:
            await syncengine.arun({**SPEC, **keys}, source=source, connection=target.url)
        return caught.value

    with warnings.catch_warnings(), untouched(target):
        warnings.simplefilter("error")
        error = asyncio.run(asyncio.wait_for(run(), 20))
        gc.collect()

    assert resource.closed
    assert error.each()[0].code == code


def test_what_a_generator_raises_as_it_is_closed_hides_nothing(target: Database):
    def rows() -> Iterator[object]:
        try:
            yield {"id": 2, "name": "a\0b"}
            yield from ({"id": 3, "name": "x"} for _ in range(5000))
        finally:
            raise OSError("the socket is gone")

    with untouched(target), pytest.raises(SyncError, match="NUL"):
        syncengine.run(SPEC, source=rows(), connection=target.url)


def test_an_asynchronous_generator_that_is_cancelled_ends_the_run(target: Database):
    resource = Resource()

    async def rows() -> AsyncIterator[object]:
        async for row in arows_of(resource, 5000):
            yield row
        await asyncio.sleep(60)

    async def run() -> None:
        await asyncio.wait_for(syncengine.arun(SPEC, source=rows(), connection=target.url), 1)

    with untouched(target), pytest.raises(TimeoutError):
        asyncio.run(run())


def test_an_error_half_way_says_where_and_what(target: Database):
    def rows() -> Iterator[object]:
        yield from rows_of(Resource(), 2002)
        raise LookupError("sensor 7 is off")

    with untouched(target), pytest.raises(SyncError) as caught:
        syncengine.run(SPEC, source=rows(), connection=target.url)

    assert caught.value.message == "the source raised LookupError after row 2000"
    assert caught.value.detail == "sensor 7 is off"
    assert isinstance(caught.value.__cause__, LookupError)
