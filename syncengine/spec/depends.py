"""What specs say they depend on: names that exist, and no circles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from syncengine.errors import SpecError, SyncError
from syncengine.model.spec import Spec
from syncengine.order import Wait, circles
from syncengine.spec.load import STDIN_NAME, specs_in
from syncengine.spec.positions import MAX_BYTES, child, decode, documents
from syncengine.spec.project import FILE, Project
from syncengine.spec.words import nearest

REASON = "depends_on"


def stated_waits(specs: Sequence[Spec]) -> list[Wait]:
    """Return a wait for each dependency among the specs; one that is not among them is taken as met."""
    numbers: dict[str, list[int]] = {}
    for number, spec in enumerate(specs):
        numbers.setdefault(spec.name, []).append(number)
    return [
        Wait(spec=number, after=after, reason=REASON)
        for number, spec in enumerate(specs)
        for name in spec.depends_on
        for after in numbers.get(name, ())
    ]


def circular(specs: Sequence[Spec]) -> list[SyncError]:
    """Return a problem for each circle of dependencies."""
    problems: list[SyncError] = []
    for way in circles(len(specs), stated_waits(specs)):
        names = [specs[number].name for number in way]
        first = specs[way[0]]
        place = first.mark(child("/depends_on", first.depends_on.index(names[1])))
        problems.append(
            SpecError(
                f"`depends_on` goes in a circle: {' -> '.join(names)}",
                hint="take one of them out",
                location=place,
            )
        )
    return problems


def unknown(specs: Sequence[tuple[Spec, Project]]) -> list[SyncError]:
    """Return a problem for each dependency that is neither among the specs nor elsewhere in its project."""
    here = {spec.name for spec, _ in specs}
    elsewhere: dict[Path, frozenset[str]] = {}
    problems: list[SyncError] = []
    for spec, project in specs:
        missing = [(number, name) for number, name in enumerate(spec.depends_on) if name not in here]
        if not missing:
            continue
        folder = Path(spec.folder) if project.file is None else project.folder
        if folder not in elsewhere:
            elsewhere[folder] = frozenset(_names(project, folder))
        known = here | elsewhere[folder]
        problems += [_unknown(spec, number, name, known) for number, name in missing if name not in known]
    return problems


def _unknown(spec: Spec, number: int, name: str, known: set[str] | frozenset[str]) -> SpecError:
    near = nearest(name, known - {spec.name})
    return SpecError(
        f"there is no spec `{name}`",
        hint=f"did you mean `{near}`?" if near else "`depends_on` takes the names of specs",
        location=spec.mark(child("/depends_on", number)),
    )


def _names(project: Project, folder: Path) -> Iterator[str]:
    """Yield the names of all specs of a project; where there is no project file, of those in one folder."""
    if project.file is None:
        files = [path for path in folder.glob("*.y*ml") if path.name != FILE]
    else:
        roots = list(project.specs) or [project.folder]
        files = [file for root in roots for file in (specs_in(root) if root.is_dir() else [root])]
    for file in files:
        yield from _names_in(file)


def _names_in(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        found = documents(decode(data, file=STDIN_NAME), file=STDIN_NAME)
    except (OSError, SpecError):
        return  # what is wrong there is no concern of this call
    for document in found:
        name = document.value.get("name") if isinstance(document.value, dict) else None
        if isinstance(name, str):
            yield name
        elif len(found) == 1:
            yield file.stem
