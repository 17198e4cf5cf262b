"""Which database a spec goes to, and one open connection to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from syncengine.errors import ConnectionFailed, Location, OptionError, SpecError
from syncengine.model.spec import Spec
from syncengine.spec.project import Project

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

VARIABLES = ("SYNCENGINE_URL", "DATABASE_URL")
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A target: `name` says how it was chosen and holds no secret; no `url` means the embedded server."""

    name: str
    url: str | None


def choose(spec: Spec, project: Project, option: str | None, environ: Mapping[str, str]) -> Choice:
    """Return where a spec goes: the option, the spec's connection, a variable, else the embedded server.

    Raises OptionError where falling back to the embedded server would hide a variable that is not set (docs/spec.md,
    §1).
    """
    if option is not None:
        return _named(option, project) or Choice(name="--connection", url=option)
    if spec.target.connection is not None:
        choice = _named(spec.target.connection, project)
        if choice is None:
            known = ", ".join(project.connections) or "none"
            raise SpecError(
                f"there is no connection {spec.target.connection!r} in the project file",
                hint=f"name one of {known}"
                if project.connections
                else "add it to syncengine.yaml under connections",
                location=spec.mark("/target/connection"),
            )
        return choice
    for variable in VARIABLES:
        if environ.get(variable):
            return Choice(name=f"${variable}", url=environ[variable])
    if not project.embedded and (project.connections or environ.get("CI")):
        why = "the project file names connections" if project.connections else "$CI is set"
        raise OptionError(
            f"no connection is given, and {why}: the embedded server would hide a mistake",
            hint="set $SYNCENGINE_URL, give --connection, or write `embedded: true` into syncengine.yaml",
        )
    return Choice(name=EMBEDDED, url=None)


def _named(name: str, project: Project) -> Choice | None:
    url = project.connections.get(name)
    return Choice(name=name, url=url) if url is not None else None


class Targets:
    """The connections of one call, opened at first use and closed at its end.

    `announce` is told once of each target that is used: how it was chosen, and where it is.
    """

    def __init__(
        self,
        option: str | None,
        environ: Mapping[str, str],
        announce: Callable[[str, str, str | None], None],
    ) -> None:
        self._option = option
        self._environ = environ
        self._announce = announce
        self._stack = ExitStack()
        self._open: dict[str, psycopg.Connection[TupleRow]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def connect(self, spec: Spec, project: Project) -> tuple[Choice, psycopg.Connection[TupleRow]]:
        """Return the choice and its connection; raises OptionError, SpecError, ConnectionFailed, EmbeddedError."""
        from syncengine.connect import connect

        choice = choose(spec, project, self._option, self._environ)
        key = choice.url or f"embedded:{project.folder}"
        connection = self._open.get(key)
        if connection is None or connection.closed:
            try:
                connection = self._stack.enter_context(connect(self._url(choice, project)))
            except (OptionError, ConnectionFailed) as error:
                error.location = error.location or Location(choice.name)
                raise
            self._open[key] = connection
        return choice, connection

    def _url(self, choice: Choice, project: Project) -> str:
        from syncengine.connect import describe

        if choice.url is not None:
            self._announce(choice.name, describe(choice.url), None)
            return choice.url
        from syncengine.embedded import acquire

        server = self._stack.enter_context(acquire(project.folder))
        self._announce(EMBEDDED, f"PostgreSQL {server.version} in {server.folder}", server.note)
        return server.url
