"""The licences of what is installed with the package: `python -m tests.licences` prints docs/licences.md's table.

It fails where a dependency has a licence that nobody has looked at yet.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

PACKAGE = "syncengine"
EXTRAS = ("embedded", "arrow")
ALLOWED = frozenset(["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "PSF-2.0"])
# Used as it is and not changed, as a library that can be exchanged: what the LGPL asks for.
ALLOWED_BY_NAME = {
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    # Parts of it ask for as little as the licences above, or for nothing.
    "numpy": "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0",
}
# What some packages write where an SPDX expression is meant.
_SPELT = {
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "MIT License": "MIT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A dependency's licence as an SPDX expression, or as the package words it; `extra`: only installed with that."""

    name: str
    licence: str
    extra: str = ""

    @property
    def allowed(self) -> bool:
        """Tell whether one of the choices that the licence gives is allowed."""
        choices = re.split(r"\s+OR\s+", self.licence.strip("()"))
        return ALLOWED_BY_NAME.get(self.name) == self.licence or not ALLOWED.isdisjoint(choices)

    def row(self) -> str:
        return f"| {self.name} | {self.licence} | {self.extra and f'`syncengine[{self.extra}]`'} |"


def licences() -> tuple[Licence, ...]:
    """Return the licences of all that the package needs, directly or not, and of what its extras add."""
    plain = dict(_needed([PACKAGE]))
    found = [Licence(name=name, licence=_licence(one)) for name, one in plain.items() if name != PACKAGE]
    for extra in EXTRAS:
        added = {name: one for name, one in _needed([f"{PACKAGE}[{extra}]"]) if name not in plain}
        found += [Licence(name=name, licence=_licence(one), extra=extra) for name, one in added.items()]
    return tuple(sorted(found, key=lambda one: (one.extra, one.name)))


def _needed(wanted: Iterable[str]) -> Iterator[tuple[str, Distribution]]:
    waiting = [Requirement(text) for text in wanted]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        one = waiting.pop()
        key = (_normal(one.name), frozenset(one.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(one.name)
        except PackageNotFoundError:
            raise SystemExit(f"{one.name} is needed and not installed") from None
        yield _normal(one.name), found
        below = (Requirement(text) for text in found.requires or ())
        waiting += [requirement for requirement in below if _applies(requirement, one.extras)]


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(found: Distribution) -> str:
    """Return what a package says of its licence: an SPDX expression if it has one, else its classifier or text."""
    classifiers = found.metadata.get_all("Classifier") or []
    texts = [
        found.metadata["License-Expression"],
        *(text for text in classifiers if text in _SPELT),
        found.metadata["License"],
    ]
    first = next((text.strip().partition("\n")[0] for text in texts if text), "unknown")
    return _SPELT.get(first, first)


def table(found: Iterable[Licence]) -> str:
    rows = ["| package | licence | installed with |", "| --- | --- | --- |", *(one.row() for one in found)]
    return "\n".join(rows) + "\n"


def main() -> str | None:
    """Print the table; return what is wrong with it."""
    found = licences()
    print(table(found), end="")
    unknown = [f"{one.name} ({one.licence})" for one in found if not one.allowed]
    return f"licences that nobody has looked at yet: {', '.join(unknown)}" if unknown else None


if __name__ == "__main__":
    sys.exit(main())
