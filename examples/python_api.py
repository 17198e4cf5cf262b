"""Sync rows that a program makes: a generator is the source, and is read in bounded memory.

    cd examples && python python_api.py [ROWS]

The database is $SYNCENGINE_URL, else $DATABASE_URL, else the embedded PostgreSQL of this folder.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import syncengine

# What a spec file would say; a path to one does as well.
SPEC = {
    "name": "measurements",
    "target": {"table": "public.measurements", "create": True},
    "conflict_keys": ["station", "taken_at"],
}
START = datetime(2026, 3, 1, tzinfo=UTC)


def measurements(rows: int) -> Iterator[dict[str, object]]:
    """Make one value a minute from each of ten stations."""
    for number in range(rows):
        minute, station = divmod(number, 10)
        yield {
            "station": f"K{station}",
            "taken_at": START + timedelta(minutes=minute),
            "celsius": round(8 + station / 2 + minute % 60 / 10, 1),
        }


def main(rows: int) -> None:
    plan = syncengine.plan(SPEC, source=measurements(rows))
    print(f"the strategy will be {plan.strategy}: {'; '.join(plan.reasons)}")
    for attempt in ("first", "second"):
        report = syncengine.run(SPEC, source=measurements(rows))
        books = f"{report.inserted:,} inserted, {report.unchanged:,} unchanged"
        print(f"{attempt} run: {books} in {report.seconds:.2f} s")
    try:
        syncengine.run(SPEC, source=[{"station": None, "taken_at": START, "celsius": 1.0}])
    except syncengine.SyncError as error:
        print(f"refused: {error.message} [{error.code}]")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
