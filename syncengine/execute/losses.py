"""Texts that lose something on their way into a column, though the server takes them without a word.

What is lost before a type's modifiers come into play: a time zone in a `timestamp`, a time in a `date`, nanoseconds.
Pure.  A scale or precision that rounds is looked for on the server (sql/staging.py, check_rounding).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from msgspec import Struct

Fault = Callable[[str], str | None]


class Rule(Struct, frozen=True, kw_only=True):
    """`fault` says what a text would lose.  `suspects`: CSV bytes in which none of them is found hold no such text;
    each begins with a fixed byte, for which Python searches fast.  None: there is no telling.  `sought`: texts joined
    by line ends in which it is not found, and only those, hold no fault.
    """

    fault: Fault
    suspects: tuple[bytes, ...] | None = None
    sought: re.Pattern[str] | None = None


@cache
def rule_for(input_type: str) -> Rule | None:
    """Return the rule for texts that are read as a type (facts.ColumnFacts.input_type), None where nothing is lost.

    >>> rule_for("bigint") is None, rule_for("timestamp(3) without time zone[]").fault('{"2024-01-01 12:00+05"}')
    (True, 'its time zone, +05, would be dropped')
    """
    plain, _, modifiers = input_type.removesuffix("[]").partition("(")
    width, _, rest = modifiers.partition(")")
    name = _RANGES.get(plain, plain + rest)
    if name == "character varying" and width:
        return _no_blanks(int(width), array=input_type.endswith("[]"))
    found = _RULES.get(name)
    if found is None or name == input_type or not (input_type.endswith("[]") or plain in _RANGES):
        return found
    return Rule(fault=of_parts(found.fault), suspects=found.suspects)


_RANGES = {
    "daterange": "date",
    "datemultirange": "date",
    "tsrange": "timestamp without time zone",
    "tsmultirange": "timestamp without time zone",
    "tstzrange": "timestamp with time zone",
    "tstzmultirange": "timestamp with time zone",
}


def of_parts(fault: Fault) -> Fault:
    """Return the fault of the parts of an array or a range."""
    return lambda text: next(
        (found for part in re.split(r'[][(){},"]+', text) if (found := fault(part))), None
    )


# Words that can stand in a time without being a zone.
_WORDS = frozenset(
    re.findall(
        r"\w+",
        "t j jd at on am pm bc ad infinity epoch now today tomorrow yesterday allballs null empty"
        " january february march april may june july august september october november december"
        " jan feb mar apr jun jul aug sep sept oct nov dec"
        " monday tuesday wednesday thursday friday saturday sunday"
        " mon tue tues wed weds thu thur thurs fri sat sun",
    )
)
_WORD = re.compile(r"[a-z]+(?:/[a-z_/]+)?")
_USUAL = re.compile(r"\d{4,}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?")
_USUAL_DATE = re.compile(r"\d{4,}-\d\d-\d\d")
# A plus is always that of a zone; a minus may stand in a date, so it counts behind a time, or a blank.
_OFFSET = re.compile(
    r"\+\d[\d:]*|(?:(?::\d\d|t\d{6}|t\d{4}|\b\d{6})(?:\.\d*)?(?: *[ap]m)?|\d(?= )) *-\d[\d:]*(?![\d:-])"
)
_CLOCK = re.compile(
    r"(\d\d?):(\d\d(?::[\d.]+)?)\s*([ap]m)?"
    r"|(?:t|(?:(?<=-\d)|(?<=-\d\d)|(?<=\d{4})) (?=(?:\d\d){2,3}(?!\d)))(\d\d)(\d\d[\d.]*)()"
)
_DAY = re.compile(r"\d+([-/.])\d+\1\d|\d{8}(?=[ t])|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)")
_FINE = re.compile(r"\.\d{6}\d*[1-9]")
_UTC = re.compile(r"z|utc|gmt|[+-]00?(?::?00)?")


def _zone(text: str) -> str | None:
    """Return the time zone in a text, if there is one; the server refuses what is neither zone nor time."""
    low = text.lower()
    if not any(map(str.isdigit, low)):
        return None
    word = next((word for word in _WORD.findall(low) if word not in _WORDS), None)
    offset = None if word else _OFFSET.search(low)
    return word or (re.sub(r"^.*(?=[+-])", "", offset.group()) if offset else None)


def _fine(text: str) -> str | None:
    return "what is finer than a microsecond would be rounded" if _FINE.search(text) else None


def _interval(text: str) -> str | None:
    fine = re.search(r"\.\d{6}\d*[1-9]\d*\s*(?:s|$)", text.lower())
    return _fine(text) if fine else None


def _timestamp(text: str) -> str | None:
    if _USUAL.fullmatch(text):
        return None
    zone = _zone(text)
    return f"its time zone, {zone}, would be dropped" if zone else _fine(text)


def _date(text: str) -> str | None:
    """Midnight says no more than the date, and UTC no more than midnight."""
    if _USUAL_DATE.fullmatch(text):
        return None
    clock = _CLOCK.search(text.lower())
    if clock and not _is_midnight(*(part or "" for part in clock.groups())):
        return f"its time, {clock.group().strip()}, would be dropped"
    zone = _zone(text)
    return f"its time zone, {zone}, would be dropped" if zone and not _UTC.fullmatch(zone) else None


def _is_midnight(hour: str, rest: str, half: str, *compact: str) -> bool:
    hour, rest = (hour, rest) if hour else (compact[0], compact[1])
    return not rest.strip("0:.") and (hour.strip("0") == "" or (hour, half) == ("12", "am"))


def _time(text: str) -> str | None:
    zone = _zone(text)
    return f"its time zone, {zone}, would be dropped" if zone else _time_with_zone(text)


def _time_with_zone(text: str) -> str | None:
    return "its date would be dropped" if _DAY.search(text.lower()) else _fine(text)


def _no_blanks(width: int, *, array: bool) -> Rule:
    """Return the rule of varchar(n): longer texts are refused by the server, but blanks beyond n are cut."""

    def fault(text: str) -> str | None:
        if len(text) <= width or len(text.rstrip(" ")) > width:
            return None
        return f"{len(text) - width} blanks at its end would be cut"

    return Rule(fault=of_parts(fault)) if array else Rule(fault=fault, suspects=(BLANK_AT_THE_END,))


def _name(text: str) -> str | None:
    return "what is beyond 63 bytes would be cut" if len(text.encode()) > 63 else None


def _char(text: str) -> str | None:
    if len(text.encode()) <= 1 or re.fullmatch(r"\\[0-3][0-7]{2}", text):
        return None
    return "what is beyond one byte would be cut"


def _unsigned(text: str) -> str | None:
    return "it is less than 0 and would become a large number" if text.strip().startswith("-") else None


# The dialect's marks are filled in by execute/watching.py.
BLANK_AT_THE_END = rb" [ \t{quote}]*(?:{delimiter}|\n)"
# What fails most often, and costs least, goes first: then comes what is behind the digits, or before them.
_FINE_BYTES = (
    rb"\.\d{6}(?=\d*[1-9])(?:(?=\d+[ \t{quote}]*[-+A-DF-Za-df-z])|"
    + rb"|".join(
        rb"(?<=%s\.\d{6})" % clock
        for clock in (rb":\d\d", rb":\d", rb"[Tt ]\d{6}", rb"[Tt ]\d{4}", rb"J\d{7}", rb"[Tt: ]")
    )
    + rb")",
)
# Behind a date a clock may stand without colons, and a zone without a clock where it is a number.
_ZONE_BYTES = (
    rb":\d\d?(?:\.\d*)?[ \t{quote}]*[-A-Za-z]",
    rb"T\d{4,6}(?:\.\d*)?[ \t{quote}]*[-A-Za-z]",
    rb"t\d{4,6}(?:\.\d*)?[ \t{quote}]*[-A-Za-z]",
    rb" (?:(?<=\d )\d{4,6}(?!\d)(?:\.\d*)?[ \t{quote}]*[-A-Za-z]|(?:\d{6}(?:\.\d*)?)? *-\d)",
    rb"\+\d",
    rb"-\d\d[ \t{quote}]*[A-Za-z]",
)
_CLOCK_BYTES = (
    rb":\d",
    rb"T\d{4}",
    rb"t\d{4}",
    rb" (?:(?<=\d )\d{4,6}(?!\d)|(?:\d{6}(?:\.\d*)?)? *-\d)",
    rb"\+\d",
    rb"-\d\d[ \t{quote}]*[A-Za-z]",
)
_RULES = {
    "timestamp without time zone": Rule(fault=_timestamp, suspects=(*_ZONE_BYTES, *_FINE_BYTES)),
    "timestamp with time zone": Rule(fault=_fine, suspects=_FINE_BYTES, sought=_FINE),
    "date": Rule(fault=_date, suspects=_CLOCK_BYTES),
    "time without time zone": Rule(fault=_time),
    "time with time zone": Rule(fault=_time_with_zone),
    "interval": Rule(fault=_interval, suspects=(rb"\.\d{6}\d*[1-9]",)),
    "name": Rule(fault=_name),
    '"char"': Rule(fault=_char),
    "oid": Rule(fault=_unsigned),
    "xid": Rule(fault=_unsigned),
    "xid8": Rule(fault=_unsigned),
    "cid": Rule(fault=_unsigned),
}
