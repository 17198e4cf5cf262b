"""The filter of a columnar source: a small part of SQL, over fields and literals, for choosing rows.

    country = 'AT' AND (amount >= 10 OR note IS NULL) AND NOT state IN ('new', 'open')

As in SQL, what compares with NULL chooses no row.  Nothing else can be written: no function, no arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from syncengine.errors import SpecError

Literal = str | bool | Decimal


class Compare(Struct, frozen=True, kw_only=True):
    """A field against literals: several for `in`, none for `null`."""

    field: str
    op: str
    values: tuple[Literal, ...] = ()


class Both(Struct, frozen=True, kw_only=True):
    """`parts` joined by `op`: and, or; not has one part."""

    op: str
    parts: tuple[Condition, ...]


Condition = Compare | Both
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")+")|(?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
    |(?P<word>[^\W\d]\w*)|(?P<mark><=|>=|<>|!=|[=<>(),]))""",
    re.VERBOSE,
)
_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def parse(text: str) -> Condition:
    """Return what a filter says.  Raises SpecError.

    >>> parse("country = 'AT' and not n is null").parts[0]
    Compare(field='country', op='=', values=('AT',))
    """
    reader = _Reader(text)
    found = reader.any_of()
    if reader.kind:
        raise reader.odd("the end")
    return found


class _Reader:
    """Reads conditions, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._at = self._end = 0
        self.kind = self._token = ""
        self._next()

    def any_of(self) -> Condition:
        return self._joined("or", self._all_of)

    def _all_of(self) -> Condition:
        return self._joined("and", self._one)

    def _joined(self, op: str, part: object) -> Condition:
        assert callable(part)
        parts: list[Condition] = [part()]
        while self._takes(op):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Both(op=op, parts=tuple(parts))

    def _one(self) -> Condition:
        if self._takes("not"):
            return Both(op="not", parts=(self._one(),))
        if self._takes("("):
            found = self.any_of()
            self._must("(", ")")
            return found
        return self._comparison()

    def _comparison(self) -> Condition:
        field = self._field()
        if self._takes("is"):
            no = self._takes("not")
            self._must("IS", "null")
            return _negated(Compare(field=field, op="null"), no)
        no = self._takes("not")
        if no or self._token.lower() == "in":
            self._must("a field", "in")
            return _negated(Compare(field=field, op="in", values=self._list()), no)
        op = _COMPARISONS.get(self._token) if self.kind == "mark" else None
        if op is None:
            raise self.odd("=, <>, <, <=, >, >=, IN or IS NULL")
        self._next()
        return Compare(field=field, op=op, values=(self._literal(),))

    def _field(self) -> str:
        if self.kind == "name":
            return self._taken()[1:-1].replace('""', '"')
        if self.kind != "word":
            raise self.odd("a field")
        return self._taken()

    def _list(self) -> tuple[Literal, ...]:
        self._must("IN", "(")
        found = [self._literal()]
        while self._takes(","):
            found.append(self._literal())
        self._must("a list", ")")
        return tuple(found)

    def _literal(self) -> Literal:
        if self.kind == "text":
            return self._taken()[1:-1].replace("''", "'")
        if self.kind == "number":
            return Decimal(self._taken())
        if self.kind == "word" and self._token.lower() in ("true", "false"):
            return self._taken().lower() == "true"
        raise self.odd("a 'text', a number, true or false")

    def _takes(self, word: str) -> bool:
        if self.kind not in ("word", "mark") or self._token.lower() != word:
            return False
        self._next()
        return True

    def _must(self, after: str, word: str) -> None:
        if not self._takes(word):
            raise self.odd(f"{word.upper()} after {after}")

    def _taken(self) -> str:
        token = self._token
        self._next()
        return token

    def _next(self) -> None:
        self._at = self._end
        found = _TOKEN.match(self._text, self._end)
        if found is None and self._text[self._end :].strip():
            self.kind, self._token = "odd", self._text[self._end :].strip()[:1]
            return
        self._end = found.end() if found else self._end
        self.kind = (found.lastgroup or "") if found else ""
        self._token = found[self.kind] if found else ""

    def odd(self, wanted: str) -> SpecError:
        seen = f"`{self._token}`" if self._token else "the end"
        return SpecError(
            f"`filter` has {seen} where {wanted} was expected",
            detail=self._text,
            hint="compare fields with literals: country = 'AT' AND amount >= 10 AND note IS NOT NULL",
        )


def _negated(condition: Condition, no: bool) -> Condition:
    return Both(op="not", parts=(condition,)) if no else condition


def fields_of(condition: Condition) -> Sequence[str]:
    if isinstance(condition, Compare):
        return (condition.field,)
    return [name for part in condition.parts for name in fields_of(part)]
