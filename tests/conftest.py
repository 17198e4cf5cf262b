"""Fixtures and options of the test suite; the machinery is in servers.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import servers as machinery
from tests.faults.pooler import Pooler, pooler
from tests.servers import Database, MissingServer, Server, Session

ROOT = Path(__file__).parent.parent
SERVER_FOLDERS = tuple(ROOT / "tests" / name for name in ("pg", "contracts", "faults", "chaos"))
CLI_SECONDS = 120

GetServer = Callable[[str], Server]
RunCli = Callable[..., "subprocess.CompletedProcess[str]"]
SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the suite is run on."""
    default = ",".join(machinery.VERSIONS)
    parser.addoption(
        "--pg", default=default, help=f"PostgreSQL versions to test against, {default} unless stated"
    )
    parser.addoption(
        "--pooled", action="store_true", help="put a PgBouncer before what the product connects to"
    )
    parser.addoption("--oldest-too", action="store_true", help="run every test on the oldest of them as well")


def pytest_configure(config: pytest.Config) -> None:
    """Open the session in the main process, join it in the workers of pytest-xdist."""
    if hasattr(config, "workerinput"):
        config.stash[SESSION] = machinery.joined()
        return
    if os.environ.get(machinery.REQUIRED_VARIABLE):
        _require(versions(config))
    opened = ExitStack()
    config.stash[SESSION] = opened.enter_context(machinery.session())
    config.add_cleanup(opened.close)


def _require(wanted: list[str]) -> None:
    missing = machinery.missing(wanted)
    if missing:
        here = ",".join(version for version in wanted if version not in missing)
        remedy = f"\ntest those that are here: --pg {here}, or make test PG={here}" if here else ""
        raise pytest.UsageError("\n".join(missing.values()) + remedy)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a server on the newest version, or on each if it is so marked."""
    if "server" in metafunc.fixturenames:
        chosen = versions(metafunc.config)
        if not metafunc.definition.get_closest_marker("every_server"):
            oldest = chosen[-1:] if metafunc.config.getoption("--oldest-too") else []
            chosen = list(dict.fromkeys((chosen[0], *oldest)))
        ids = [f"pg{version}" for version in chosen]
        metafunc.parametrize("server", chosen, ids=ids, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a server; leave out what its server is too old for, or, pooled, what is about connections."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in SERVER_FOLDERS):
            item.add_marker("pg")
    left_out = [item for item in items if int(_version(item, config)) < _since(item) or _direct(item, config)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _version(item: pytest.Item, config: pytest.Config) -> str:
    """Return the version that a test runs on."""
    callspec = getattr(item, "callspec", None)
    version: str = callspec.params.get("server", newest(config)) if callspec else newest(config)
    return version


def _direct(item: pytest.Item, config: pytest.Config) -> bool:
    return bool(config.getoption("--pooled")) and item.get_closest_marker("direct") is not None


def _since(item: pytest.Item) -> int:
    return max((mark.args[0] for mark in item.iter_markers("since")), default=0)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[GetServer]:
    """Give the server of a version, with --pooled behind a PgBouncer; skip where it is missing."""
    session = pytestconfig.stash[SESSION]
    poolers: dict[str, Pooler] = {}
    with session.servers() as get, ExitStack() as held:

        def get_or_skip(version: str) -> Server:
            try:
                server = get(version)
            except MissingServer as error:
                pytest.skip(str(error))
            if pytestconfig.getoption("--pooled") and version not in poolers:
                poolers[version] = held.enter_context(pooler(server.url(), session.folder))
                server.pooled = poolers[version].url
            return server

        yield get_or_skip


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, servers: GetServer) -> Server:
    """One server version after the other."""
    return servers(request.param)


@pytest.fixture
def db(server: Server) -> Iterator[Database]:
    """Make a fresh database on one server version after the other."""
    with server.database() as database:
        yield database


@pytest.fixture
def newdb(servers: GetServer, pytestconfig: pytest.Config) -> Iterator[Database]:
    """Make a fresh database, where the version does not matter."""
    with servers(newest(pytestconfig)).database() as database:
        yield database


@pytest.fixture
def project(pytestconfig: pytest.Config) -> Iterator[Path]:
    """Make an empty project folder that an embedded server can use; it is stopped and removed at the end."""
    with pytestconfig.stash[SESSION].project() as folder:
        yield folder


@pytest.fixture
def cli() -> RunCli:
    """Run `python -m syncengine ARGS` as a process of its own, in an environment without our settings."""

    def run(
        *args: str | Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "syncengine", *map(str, args)],
            cwd=cwd,
            env={**_clean_environment(), **(env or {})},
            input="" if input is None else input,
            capture_output=True,
            encoding="utf-8",
            timeout=CLI_SECONDS,
        )

    return run


def _clean_environment() -> dict[str, str]:
    ours = ("PG", "SYNCENGINE_", "PYTEST_", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    for name in ("DATABASE_URL", "CI"):
        kept.pop(name, None)
    return {**kept, "PYTHONPATH": str(ROOT)}


def newest(config: pytest.Config) -> str:
    """Return the version to test on where it does not matter."""
    return versions(config)[0]


def versions(config: pytest.Config) -> list[str]:
    """Return the versions to test, newest first."""
    stated: str = config.getoption("--pg")
    return sorted({version.strip() for version in stated.split(",")}, key=int, reverse=True)
