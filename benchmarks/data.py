"""Deterministic rows for the benchmarks: ten columns, about 190 bytes of CSV each."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = ("id", "email", "name", "amount", "quantity", "active", "created_at", "updated_at", "note", "attrs")
TABLE = """CREATE TABLE bench.t (
    id bigint PRIMARY KEY, email text, name text, amount numeric(12,2), quantity int, active bool,
    created_at timestamptz, updated_at timestamptz, note text, attrs jsonb)"""

_FIRST = ("Ann", "Bob", "Éva", "François", "Hiro", "José", "Łukasz", "Søren", "Zoë", "Ян", "李雷")
_LAST = ("Smith", "O'Neil", "Müller", "de la Cruz", "Nowak", "Tanaka", "García", "van Dyk")
_WORDS = [
    "alpha",
    "beta",
    "order",
    "shipped",
    "pending",
    "return",
    "customer",
    "asked",
    "for",
    "a",
    "refund",
    "because",
    "box",
    "arrived",
    "late",
]
_START = datetime(2020, 1, 1, tzinfo=UTC)
# A row in this many carries a comma, a quote or a newline.
_ODD_NAMES = {0: '{first} "{last}"', 1: "{last}, {first}", 2: "{first}\n{last}"}


def write(path: Path, rows: int, changed: float) -> None:
    """Write `rows` rows; of the share `changed`, spread evenly, amount and updated_at differ."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_rows(rows, changed))


def _rows(rows: int, changed: float) -> Iterator[tuple[object, ...]]:
    dice = random.Random(7)
    for number in range(1, rows + 1):
        first, last = dice.choice(_FIRST), dice.choice(_LAST)
        name = _ODD_NAMES.get(dice.randrange(50), "{first} {last}").format(first=first, last=last)
        cents = dice.randrange(10_000_000)
        created = _START + timedelta(seconds=dice.randrange(94_000_000))
        updated = created + timedelta(microseconds=dice.randrange(31_000_000_000_000))
        note = " ".join(dice.choices(_WORDS, k=7)) if dice.random() < 0.7 else None
        # A hash of the number, not a random one: the same rows change whatever the share.
        if (number * 2_654_435_761 % 4_294_967_296) / 4_294_967_296 < changed:
            cents, updated = (cents + 137) % 10_000_000, updated + timedelta(days=1)
        yield (
            number,
            f"user{number}.{dice.randrange(1 << 20)}@example.com",
            name,
            f"{cents // 100}.{cents % 100:02d}",
            dice.randrange(1000),
            dice.random() < 0.5,
            created.isoformat(),
            updated.isoformat(),
            note,
            f'{{"tier": "{dice.choice("bsgp")}", "score": {dice.randrange(100)}}}',
        )
