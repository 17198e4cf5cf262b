"""The virtual environments of libraries and peers: one each, in the cache, made by `python -m benchmarks install`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cache import Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Packages of the index, or, where `system` names it, a program that the machine's own packages bring.

    `note` says why these versions.
    """

    name: str
    packages: tuple[str, ...] = ()
    system: str | None = None
    note: str = ""

    def folder(self, cache: Cache) -> Path:
        return cache.environments / self.name

    def program(self, cache: Cache, pattern: str = "bin/python") -> str:
        """Return the path of a program within; `pattern` is a glob."""
        return str(next(self.folder(cache).glob(pattern)))

    def missing(self, cache: Cache) -> str | None:
        """Say why it can't be used, None if it can."""
        if self.system is not None:
            return None if shutil.which(self.system) else f"not installed: apt-get install {self.system}"
        if self._marker(cache).exists() and self._marker(cache).read_text() == self._wanted:
            return None
        return f"not installed: python -m benchmarks install {self.name}"

    def install(self, cache: Cache) -> None:
        """Make it anew."""
        folder = self.folder(cache)
        subprocess.run((sys.executable, "-m", "venv", "--clear", str(folder)), check=True)
        pip = (self.program(cache), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run((*pip, *self.packages), check=True)
        self._marker(cache).write_text(self._wanted)

    @property
    def _wanted(self) -> str:
        return "\n".join(self.packages)

    def _marker(self, cache: Cache) -> Path:
        return self.folder(cache) / "installed.txt"


LIBRARIES = Environment(
    name="libraries", packages=("sqlalchemy==2.1.*", "psycopg[binary]==3.3.*", "asyncpg==0.31.*")
)
SLING = Environment(
    name="sling",
    packages=("sling-linux-amd64==1.4.11",),
    note="the last wheel that has the program in it; newer ones download it",
)
DLT = Environment(name="dlt", packages=("dlt[postgres,parquet]==1.31.*",))
INGESTR = Environment(
    name="ingestr",
    packages=("ingestr==1.0.78",),
    note="the last wheel that has the program in it; newer ones download it",
)
DUCKDB = Environment(
    name="duckdb",
    packages=("duckdb==1.5.5", "duckdb-extensions", "duckdb-extension-postgres-scanner==1.5.5"),
    note="the newest whose extension comes as a package",
)
TARGET_POSTGRES = Environment(name="target-postgres", packages=("meltanolabs-target-postgres==0.8.*",))
PGLOADER = Environment(name="pgloader", system="pgloader", note="as Debian has it")

ALL = {one.name: one for one in (LIBRARIES, SLING, DLT, INGESTR, DUCKDB, TARGET_POSTGRES, PGLOADER)}
