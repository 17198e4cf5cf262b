"""What is kept from one call to the next: generated files, the peers' environments, results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "SYNCENGINE_BENCH_FOLDER"
# To be raised when the generator makes other rows: files of the old ones are then left alone.
GENERATION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / f"data-{GENERATION}"

    @property
    def environments(self) -> Path:
        return self.folder / "environments"

    @property
    def results(self) -> Path:
        return self.folder / "results.jsonl"


def opened() -> Cache:
    """Return the cache, made if need be: $SYNCENGINE_BENCH_FOLDER, else in the user's cache folder."""
    stated = os.environ.get(FOLDER_VARIABLE)
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Cache(folder=Path(stated) if stated else own / "syncengine-bench")
    for folder in (cache.data, cache.environments):
        folder.mkdir(parents=True, exist_ok=True)
    return cache
