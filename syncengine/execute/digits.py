"""Texts that a column's scale or precision would round, where no staging table is there to tell.  Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

from syncengine.execute.losses import Rule, of_parts

_MODIFIED = re.compile(r"(numeric|timestamp|time)\((\d+)(?:,(-?\d+))?\)[^\[]*(\[\])?")


@cache
def digits_rule(input_type: str) -> Rule | None:
    """Return the rule of a type whose modifiers may round (facts.ColumnFacts.rounds), None where there is none.

    >>> digits_rule("numeric(12,2)").fault("1.005"), digits_rule("interval(0)")
    ('numeric(12,2) would round it', None)
    """
    found = _MODIFIED.fullmatch(input_type)
    if found is None:
        return None
    name, first, second, array = found.groups()
    one = _scale(int(second or 0), input_type) if name == "numeric" else _seconds(int(first), input_type)
    return one if array is None else Rule(fault=of_parts(one.fault))


def _scale(scale: int, input_type: str) -> Rule:
    fits = re.compile(rf"[+-]?\d*(?:\.\d{{0,{scale}}}0*)?") if scale >= 0 else re.compile("")

    def fault(text: str) -> str | None:
        if fits.fullmatch(text) or _places(text) <= scale:
            return None
        return f"{input_type} would round it"

    end = rb"[ \t{quote}]*(?:{delimiter}|\n)"
    # The digits of a second, behind a colon, are none of a number.  What fails most often, and costs least, goes first.
    kept = max(scale, 0)
    fraction = rb"\.\d{%d}(?=0*[1-9])(?<!:\d\d\.\d{%d})\d++" % (kept, kept)
    exponents = (rb"e[-+\d]\d*+" + end, rb"E[-+\d]\d*+" + end)
    return Rule(fault=fault, suspects=(fraction + end, *exponents) if scale >= 0 else None)


def _places(text: str) -> int:
    """Return how many digits a number needs behind its point, less than 0 for one that ends in zeros."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        return -1_000_000  # the server will say what is wrong with it
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not number:
        return -1_000_000
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return -exponent - zeros


def _seconds(precision: int, input_type: str) -> Rule:
    fine = re.compile(rf"(?::\d\d?|[t ]\d{{4}}|t\d{{6}}|\b\d{{6}})\.\d{{{precision}}}\d*[1-9]", re.IGNORECASE)

    def fault(text: str) -> str | None:
        return f"{input_type} would round it" if fine.search(text) else None

    clocks = (rb":\d\d", rb":\d", rb"\d{6}", rb"[Tt ]\d{4}")
    ahead = rb"|".join(rb"(?<=%s\.\d{%d})" % (clock, precision) for clock in clocks)
    suspect = rb"\.\d{%d}(?=\d*[1-9])(?:%s)" % (precision, ahead)
    return Rule(fault=fault, suspects=(suspect,))
