"""syncengine.yaml: the project's connections, allowed functions, roots and the engine's schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncengine import redact
from syncengine.errors import NotAvailable, SpecError, SpecErrors, SyncError
from syncengine.spec.available import instead, not_available_in_project
from syncengine.spec.expand import expand, literal_passwords
from syncengine.spec.names import check_name, identifier, qualified
from syncengine.spec.positions import Document, child, decode, documents
from syncengine.spec.problems import check
from syncengine.spec.schema import project_schema

FILE = "syncengine.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What holds for all specs of a folder.

    `connections` expand their `${…}` when they are looked up, so that a variable is needed only by who uses
    it; that raises SpecError.  `roots` are absolute and without `folder`.  `allow_functions` hold
    `schema.name`.
    """

    folder: Path
    file: Path | None = None
    connections: Mapping[str, str] = field(default_factory=dict)
    embedded: bool = False
    allow_functions: frozenset[str] = frozenset()
    roots: tuple[Path, ...] = ()
    ledger_schema: str = "syncengine"


def project_folder(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds syncengine.yaml, else `start`."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), start)


def _folder_for(start: Path, working_folder: Path) -> Path:
    for above in (start, working_folder):
        found = project_folder(above)
        if (found / FILE).is_file():
            return found
    inside = start.resolve().is_relative_to(working_folder.resolve())
    return (working_folder if inside else start).resolve()


def load_project(start: Path, environ: Mapping[str, str]) -> Project:
    """Return the project of the specs in the folder `start`.

    Its file is looked for at and above `start`, then the working folder.  Where there is none, the project
    folder is the working folder, or `start` if that lies elsewhere.  Raises SpecErrors with every problem.
    """
    folder = _folder_for(start, Path.cwd())
    file = folder / FILE
    if not file.is_file():
        return Project(folder=folder)
    try:
        found = _documents(file)
    except SpecError as error:
        raise SpecErrors([redact.redact_error(error)]) from error
    return _project(found, folder, file, environ) if found else Project(folder=folder, file=file)


def _documents(file: Path) -> Document | None:
    shown = display(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SpecError(f"cannot read {shown}: {error.strerror}") from error
    found = documents(decode(data, file=shown), file=shown)
    if len(found) > 1:
        raise SpecError("a project file is one document", location=found[1].start)
    if found and not isinstance(found[0].value, dict):
        raise SpecError("a project file must be a mapping", location=found[0].start)
    return found[0] if found else None


def display(path: Path) -> str:
    """Return a path as people read it: relative to the working folder if it lies below."""
    path = path.resolve()
    cwd = Path.cwd()
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


class _Connections(Mapping[str, str]):
    """Names and URLs; `${…}` are expanded at each look-up.  The first of `roots` is the project folder."""

    def __init__(
        self, document: Document, raw: Mapping[str, str], environ: Mapping[str, str], roots: Sequence[Path]
    ) -> None:
        self._document = document
        self._raw = raw
        self._environ = environ
        self._roots = roots

    def __getitem__(self, name: str) -> str:
        pointer = child("/connections", name)
        one = Document(
            file=self._document.file,
            value={"connections": {name: self._raw[name]}},
            start=self._document.at(pointer),
            values=self._document.values,
            scalars=self._document.scalars,
        )
        done = expand(one, environ=self._environ, folder=self._roots[0], roots=self._roots)
        if done.problems:
            raise done.problems[0]
        value: Any = one.value
        redact.remember_passwords(value["connections"][name])
        return str(value["connections"][name])

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def _project(document: Document, folder: Path, file: Path, environ: Mapping[str, str]) -> Project:
    problems: list[SyncError] = [
        *literal_passwords(document, lambda pointer: pointer.startswith("/connections/"))
    ]
    raw: dict[str, Any] = dict(document.value) if isinstance(document.value, dict) else {}
    connections = raw.pop("connections", None)
    document.value = raw
    expansion = expand(document, environ=environ, folder=folder, roots=(folder,))
    problems += expansion.problems
    data: dict[str, Any] = {**raw, **(document.value if isinstance(document.value, dict) else {})}
    if connections is not None:
        data["connections"] = connections
    findings = check(data, project_schema(), document, expanded=expansion.expanded)
    problems += findings.problems
    for pointer, name in not_available_in_project(data):
        message, place = f"`{name}` is not available yet", document.at_key(pointer)
        problems.append(NotAvailable(message, hint=instead(name), location=place))
    if not problems:
        roots = tuple((folder / Path(root).expanduser()).resolve() for root in data.get("roots", []))
        project = Project(
            folder=folder,
            file=file,
            connections=_Connections(document, data.get("connections", {}), environ, (folder, *roots)),
            embedded=data.get("embedded", False),
            allow_functions=frozenset(_functions(data, document, problems)),
            roots=roots,
            ledger_schema=_ledger_schema(data, document, problems),
        )
    if problems:
        raise SpecErrors([redact.redact_error(problem) for problem in in_order(problems)])
    return project


def in_order(problems: list[SyncError]) -> list[SyncError]:
    """Return the problems of one file by line and column."""

    def place(problem: SyncError) -> tuple[int, int]:
        return (problem.location.line, problem.location.column) if problem.location else (0, 0)

    return sorted(problems, key=place)


def _functions(data: dict[str, Any], document: Document, problems: list[SyncError]) -> Iterator[str]:
    for number, text in enumerate(data.get("allow_functions", [])):
        place = document.at(child("/allow_functions", number))
        try:
            schema, name = qualified(text, place)
        except SpecError as error:
            problems.append(
                SpecError(
                    f"`{text}` is not a function's name", hint="write schema.name", location=error.location
                )
            )
            continue
        if schema is None:
            hint = f"write schema.{name}, or pg_catalog.{name} for a built-in function"
            problems.append(SpecError(f"the function `{text}` needs its schema", hint=hint, location=place))
        else:
            yield f"{schema}.{name}"


def _ledger_schema(data: dict[str, Any], document: Document, problems: list[SyncError]) -> str:
    text = data.get("ledger_schema", "syncengine")
    name = identifier(text) or text
    place = document.at("/ledger_schema")
    try:
        check_name(name, place)
    except SpecError as error:
        problems.append(error)
    if name.startswith("pg_") or name == "information_schema":
        problems.append(SpecError(f"the schema `{name}` belongs to the server", location=place))
    return name
