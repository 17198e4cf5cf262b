"""Servers that may be crashed, one per version and process of the suite."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.rounds import Arena
from tests.conftest import SESSION
from tests.faults.ownserver import OwnServer, own_server
from tests.servers import MissingServer

OwnServerOf = Callable[[str], OwnServer]
ArenaOf = Callable[[str], Arena]


@pytest.fixture(scope="session")
def own_servers(pytestconfig: pytest.Config) -> Iterator[OwnServerOf]:
    """Give a server of this process's own; skip where it is missing."""
    folder = pytestconfig.stash[SESSION].folder / f"own-{os.getpid()}"
    started: dict[str, OwnServer] = {}
    with ExitStack() as held:

        def get(version: str) -> OwnServer:
            if version not in started:
                try:
                    started[version] = held.enter_context(own_server(folder, version))
                except MissingServer as error:
                    pytest.skip(str(error))
            return started[version]

        yield get


@pytest.fixture(scope="session")
def arenas(own_servers: OwnServerOf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArenaOf]:
    """Give the place where rounds on a version are played."""
    opened: dict[str, Arena] = {}

    def get(version: str) -> Arena:
        if version not in opened:
            place: Path = tmp_path_factory.mktemp(f"chaos-{version}")
            opened[version] = Arena(own_servers(version), place)
        return opened[version]

    yield get
    for arena in opened.values():
        arena.close()
