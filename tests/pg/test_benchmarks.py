"""The benchmark at a thousand rows: it starts its own server, runs whole processes, and sees a wrong table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cache import FOLDER_VARIABLE, Cache, opened
from benchmarks.cases import find
from benchmarks.contenders import ALL, Contender, Job, Kind
from benchmarks.measure import Command
from benchmarks.results import Result, Skipped
from benchmarks.server import Server, started
from benchmarks.trial import Bench
from syncengine.values import replace

# A server of its own: whatever --pg says, and with no pooler between.
pytestmark = pytest.mark.direct


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with started() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return opened()


def carried_out(own_server: Server, cache: Cache, name: str, **changes: Any) -> list[Result | Skipped]:
    case = find(name)
    assert case is not None
    told: list[Result | Skipped] = []
    bench = Bench(server=own_server, cache=cache, states=cache.folder, session="test", tell=told.append)
    bench.carry_out(replace(case, rows=1000, repeat=1, **changes))
    return told


@pytest.mark.parametrize("name", ["mirror", "guard", "jsonl", "insert"])
def test_psql_and_syncengine_leave_the_table_that_is_expected(own_server: Server, cache: Cache, name: str):
    told = carried_out(own_server, cache, name, contenders=("psql", "syncengine"))

    assert [(one.contender, one.wrong, one.error) for one in told if isinstance(one, Result)] == [
        ("psql", None, None),
        ("syncengine", None, None),
    ]
    results = [one for one in told if isinstance(one, Result)]
    assert all(one.seconds > 0 and one.wal > 0 for one in results)
    # psql may be over before anyone has looked at its memory.
    assert results[1].memory > 1e6


def _unfaithful(sql: str) -> Contender:
    def command(job: Job) -> Command:
        return Command(arguments=(str(job.psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, job.url))

    return Contender(name="unfaithful", title="", kind=Kind.PEER, command=command)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        pytest.param("SELECT", "other values in amount, updated_at", id="nothing-done"),
        pytest.param("DELETE FROM bench.t WHERE id = 7", "999 rows, 1,000 expected", id="a-row-lost"),
        pytest.param("DROP TABLE bench.t CASCADE", "bench.t", id="no-table"),
        pytest.param("SELECT 1 / 0", "exit code 1", id="failed"),
    ],
)
def test_a_contender_that_does_not_do_the_job_is_told(
    own_server: Server, cache: Cache, monkeypatch: pytest.MonkeyPatch, sql: str, told: str
):
    monkeypatch.setitem(ALL, "unfaithful", _unfaithful(sql))

    (result,) = carried_out(own_server, cache, "upsert-50", contenders=("unfaithful",))

    assert isinstance(result, Result)
    assert not result.good
    assert told in f"{result.wrong} {result.error}"


def test_what_is_not_installed_is_left_out_with_a_word(own_server: Server, cache: Cache):
    (skipped,) = carried_out(own_server, cache, "insert", contenders=("dlt",))

    assert isinstance(skipped, Skipped)
    assert "python -m benchmarks install dlt" in skipped.reason
