"""Decide where a project's embedded server keeps its data, and which account runs it.

Only looks, changes nothing.  PostgreSQL refuses to run as root, so an account that is there already runs it
for root.  Folders that are not ours keep their owners and modes: what the account can't reach is not used.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from syncengine.errors import EmbeddedError

SYSTEM_STATE = Path("/var/lib/syncengine")
UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who runs the server when root may not."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`home` holds all that belongs to one server; `account` is None when we run it as ourselves."""

    home: Path
    account: Account | None = None
    note: str | None = None


def place_of(project: Path) -> Place:
    """Return the place of the project's server: `.syncengine/postgres`, else one in the state folder.

    `note` tells why when it is the latter.
    """
    project = Path(os.path.realpath(project))
    inside = project / ".syncengine" / "postgres"
    account = runner_for(inside)
    obstacle = _obstacle(inside, account)
    if obstacle is None:
        return Place(home=inside, account=account)
    key = hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    home = state_folder() / key / "postgres"
    note = f"{obstacle}, so the embedded server keeps its data in {home}"
    return Place(home=home, account=runner_for(home), note=note)


def runner_for(home: Path) -> Account | None:
    """Return the account that is to run a server in `home`: its owner if it exists, else an unprivileged one.

    None means: as ourselves.
    """
    if os.geteuid() != 0:
        return None
    owner = _owner(home)
    if owner is not None and owner.uid != 0:
        return owner
    return unprivileged_account()


def unprivileged_account() -> Account:
    """Return the account that runs servers for root."""
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and there is no unprivileged account to run it",
        detail=f"looked for {' and '.join(UNPRIVILEGED)}",
        hint="run syncengine as an ordinary user, or name a server with --connection",
    )


def state_folder() -> Path:
    """Return the folder for what has no place in the project: the system's for root, else the user's."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    stated = os.environ.get("XDG_STATE_HOME")
    if stated and os.path.isabs(stated):
        return Path(stated) / "syncengine"
    try:
        return Path.home() / ".local" / "state" / "syncengine"
    except RuntimeError as error:
        raise EmbeddedError(
            "the embedded server's data can't be in the project folder, and there is no home folder",
            hint="set XDG_STATE_HOME, or name a server with --connection",
        ) from error


def may_enter(account: Account, folders: Iterable[os.stat_result]) -> bool:
    """Tell whether the account, with no other group than its own, may pass through all these folders."""
    return all(_may_enter(account, folder) for folder in folders)


def _may_enter(account: Account, folder: os.stat_result) -> bool:
    if folder.st_uid == account.uid:
        return bool(folder.st_mode & 0o100)
    if folder.st_gid == account.gid:
        return bool(folder.st_mode & 0o010)
    return bool(folder.st_mode & 0o001)


def _obstacle(inside: Path, account: Account | None) -> str | None:
    nearest = next(folder for folder in inside.parents if folder.exists())
    if account is not None and not may_enter(account, (f.stat() for f in (nearest, *nearest.parents))):
        return f"the account {account.name}, which runs PostgreSQL for root, can't reach {nearest}"
    if not inside.exists() and not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} can't be written to"
    return None


def _owner(folder: Path) -> Account | None:
    try:
        uid = folder.stat().st_uid
        entry = pwd.getpwuid(uid)
    except (OSError, KeyError):
        return None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
