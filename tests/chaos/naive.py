"""A loader as one writes it in an afternoon, kept to show that the rounds find what is wrong with it:

    python -m tests.chaos.naive SOURCE.csv URL PROGRESS

Each chunk is staged, merged and committed; then a file is told how far it has come.  After a lost connection the
chunk is tried again.  What it misses: whether a COMMIT without an answer took place, and what happens between a
COMMIT and the file.
"""

from __future__ import annotations

import csv
import sys
import time
from itertools import islice
from pathlib import Path

import psycopg

from tests.chaos.cases import CHUNK
from tests.chaos.field import Field

TRIES = 20
MERGE = """
INSERT INTO t SELECT id, hits, payload FROM incoming ORDER BY id
ON CONFLICT (id) DO UPDATE SET hits = t.hits + 1, payload = excluded.payload"""


def command(field: Field, url: str) -> list[str]:
    """Return the command of a run, in the shape of that of the engine."""
    progress = field.folder / "progress"
    return [sys.executable, "-m", "tests.chaos.naive", str(field.source), url, str(progress)]


def main(source: Path, url: str, progress: Path) -> int:
    done = int(progress.read_text()) if progress.exists() else 0
    with source.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for _ in islice(rows, done):
            pass
        while chunk := list(islice(rows, CHUNK)):
            if not load_patiently(url, chunk):
                return 1
            done += len(chunk)
            progress.write_text(str(done))
    return 0


def load_patiently(url: str, chunk: list[list[str]]) -> bool:
    for _ in range(TRIES):
        try:
            load(url, chunk)
            return True
        except psycopg.OperationalError:
            time.sleep(0.2)
    return False


def load(url: str, chunk: list[list[str]]) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMP TABLE incoming (id bigint, hits int, payload text) ON COMMIT DROP")
        with connection.cursor().copy("COPY incoming FROM STDIN") as copy:
            for row in chunk:
                copy.write_row(row)
        connection.execute(MERGE.encode())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
