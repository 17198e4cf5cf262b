"""Expand `${NAME}`, `${NAME:-default}`, `${secret:NAME}` and `${file:path}` in the scalar values of a
document.

This happens after parsing, so a value cannot inject YAML, and only once: what a reference stands for is not
expanded again.  `$${` is a literal `${`.  What comes out is always a text; where the schema wants a number or
a boolean the text is read as a plain YAML scalar.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from syncengine import redact
from syncengine.errors import NotAvailable, SpecError
from syncengine.files import inside, opened
from syncengine.spec.available import instead
from syncengine.spec.paths import resolve_path
from syncengine.spec.positions import Document, child
from syncengine.spec.words import nearest

_REFERENCE = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^{}]*)?"
    r"|secret:(?P<secret>[A-Za-z_][A-Za-z0-9_]*)|file:(?P<file>[^{}]+)|matrix\.(?P<matrix>[^{}]+))\}"
    r"|(?P<wrong>\$\{)"
)
_MAX_FILE = 1_000_000
# Of all values of a document together, once they are expanded; and the problems told of one value.
_MAX_EXPANDED = 4_000_000
_MOST_PROBLEMS = 20
# Data of the user's.
_ROWS = re.compile(r"(?:/environments/[^/]+)?(?:/defaults)?/source/rows/")
# Where in a spec a password may be meant to stand.
SECRET_PLACES = frozenset({"/source", "/source/url", "/source/path", "/target/connection", "/notify/webhook"})


@dataclass(slots=True, kw_only=True)
class Expansion:
    """Where values come from, and what was found: the pointers of expanded and failed scalars, and the
    problems.
    """

    document: Document
    environ: Mapping[str, str]
    folder: Path
    roots: Sequence[Path]
    expanded: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    problems: list[SpecError] = field(default_factory=list)
    room: int = _MAX_EXPANDED

    def run(self) -> object:
        """Return the document's value with all references expanded."""
        return self._walk(self.document.value, "")

    def include(self, other: Expansion) -> None:
        """Add what was found in another document that is merged into this one."""
        self.expanded |= other.expanded
        self.failed |= other.failed
        self.problems += other.problems

    def _walk(self, value: object, pointer: str) -> object:
        if isinstance(value, dict):
            return {key: self._walk(item, child(pointer, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, child(pointer, number)) for number, item in enumerate(value)]
        return self._text(value, pointer) if isinstance(value, str) and "${" in value else value

    def _text(self, text: str, pointer: str) -> str:
        known = len(self.problems)

        def replace(match: re.Match[str]) -> str:
            if len(self.problems) - known >= _MOST_PROBLEMS or self.room < 0:
                return match[0]
            try:
                return self._spent(self._value(match, pointer), pointer)
            except SpecError as error:
                self.problems.append(error)
                self.failed.add(pointer)
                return match[0]

        self.expanded.add(pointer)
        result = _REFERENCE.sub(replace, text)
        redact.remember_passwords(result)
        return result

    def _spent(self, value: str, pointer: str) -> str:
        """Return a value that still has room; a few references to a long one would fill the memory."""
        self.room -= len(value)
        if self.room < 0:
            raise SpecError(
                f"the values are longer than {_MAX_EXPANDED // 1_000_000} MB once they are expanded",
                location=self.document.at(pointer),
            )
        return value

    def _value(self, match: re.Match[str], pointer: str) -> str:
        place = self.document.inside(pointer, match.start())
        if match[0] == "$${":
            return "${"
        if match["matrix"]:
            raise NotAvailable("`matrix` is not available yet", hint=instead("matrix"), location=place)
        if match["wrong"]:
            raise SpecError(
                "`${` starts no reference",
                location=place,
                hint="write ${NAME}, ${NAME:-default}, ${secret:NAME} or ${file:path}; $${ is a literal ${",
            )
        try:
            return self._read_file(match["file"]) if match["file"] else self._variable(match)
        except SpecError as error:
            error.location = place
            raise

    def _variable(self, match: re.Match[str]) -> str:
        name, default = match["secret"] or match["name"], match["default"]
        value = self.environ.get(name)
        if default is not None:
            return value or default.removeprefix(":-")
        if value is None:
            near = nearest(name, self.environ)
            raise SpecError(
                f"the environment variable {name} is not set",
                hint=f"did you mean {near}?" if near else f"set {name}, or write ${{{name}:-default}}",
            )
        if match["secret"]:
            redact.remember(value)
        return value

    def _opened(self, path: Path, name: str) -> BinaryIO:
        """Open a file that is one, and looks at what was opened: the name may be a link by now."""
        found = opened(path)
        if stat.S_ISREG(found.status.st_mode) and inside(found.place, self.roots):
            return found.file
        found.file.close()
        raise SpecError(
            f"{name} is no file of the project", hint="name a regular file in the project or its `roots`"
        )

    def _read_file(self, name: str) -> str:
        path = resolve_path(name, self.folder, self.roots)
        try:
            with self._opened(path, name) as file:
                data = file.read(_MAX_FILE + 1)
            value = data.decode("utf-8")
        except FileNotFoundError as error:
            hint = "the path is relative to the spec's folder"
            raise SpecError(f"there is no file {name}", hint=hint) from error
        except OSError as error:
            raise SpecError(f"cannot read {name}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SpecError(f"{name} is not UTF-8") from error
        if len(data) > _MAX_FILE or "\x00" in value:
            raise SpecError(f"{name} is larger than 1 MB or holds a NUL character")
        value = value.rstrip("\r\n")
        redact.remember(value)
        return value


def expand(
    document: Document, *, environ: Mapping[str, str], folder: Path, roots: Sequence[Path]
) -> Expansion:
    """Expand a document in place, and return what was done."""
    expansion = Expansion(document=document, environ=environ, folder=folder, roots=roots)
    document.value = expansion.run()
    return expansion


def literal_passwords(document: Document, wanted: Callable[[str], bool]) -> list[SpecError]:
    """Return an error for each unexpanded value with a password written out.

    Passwords in URLs count everywhere but in literal rows; `password=…`, which is SQL as well, at the pointers that are
    `wanted`.
    """
    return [
        SpecError(
            "a password stands in the file",
            location=document.at(pointer),
            hint="write ${secret:NAME} in its place, and set that environment variable; a PostgreSQL password may also "
            "stand in ~/.pgpass or in a service file, with `service=NAME`",
        )
        for pointer, text in _texts(document.value, "")
        if any(_written(password) for password in _passwords(text, conninfo=wanted(pointer)))
        and not _ROWS.match(pointer)
    ]


def _passwords(text: str, *, conninfo: bool) -> tuple[str, ...]:
    return redact.passwords(text) if conninfo else redact.url_passwords(text)


def _written(password: str) -> str:
    """Return what of a password stands in the file itself; the default of a reference does."""
    return _REFERENCE.sub(lambda match: (match["default"] or "").removeprefix(":-"), password)


def _texts(value: object, pointer: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(pointer, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in _texts(item, child(pointer, key))]
