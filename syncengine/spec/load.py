"""Files, folders, texts and mappings -> Specs; every problem of all of them is raised at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from syncengine import redact
from syncengine.errors import Location, OptionError, SpecError, SpecErrors, SyncError
from syncengine.model.spec import Spec
from syncengine.spec.available import not_available
from syncengine.spec.build import build
from syncengine.spec.defaults import defaults_for
from syncengine.spec.draft import Draft
from syncengine.spec.expand import SECRET_PLACES, expand, literal_passwords
from syncengine.spec.merge import joined
from syncengine.spec.positions import MAX_BYTES, Document, decode, documents, from_mapping
from syncengine.spec.problems import check
from syncengine.spec.project import FILE, Project, display, in_order
from syncengine.spec.schema import spec_schema
from syncengine.spec.words import FOREIGN_KEYS, normal

STDIN = "-"
STDIN_NAME = "<stdin>"
MAPPING_NAME = "<spec>"


class _Loader(Struct, frozen=True, kw_only=True):
    """What all documents of one call are read with.

    `needs_source` False: a spec without `source` gets one of type `rows`, as the caller brings the rows.
    """

    project: Project
    environ: Mapping[str, str]
    needs_source: bool = True


def load_paths(
    paths: Sequence[Path | str], project: Project, environ: Mapping[str, str], *, needs_source: bool = True
) -> tuple[Spec, ...]:
    """Return the specs of files, folders and `-` (standard input), in that order; a file named twice is read
    once.

    Raises SpecErrors with every problem.
    """
    loader = _Loader(project=project, environ=environ, needs_source=needs_source)
    problems: list[SyncError] = []
    specs: list[Spec] = []
    for path in _files(paths, problems):
        try:
            specs += _load_file(loader, path, problems)
        except SyncError as error:
            problems.append(error)
    return _whole(specs, problems)


def load_text(
    text: str,
    *,
    file: str,
    folder: Path,
    project: Project,
    environ: Mapping[str, str],
    needs_source: bool = True,
) -> tuple[Spec, ...]:
    """Return the specs of a YAML text; `file` is what locations call it.  Raises SpecErrors with every
    problem.
    """
    loader = _Loader(project=project, environ=environ, needs_source=needs_source)
    problems: list[SyncError] = []
    specs: list[Spec] = []
    try:
        specs += _load_text(loader, text, file, folder, problems)
    except SyncError as error:
        problems.append(error)
    return _whole(specs, problems)


def load_mapping(
    data: Mapping[str, object],
    *,
    folder: Path,
    project: Project,
    environ: Mapping[str, str],
    needs_source: bool = True,
) -> Spec:
    """Return the spec that a Python mapping holds; without `name` it is called `spec`.  Raises SpecErrors."""
    loader = _Loader(project=project, environ=environ, needs_source=needs_source)
    problems: list[SyncError] = []
    specs: list[Spec] = []
    try:
        document = from_mapping(data, file=MAPPING_NAME)
        specs += _load_document(loader, document, folder, "spec", problems)
    except SyncError as error:
        problems.append(error)
    return _whole(specs, problems)[0]


def _whole(specs: list[Spec], problems: list[SyncError]) -> tuple[Spec, ...]:
    """Return the specs if nothing is wrong with them, or between them."""
    problems += repeated_names(specs)
    if problems:
        raise SpecErrors([redact.redact_error(problem) for problem in without_repeats(problems)])
    return tuple(specs)


def repeated_names(specs: Sequence[Spec]) -> list[SyncError]:
    """Return a problem for each spec whose name an earlier one has."""
    problems: list[SyncError] = []
    by_name: dict[str, Spec] = {}
    for spec in specs:
        other = by_name.setdefault(spec.name, spec)
        if other is not spec:
            place = spec.mark("/name")
            message = f"the name `{spec.name}` is there twice"
            first, hint = f"first at {other.mark('/name')}", "give one of them another `name`"
            problems.append(SpecError(message, detail=first, hint=hint, location=place))
    return problems


def without_repeats(problems: Iterable[SyncError]) -> list[SyncError]:
    """Return the problems once each: what is wrong in the project file is so for each spec."""
    first: dict[tuple[Location | None, str], SyncError] = {}
    for problem in problems:
        first.setdefault((problem.location, problem.message), problem)
    return list(first.values())


def _files(paths: Sequence[Path | str], problems: list[SyncError]) -> Iterator[Path | None]:
    """Yield the files to read, each once; None stands for standard input."""
    seen: set[Path | None] = set()
    for path in paths:
        for file in _below(path, problems):
            if (key := file.resolve() if file else None) not in seen:
                seen.add(key)
                yield file


def _below(path: Path | str, problems: list[SyncError]) -> Sequence[Path | None]:
    if str(path) == STDIN:
        return [None]
    path = Path(path)
    if path.is_dir():
        found = sorted(specs_in(path))
        if not found:
            problems.append(
                OptionError(f"no spec in the folder {path}", hint="specs are *.yaml and *.yml files")
            )
        return found
    if not path.exists():
        hint = f"paths are relative to the working folder, {Path.cwd()}"
        problems.append(OptionError(f"there is no file or folder {path}", hint=hint))
        return []
    return [path]


def specs_in(folder: Path) -> Iterator[Path]:
    """Yield the files of specs below a folder, in any order."""
    for current, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.endswith((".yaml", ".yml")) and name != FILE and not name.startswith("."):
                yield Path(current, name)


def _load_file(loader: _Loader, path: Path | None, problems: list[SyncError]) -> list[Spec]:
    shown = display(path) if path else STDIN_NAME
    try:
        if path is None and (sys.stdin is None or sys.stdin.closed):
            raise SpecError("standard input is closed", hint="pipe the specs in", location=Location(shown))
        if path is None:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"cannot read the file: {error.strerror}", location=Location(shown)) from error
    folder = path.resolve().parent if path else Path.cwd()
    return _load_text(loader, decode(data, file=shown), shown, folder, problems)


def _load_text(loader: _Loader, text: str, file: str, folder: Path, problems: list[SyncError]) -> list[Spec]:
    found = documents(text, file=file)
    if not found:
        hint = "a spec has at least `source:` and `target:`"
        raise SpecError("there is no spec in the file", location=Location(file), hint=hint)
    name = None if len(found) > 1 else "stdin" if file == STDIN_NAME else Path(file).stem
    return [spec for document in found for spec in _load_document(loader, document, folder, name, problems)]


def _load_document(
    loader: _Loader, document: Document, folder: Path, name: str | None, problems: list[SyncError]
) -> list[Spec]:
    """Return the one spec of a document, or none after noting its problems in order."""
    if not isinstance(document.value, dict):
        raise SpecError("a spec must be a mapping of keys to values", location=document.start)
    draft = _draft(loader, document, folder.resolve())
    name = draft.data.get("name", name)
    if name is None and "name" not in draft.given:
        draft.complain("", "each spec of a file with several must have a `name`")
    spec = build(draft, name=name or "", file=document.file)
    shared = loader.project.defaults
    for problem in draft.problems:
        if shared and problem.location and problem.location.file == shared.file:
            problem.detail = problem.detail or f"as a default of {name or document.start}"
    problems += in_order(draft.problems)
    return [spec] if spec else []


def _draft(loader: _Loader, document: Document, folder: Path) -> Draft:
    """Expand a document and check its shape; what is wrong in it is noted and left out."""
    project = loader.project
    home = project.folder.resolve()
    roots = (home if folder.is_relative_to(home) else folder, *project.roots)
    problems: list[SyncError] = [*literal_passwords(document, SECRET_PLACES.__contains__)]
    for pointer in SECRET_PLACES & document.scalars.keys():
        redact.remember_passwords(document.scalars[pointer].value)
    rest = defaults_for(document, project, needs_source=loader.needs_source)
    expansion = expand(document, environ=loader.environ, folder=folder, roots=roots)
    if rest is not None:
        taken = expand(rest, environ=loader.environ, folder=home, roots=(home, *project.roots))
        expansion.include(taken)
        document = joined(rest, document)
    data: dict[str, Any] = dict(document.value) if isinstance(document.value, dict) else {}
    draft = Draft(
        document=document,
        project=project,
        folder=folder,
        roots=roots,
        given=_given(data),
        expanded=frozenset(expansion.expanded),
        needs_source=loader.needs_source,
        problems=[*problems, *expansion.problems],
    )
    schema = spec_schema()
    if not loader.needs_source:
        schema["required"].remove("source")
    findings = check(data, schema, document, expanded=expansion.expanded)
    draft.problems += findings.problems
    broken = {pointer.split("/")[1] for pointer in findings.broken | expansion.failed if pointer}
    later = dict(not_available(data))
    for pointer, name in later.items():
        draft.not_yet(pointer, name, at_key=":" not in name)
    draft.data = {key: value for key, value in _without(data, later).items() if key not in broken}
    return draft


def _given(data: dict[str, Any]) -> frozenset[str]:
    """Return the keys that a spec holds; a conflict target in another tool's words counts as one."""
    meant = {"conflict_keys" for key in data if "`conflict_keys" in FOREIGN_KEYS.get(normal(key), "")}
    return frozenset({*data, *meant})


def _without(data: dict[str, Any], pointers: Mapping[str, str]) -> dict[str, Any]:
    """Return `data` without the keys at `pointers`, which are one or two levels deep."""
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for pointer in pointers:
        first, *below = pointer.split("/")[1:]
        if below:
            kept[first].pop(below[0], None)
        else:
            kept.pop(first, None)
    return kept
