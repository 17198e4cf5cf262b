"""Which database a spec goes to, and for each thread one open connection to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from syncengine.errors import ConnectionFailed, EmbeddedError, Location, OptionError, SpecError, SyncError
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
    url: str | None = field(repr=False)


def choose(spec: Spec, project: Project, option: str | None, environ: Mapping[str, str]) -> Choice:
    """Return where a spec goes: the option, the spec's connection, a variable, else the embedded server.

    Raises OptionError where falling back to the embedded server would hide a variable that is not set (docs/spec.md,
    §1).
    """
    return _chosen(spec.target.connection, spec.mark("/target/connection"), project, option, environ)


def choose_default(project: Project, option: str | None, environ: Mapping[str, str]) -> Choice:
    """Return where a project's specs go that say nothing of it themselves.  Raises OptionError, SpecError."""
    given = project.defaults.value if project.defaults is not None else None
    target = given.get("target") if isinstance(given, dict) else None
    name = target.get("connection") if isinstance(target, dict) else None
    place = project.defaults.at("/target/connection") if project.defaults is not None else None
    return _chosen(name, place, project, option, environ)


def _chosen(
    wanted: str | None,
    place: Location | None,
    project: Project,
    option: str | None,
    environ: Mapping[str, str],
) -> Choice:
    if option is not None:
        return _named(option, project) or Choice(name="--connection", url=option)
    if wanted is not None:
        choice = _named(wanted, project)
        if choice is None:
            known = ", ".join(project.connections) or "none"
            raise SpecError(
                f"there is no connection {wanted!r} in the project file",
                hint=f"name one of {known}"
                if project.connections
                else "add it to syncengine.yaml under connections",
                location=place,
            )
        return choice
    for variable in VARIABLES:
        if environ.get(variable):
            return Choice(name=f"${variable}", url=environ[variable])
    why = _no_fallback(project, environ)
    if why:
        raise OptionError(
            f"no connection is given, and {why}: the embedded server would hide a mistake",
            hint="set $SYNCENGINE_URL, give --connection, or write `embedded: true` into syncengine.yaml",
        )
    return Choice(name=EMBEDDED, url=None)


def _no_fallback(project: Project, environ: Mapping[str, str]) -> str | None:
    """Return why the embedded server would not be meant."""
    if project.embedded:
        return None
    if project.env is not None:
        return f"the environment `{project.env}` is chosen"
    if project.connections:
        return "the project file names connections"
    return "$CI is set" if environ.get("CI") else None


def _named(name: str, project: Project) -> Choice | None:
    url = project.connections.get(name)
    return Choice(name=name, url=url) if url is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An open target: how it was chosen, its URL, and this thread's connection to it.

    `connect` returns that connection, opened anew if it was lost.
    """

    name: str
    url: str = field(repr=False)
    connection: psycopg.Connection[TupleRow]
    connect: Callable[[], psycopg.Connection[TupleRow]]


class Connections:
    """One open connection per URL, for one thread; opened at first use, closed together."""

    def __init__(self) -> None:
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
        self.close()

    def close(self) -> None:
        self._stack.close()

    def to(self, url: str) -> psycopg.Connection[TupleRow]:
        """Return the open connection to a database.  Raises OptionError, ConnectionFailed."""
        from syncengine.connect import connect

        connection = self._open.get(url)
        if connection is None or connection.closed:
            connection = self._open[url] = self._stack.enter_context(closing(connect(url)))
        return connection


class Targets:
    """The targets of one call, opened at first use and closed at its end.

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
        self._connections = Connections()
        self._urls: dict[str, str] = {}
        self._failed: dict[str, SyncError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A server of ours is left when the connections to it are closed.
        with self._stack:
            self._connections.close()

    def connect(self, spec: Spec, project: Project) -> Target:
        """Open the target of a spec; raises OptionError, SpecError, ConnectionFailed, EmbeddedError.

        A database that can't be reached is not tried again in the same call.
        """
        return self._connect(choose(spec, project, self._option, self._environ), project)

    def connect_default(self, project: Project) -> Target:
        """Open where the project's specs go that say nothing of it; raises as `connect` does."""
        return self._connect(choose_default(project, self._option, self._environ), project)

    def _connect(self, choice: Choice, project: Project) -> Target:
        key = choice.url or f"embedded:{project.folder}"
        if key in self._failed:
            raise self._failed[key]
        try:
            url = self._urls.get(key) or self._url(choice, project)
            self._urls[key] = url
            connect = partial(self._connections.to, url)
            return Target(name=choice.name, url=url, connection=connect(), connect=connect)
        except (OptionError, ConnectionFailed, EmbeddedError) as error:
            if not isinstance(error, EmbeddedError):
                error.location = error.location or Location(choice.name)
            self._failed[key] = error
            raise

    def _url(self, choice: Choice, project: Project) -> str:
        from syncengine.connect import describe

        if choice.url is not None:
            self._announce(choice.name, describe(choice.url), None)
            return choice.url
        from syncengine.embedded import acquire

        server = self._stack.enter_context(acquire(project.folder))
        self._announce(EMBEDDED, f"PostgreSQL {server.version} in {server.folder}", server.note)
        return server.url
