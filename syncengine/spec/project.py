"""syncengine.yaml: connections, defaults, environments, and what else holds for all specs of a project."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from syncengine import redact
from syncengine.errors import Location, OptionError, SpecError, SpecErrors, SyncError
from syncengine.spec.environments import in_environment, no_such_environment
from syncengine.spec.expand import SECRET_PLACES, expand, literal_passwords
from syncengine.spec.merge import remainder, subtree
from syncengine.spec.names import check_name, identifier, qualified
from syncengine.spec.positions import MAX_BYTES, Document, child, decode, documents
from syncengine.spec.problems import check
from syncengine.spec.schema import project_schema

FILE = "syncengine.yaml"
# Expanded where they are used, so that a variable is needed only by who uses it.
_UNEXPANDED = ("connections", "defaults", "environments")
_SECRET = re.compile(rf"(/environments/[^/]+)?(/connections/.*|/defaults({'|'.join(sorted(SECRET_PLACES))}))")


class Project(Struct, frozen=True, kw_only=True):
    """What holds for all specs of a folder.

    `connections` expand their `${…}` when they are looked up, so that a variable is needed only by who uses
    it; that raises SpecError.  `roots` are absolute and without `folder`.  `allow_functions` hold
    `schema.name`.  `env` is the environment that was asked for, `defaults` the keys that specs take over,
    `specs` the paths used where a call names none, with their places.  `group`: all specs of a call publish
    in one transaction.
    """

    folder: Path
    file: Path | None = None
    connections: Mapping[str, str] = field(default_factory=dict)
    embedded: bool = False
    allow_functions: frozenset[str] = frozenset()
    roots: tuple[Path, ...] = ()
    ledger_schema: str = "syncengine"
    env: str | None = None
    defaults: Document | None = None
    specs: Mapping[Path, Location] = field(default_factory=dict)
    group: bool = False


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


def load_project(start: Path, environ: Mapping[str, str], env: str | None = None) -> Project:
    """Return the project of the specs in the folder `start`, as the environment `env` has it.

    Its file is looked for at and above `start`, then the working folder.  Where there is none, the project
    folder is the working folder, or `start` if that lies elsewhere.  Raises SpecErrors with every problem.
    """
    folder = _folder_for(start, Path.cwd())
    file = folder / FILE
    try:
        found = _documents(file) if file.is_file() else None
    except SpecError as error:
        raise SpecErrors([redact.redact_error(error)]) from error
    if found:
        return _project(found, folder, file, environ, env)
    if env is not None:
        raise SpecErrors([no_such_environment(env, ())])
    return Project(folder=folder, file=file if file.is_file() else None)


def _documents(file: Path) -> Document | None:
    shown = display(file)
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
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


def _project(
    document: Document, folder: Path, file: Path, environ: Mapping[str, str], env: str | None
) -> Project:
    problems: list[SyncError] = [*literal_passwords(document, lambda at: bool(_SECRET.fullmatch(at)))]
    misshapen = _misshapen(document)
    problems += misshapen
    try:
        document = in_environment(document, None if misshapen else env)
    except OptionError as error:
        problems.append(error)
    raw: dict[str, Any] = dict(document.value) if isinstance(document.value, dict) else {}
    document.value = {key: value for key, value in raw.items() if key not in _UNEXPANDED}
    expansion = expand(document, environ=environ, folder=folder, roots=(folder,))
    problems += expansion.problems
    data: dict[str, Any] = {**raw, **(document.value if isinstance(document.value, dict) else {})}
    whole = {key: value for key, value in data.items() if key not in ("defaults", "environments")}
    problems += check(whole, project_schema(), document, expanded=expansion.expanded).problems
    if not problems:
        roots = tuple((folder / Path(root).expanduser()).resolve() for root in data.get("roots", []))
        document.value = raw
        project = Project(
            folder=folder,
            file=file,
            connections=_Connections(document, data.get("connections", {}), environ, (folder, *roots)),
            embedded=whole.get("embedded", False),
            allow_functions=frozenset(_functions(data, document, problems)),
            roots=roots,
            ledger_schema=_ledger_schema(data, document, problems),
            env=env,
            defaults=subtree(document, "defaults") if data.get("defaults") else None,
            specs=_specs(data, document, folder),
            group="transaction" in data,
        )
    if problems:
        raise SpecErrors([redact.redact_error(problem) for problem in in_order(problems)])
    return project


def _misshapen(document: Document) -> list[SpecError]:
    """Return what is wrong with the shape of defaults and environments; values with `${…}` are not known yet."""
    nothing = Document(file=document.file, start=document.start)
    given = document.value if isinstance(document.value, dict) else {}
    part = remainder(
        document, nothing, without=[key for key in given if key not in ("defaults", "environments")]
    )
    unknown = {document.at(pointer) for pointer, scalar in document.scalars.items() if "${" in scalar.value}
    value: Any = part.value
    found = check(value, project_schema(), document).problems
    return [problem for problem in found if problem.location not in unknown]


def _specs(data: dict[str, Any], document: Document, folder: Path) -> dict[Path, Location]:
    return {
        folder / Path(text).expanduser(): document.at(child("/specs", number))
        for number, text in enumerate(data.get("specs", []))
    }


def in_order(problems: list[SyncError]) -> list[SyncError]:
    """Return problems by file, line and column."""

    def place(problem: SyncError) -> tuple[str, int, int]:
        found = problem.location
        return (found.file, found.line, found.column) if found else ("", 0, 0)

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
