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
from tests.servers import Database, MissingServer, Server, Session

ROOT = Path(__file__).parent.parent
SERVER_FOLDERS = (ROOT / "tests" / "pg", ROOT / "tests" / "contracts")
CLI_SECONDS = 120

GetServer = Callable[[str], Server]
RunCli = Callable[..., "subprocess.CompletedProcess[str]"]
SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --pg."""
    default = ",".join(machinery.VERSIONS)
    parser.addoption(
        "--pg", default=default, help=f"PostgreSQL versions to test against, {default} unless stated"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Open the session in the main process, join it in the workers of pytest-xdist."""
    if hasattr(config, "workerinput"):
        config.stash[SESSION] = machinery.joined()
        return
    opened = ExitStack()
    config.stash[SESSION] = opened.enter_context(machinery.session())
    config.add_cleanup(opened.close)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which servers are not here."""
    return list(machinery.missing(_versions(config)).values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a server once per version."""
    if "server" in metafunc.fixturenames:
        versions = _versions(metafunc.config)
        ids = [f"pg{version}" for version in versions]
        metafunc.parametrize("server", versions, ids=ids, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a server."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in SERVER_FOLDERS):
            item.add_marker("pg")


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[GetServer]:
    """Give the server of a version; skip where it is missing, or fail if SYNCENGINE_REQUIRE_PG is set."""
    with pytestconfig.stash[SESSION].servers() as get:

        def get_or_skip(version: str) -> Server:
            try:
                return get(version)
            except MissingServer as error:
                if os.environ.get(machinery.REQUIRED_VARIABLE):
                    pytest.fail(str(error))
                pytest.skip(str(error))

        yield get_or_skip


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, servers: GetServer) -> Server:
    """Each server version in turn."""
    return servers(request.param)


@pytest.fixture
def db(server: Server) -> Iterator[Database]:
    """Make a fresh database on each server version in turn."""
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
    return _versions(config)[0]


def _versions(config: pytest.Config) -> list[str]:
    stated: str = config.getoption("--pg")
    return [version.strip() for version in stated.split(",")]
