"""Keep secrets out of every text that leaves the process.

Values from `${file:…}`, `${secret:NAME}` and passwords in URLs are registered when they are read; whoever
writes a log line, an error, a plan or a report passes its text through `redact`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import ClassVar, Never
from urllib.parse import quote, unquote

from msgspec import Struct

from syncengine.errors import SyncError

MASK = "***"
# Shorter texts occur everywhere, and masking them would say more than it hides.
_SHORTEST = 4
# Compiling a pattern takes a second for a megabyte.
_LONGEST = 1_000
_secrets: set[str] = set()
# The scheme is bounded, for its search would take quadratic time in a text of megabytes.
_URL_PASSWORD = re.compile(r"(?P<user>[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/?#:@]*):(?P<password>[^\s/?#]*)@")
_NAMED_PASSWORD = re.compile(
    r"(?P<name>\b(?:password|passwd|pwd|sslpassword)\s*=\s*)(?P<password>'(?:[^'\\]|\\.)*'|[^\s&'\"]+)",
    re.IGNORECASE,
)


def remember(secret: str) -> None:
    """Have `redact` mask this text from now on, each of its lines, and as other languages write them."""
    for text in (secret, *secret.splitlines()):
        if len(text.strip()) >= _SHORTEST:
            _secrets.update(form for form in _forms(text.strip()) if len(form) >= _SHORTEST)
    _known.cache_clear()


def _forms(text: str) -> set[str]:
    """Return a text as it stands in URLs, in SQL and conninfo strings, in JSON and in Python's literals."""
    doubled = text.replace("'", "''")
    plain = {text, doubled, doubled.replace("\\", "\\\\"), text.replace("\\", "\\\\").replace("'", "\\'")}
    inside = {json.dumps(form, ensure_ascii=ascii)[1:-1] for form in plain for ascii in (False, True)}
    return plain | inside | {repr(form)[1:-1] for form in plain} | {quote(text, safe=""), unquote(text)}


def remember_passwords(text: str) -> None:
    """Have `redact` mask the passwords that stand in URLs or conninfo strings in `text`."""
    for secret in passwords(text):
        remember(secret)


def passwords(text: str) -> tuple[str, ...]:
    """Return the passwords in URLs and conninfo strings in `text`, as written but without quotes."""
    found = [*_URL_PASSWORD.finditer(text), *_NAMED_PASSWORD.finditer(text)]
    return tuple(match["password"].strip("'") for match in found if match["password"].strip("'"))


def url_passwords(text: str) -> tuple[str, ...]:
    """Return the passwords in URLs in `text`, as written."""
    return tuple(match["password"] for match in _URL_PASSWORD.finditer(text) if match["password"])


def redact(text: str) -> str:
    """Return `text` with registered secrets, URL passwords and `password=…` masked by `***`."""
    long, pattern = _known()
    masked = text
    for secret in long:
        masked = masked.replace(secret, MASK)
    masked = pattern.sub(MASK, masked) if pattern else masked
    masked = _URL_PASSWORD.sub(lambda match: f"{match['user']}:{MASK}@", masked)
    return _NAMED_PASSWORD.sub(lambda match: f"{match['name']}{MASK}", masked)


class Redacted(Struct, frozen=True, kw_only=True):
    """A value whose texts may hold secrets: it is shown without them, and without the fields of `not_shown`."""

    not_shown: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        names = [name for name in self.__struct_fields__ if name not in self.not_shown]
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return redact(f"{type(self).__qualname__}({told})")

    def __rich_repr__(self) -> Never:
        """Have rich, which would show the fields of a struct, take the repr."""
        raise AttributeError("__rich_repr__")


def redact_error(error: SyncError) -> SyncError:
    """Mask the texts of an error in place, and return it."""
    error.message = redact(error.message)
    error.detail = redact(error.detail) if error.detail else error.detail
    error.hint = redact(error.hint) if error.hint else error.hint
    error.args = (error.message,)
    return error


@lru_cache(maxsize=1)
def _known() -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    """Return the secrets that are too long for a pattern, and the pattern of the others."""
    # The longest first: one secret may hold another.  A copy, for another thread may add one meanwhile.
    known = sorted(_secrets.copy(), key=lambda s: (-len(s), s))
    long = tuple(secret for secret in known if len(secret) > _LONGEST)
    short = known[len(long) :]
    return long, re.compile("|".join(re.escape(secret) for secret in short)) if short else None
