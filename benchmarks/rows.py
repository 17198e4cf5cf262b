"""Deterministic rows.  A row is a function of its number: it takes turns through tables of made-up values.

The tables' lengths are different primes, so that combinations repeat only after billions of rows, and a row costs
little more than a step of a few iterators.  Values are texts, as PostgreSQL prints them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import cycle, islice

from benchmarks.shapes import WIDE, WIDE_TYPES

Row = tuple[str | None, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split("/"))


FIRST = _words(
    "Ann/Bob/Çelik/Dmitri/Éva/François/Grace/Hiro/Ingrid/José/Kai/Łukasz/Mårten/Nina/Øyvind/Priya/Quinn/Renée/Søren"
    "/Tomáš/李雷/山田/Zoë/Ян"
)
LAST = _words(
    "Smith/O'Neil/Müller/de la Cruz/Nowak/Ivanov/Tanaka/Öz/Brown/Lee/García/Nguyen/van Dyk/Kowalski/Petrov/Sørensen"
)
WORDS = _words(
    "alpha/beta/gamma/delta/order/shipped/pending/return/customer/asked/for/a/refund/because/box/arrived/late/and/wet"
    "/please/call/back/before/noon/priority/gold/tier/invoice/sent"
)
START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
# Of a thousand names: a newline in one, quotes in 30, a backslash in two, a comma in 100.
ODD_NAMES = (
    (1, "{first}\n{last}"),
    (31, '{first} "{last}"'),
    (33, "{first}\\{last}"),
    (133, "{last}, {first}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """How a source differs from the rows `1` to `rows` that the table starts with; shares of its rows.

    Of changed rows, the share `stale` is older than what is stored.  `every`: the source has each n-th row only.
    """

    changed: float = 0.0
    stale: float = 0.0
    gone: float = 0.0
    every: int = 1

    @property
    def slug(self) -> str:
        parts = {"changed": self.changed, "stale": self.stale, "gone": self.gone, "every": self.every}
        return "-".join(f"{name}{value:g}" for name, value in parts.items())


BASE = Delta()


def generate(data: str, rows: int, delta: Delta = BASE) -> Iterator[Row]:
    """Return the rows of a source, in the order of their numbers."""
    made = {"narrow": narrow, "wide": wide}[data](rows, delta)
    if delta.every > 1:
        made = islice(made, delta.every - 1, None, delta.every)
    return _without(made, delta.gone) if delta.gone else made


def narrow(rows: int, delta: Delta) -> Iterator[Row]:
    """Ten columns, about 190 bytes of CSV."""
    for number, tag, name, (cents, more), quantity, active, created, updated, note, attrs, age in zip(
        range(1, rows + 1),
        cycle(_tags()),
        cycle(_names()),
        cycle(_amounts()),
        cycle(_quantities()),
        cycle(_flags()),
        cycle(_starts()),
        cycle(_updates()),
        cycle(_notes()),
        cycle(_attrs()),
        cycle(_ages(delta)),
        strict=False,
    ):
        amount = more if age else cents
        yield (str(number), f"user{number}.{tag}@example.com", name, amount, quantity, active, created, updated[age],
               note, attrs)  # fmt: skip


def wide(rows: int, delta: Delta) -> Iterator[Row]:
    """As many columns as the wide table has; of a changed row, updated_at and c3 differ."""
    tables = {
        "integer": _quantities(),
        "text": _names(),
        "numeric(12,2)": [amount for amount, _ in _amounts()],
        "timestamptz": _starts(),
        "boolean": _flags(),
        "double precision": [f"{int(tag) / 1024:.6f}" for tag in _tags()],
    }
    columns = [
        # Each column begins at another place, so that no two are alike.
        cycle(tables[kind][shift % 97 :] + tables[kind][: shift % 97])
        for shift, kind in ((n, WIDE_TYPES[n % len(WIDE_TYPES)]) for n in range(1, len(WIDE.columns) - 1))
    ]
    rest = zip(*columns, strict=True)
    for number, updated, age, values in zip(
        range(1, rows + 1), cycle(_updates()), cycle(_ages(delta)), rest, strict=False
    ):
        if age:
            values = (*values[:2], values[2].replace("20", "19", 1), *values[3:])  # another moment in c3
        yield (str(number), updated[age], *values)


def _without(rows: Iterator[Row], share: float) -> Iterator[Row]:
    return (row for row, dice in zip(rows, cycle(_shares(10_009)), strict=False) if dice >= share)


def _ages(delta: Delta) -> list[int]:
    """Return for each turn 0 where the row is as stored, 1 where it is newer, 2 where it is older."""
    dice = zip(_shares(10_007), _shares(10_007, seed=8), strict=True)
    return [0 if first >= delta.changed else 2 if second < delta.stale else 1 for first, second in dice]


def _shares(length: int, seed: int = 7) -> list[float]:
    """Return numbers evenly spread from 0 to 1, shuffled: any share of them is met exactly in one round."""
    numbers = [number / length for number in range(length)]
    random.Random(seed).shuffle(numbers)
    return numbers


@cache
def _tags() -> list[str]:
    dice = random.Random(1)
    return [str(dice.randrange(1 << 20)) for _ in range(65_537)]


@cache
def _names() -> list[str]:
    dice = random.Random(2)
    return [_name(dice) for _ in range(16_411)]


def _name(dice: random.Random) -> str:
    lot = dice.randrange(1000)
    form = next((form for limit, form in ODD_NAMES if lot < limit), "{first} {last}")
    return form.format(first=dice.choice(FIRST), last=dice.choice(LAST))


@cache
def _amounts() -> list[tuple[str, str]]:
    dice = random.Random(3)
    numbers = [dice.randrange(10_000_000) for _ in range(65_539)]
    return [(_money(cents), _money((cents + 137) % 10_000_000)) for cents in numbers]


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


@cache
def _quantities() -> list[str]:
    dice = random.Random(4)
    return [str(dice.randrange(1000)) for _ in range(8_191)]


@cache
def _flags() -> list[str]:
    dice = random.Random(5)
    return [dice.choice(("true", "false")) for _ in range(4_093)]


@cache
def _starts() -> list[str]:
    dice = random.Random(6)
    return [_stamp(START + timedelta(seconds=dice.randrange(94_608_000))) for _ in range(32_771)]


@cache
def _updates() -> list[tuple[str, str, str]]:
    dice = random.Random(7)
    moments = [START + 4 * 365 * DAY + timedelta(microseconds=dice.randrange(10**13)) for _ in range(32_779)]
    return [(_stamp(moment), _stamp(moment + DAY), _stamp(moment - DAY)) for moment in moments]


def _stamp(moment: datetime) -> str:
    return moment.isoformat(sep=" ")


@cache
def _notes() -> list[str | None]:
    dice = random.Random(8)
    return [None if dice.random() < 0.3 else " ".join(dice.choices(WORDS, k=7)) for _ in range(65_543)]


@cache
def _attrs() -> list[str]:
    dice = random.Random(9)
    return [f'{{"tier": "{dice.choice("bsgp")}", "score": {dice.randrange(100)}}}' for _ in range(4_099)]
