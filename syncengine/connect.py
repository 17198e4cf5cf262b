"""Connect to PostgreSQL, and turn the driver's errors into ours.  No password gets into a text here."""

from __future__ import annotations

import logging
import os
import re
import socket
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncengine.errors import (
    BadRow,
    Conflict,
    ConnectionFailed,
    DatabaseError,
    MissingPrivilege,
    OptionError,
    SyncError,
)
from syncengine.redact import redact, remember_passwords
from syncengine.tls import protection

_SCHEME = re.compile(r"\A(?:postgresql|postgres)(?:\+\w+)?://")
_CONNINFO = re.compile(r"\A\s*\w+\s*=")
# A peer that vanished is noticed within a minute, also while a long COPY waits for it.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

# What a failed attempt says (it has no SQLSTATE), and how to mend it.  The first match counts.
_REASONS = (
    (
        "password authentication failed|no password supplied|invalid password",
        "check the user and the password",
    ),
    (
        "pg_hba.conf",
        "the server's pg_hba.conf must let this user, database and address in; it may ask for SSL",
    ),
    (
        "server does not support SSL",
        "turn TLS on in the server (ssl = on), or write sslmode=disable into the URL if nobody can listen in between",
    ),
    (
        "certificate verify failed|self-signed|self signed|unable to get (?:local )?issuer",
        "name the file with the certificate of the server's CA: sslrootcert=FILE in the URL, or PGSSLROOTCERT",
    ),
    (
        "does not match host name|host name must be specified",
        "write the name that is in the server's certificate as host; its address may stand beside it as hostaddr",
    ),
    (
        "root certificate file|root.crt",
        "write sslrootcert=FILE into the URL, or PGSSLROOTCERT, with a file that is there",
    ),
    ("SSL|certificate|TLS", "check sslmode in the URL, and the server's certificate"),
    (r'database ".*" does not exist', "create the database, or correct its name in the URL"),
    (r'role ".*" does not exist', "create the role, or correct the user in the URL"),
    ("too many clients|too many connections|connection slots", "end other sessions or use a pooler"),
    ("resolve host|translate host name", "check the host's name; a password's @ : / must be percent-encoded"),
    ("Connection refused|No such file or directory", "start the server, or correct host and port in the URL"),
    ("timeout|timed out", "no answer: check host, port and firewall, or set connect_timeout in the URL"),
    ("starting up|shutting down|recovery mode", "wait until the server is up"),
    (r"invalid port number|invalid \w+ value", "correct this parameter of the connection"),
    ("definition of service", "check the service's name and the file that $PGSERVICEFILE names"),
)

# What the driver would tell standard error of a lost connection is in our errors.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

# Characters of a server's message or detail that are passed on.
_LONGEST = 300
# The server proposes settings that a spec can't set.
_BETTER_HINTS = {"22008": "dates are read as ISO has them: 2026-01-31, 2026-01-31 10:00:00+00"}

_BAD_ROW = ("23001", "23502", "23503", "23514", "44000")
_GONE = ("57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300")
_CONFLICT = ("40001", "40P01", "42P07", "55P03")
# PostgreSQL 18 has a code of its own for ON DELETE RESTRICT.
_REFERRED = "rows that others still refer to can't be deleted: sync those first, or delete softly"
_HINTS = {
    "23502": "mend the source, or compute the column under `columns`, such as coalesce(source.field, '…')",
    "22012": "protect the division: x / nullif(y, 0)",
    "23001": _REFERRED,
    "23503": f"load the referenced table first; {_REFERRED}",
    "23505": "mode upsert or ignore with these columns as conflict_keys takes rows that are there already",
    "23514": "mend the row in the source, or change the constraint; for partitions, make one for it",
    "25006": "connect to the primary server, with default_transaction_read_only off",
    "40001": "run it again when the other writer is done",
    "40P01": "run it again when the other writer is done",
    "42P07": "another session made it in the meantime: run it again",
    "42501": "have the owner GRANT the missing right",
    "53100": "free space on the server's disk, then VACUUM the table",
    "53300": "end other sessions or use a pooler",
    "54011": "the run needs columns of its own beside the table's: load fewer, see ignore_fields",
    "55P03": "another session holds a lock (see pg_locks): wait for it, or raise execution.lock_timeout",
    "57014": "raise execution.statement_timeout, or the server's, if it was not cancelled by hand",
}
_LOST = "run it again when the server is there; nothing of the unfinished transaction stays"


def connect(url: str, *, application_name: str = "syncengine") -> psycopg.Connection:
    """Open a connection in autocommit mode, without server-side prepared statements (for poolers).

    `url` is a postgresql:// URL, also with a driver as in `postgresql+psycopg://`, or a libpq string such as
    `host=… dbname=…` or `service=…`.  A server elsewhere must prove who it is, unless the URL says otherwise (tls.py).
    Raises OptionError for anything else, ConnectionFailed if there is no connection.
    """
    params = _params(url)
    remember_passwords(url)
    # A service file may set these itself, and what is passed here would win over it.
    defaults = {} if "service" in params or "PGSERVICE" in os.environ else _DEFAULTS
    if "PGCONNECT_TIMEOUT" in os.environ:
        defaults = {name: value for name, value in defaults.items() if name != "connect_timeout"}
    fixed = {"fallback_application_name": application_name, "client_encoding": "UTF8"}
    try:
        return psycopg.connect(
            make_conninfo(**defaults | params | protection(params) | fixed),
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        raise _failed(url, str(error)) from None


def cancel(connection: psycopg.Connection[Any], patience: float) -> None:
    """Have the server end the statement under way, and wait so many seconds for it to be asked; errors are no news."""
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=patience)


def cut(connection: psycopg.Connection[Any]) -> None:
    """Close a connection below the driver: a thread that waits for its server goes on with an error."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


def describe(url: str) -> str:
    """Return `user@host:port/database` with libpq's defaults filled in and no secret.  Raises OptionError."""
    params = _params(url)
    if "service" in params:
        return f"service {params['service']}"
    preset = {item.keyword.decode(): item.val.decode() for item in pq.Conninfo.get_defaults() if item.val}
    known = preset | params
    user = known.get("user", "")
    hosts = known.get("host") or known.get("hostaddr") or "local socket"
    ports = known.get("port", "5432").split(",")
    names = hosts.split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    pairs = zip(names, ports, strict=False)
    places = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in pairs)
    return redact(f"{user}@{places}/{known.get('dbname', user)}")


def wrap(error: psycopg.Error, *, doing: str) -> SyncError:
    """Return the error of ours that a driver's error amounts to, by SQLSTATE; `doing` is what went on."""
    state = error.sqlstate
    kind = _class_of(error, state)
    message = short(error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__)
    given = short((error.diag.message_detail or "").rstrip("."))
    inside = re.search(r"^(?:PL/pgSQL|SQL) function .*$", error.diag.context or "", re.MULTILINE)
    parts = (given, inside and short(inside[0]), doing and f"while {doing}", state and f"SQLSTATE {state}")
    detail = "; ".join(part for part in parts if part)
    hint = _BETTER_HINTS.get(state or "") or error.diag.message_hint
    hint = hint or _HINTS.get(state or "", _LOST if kind is ConnectionFailed else None)
    wrapped = kind(redact(message), detail=redact(detail) or None, hint=hint and redact(hint))
    wrapped.sqlstate = state
    return wrapped


def short(text: str) -> str:
    """Cut a text that quotes a whole value, which may be of megabytes."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _class_of(error: psycopg.Error, state: str | None) -> type[SyncError]:
    if state is None:
        # InternalError: a pooler whose server is gone sends two errors where the driver knows of one.
        lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError))
        unsent = BadRow if isinstance(error, psycopg.DataError) else DatabaseError
        return ConnectionFailed if lost else unsent
    if state.startswith("08") or state in _GONE:
        return ConnectionFailed
    if state in _CONFLICT:
        return Conflict
    if state == "42501":
        return MissingPrivilege
    return BadRow if state.startswith("22") or state in _BAD_ROW else DatabaseError


def _params(url: str) -> dict[str, str]:
    """Return libpq's parameters.  Its words about a bad URL can hold parts of a password: they stay here."""
    plain = _SCHEME.sub("postgresql://", url.strip())  # a variable set from a file may end in a newline
    if not (plain.startswith("postgresql://") or _CONNINFO.match(plain)):
        raise _not_a_url()
    try:
        params = {name: str(value) for name, value in conninfo_to_dict(plain).items() if value is not None}
    except psycopg.Error:
        raise _not_a_url() from None
    # These come of a password with an unencoded @ or /, of which a part would be taken for host, port or name.
    if plain.startswith("postgresql://") and any("@" in params.get(name, "") for name in ("dbname", "host")):
        raise _not_a_url()
    if not re.fullmatch(r"[\d,]*", params.get("port", "")):
        raise _not_a_url()
    return params


def _not_a_url() -> OptionError:
    return OptionError(
        "the connection is not a PostgreSQL URL",
        hint="write postgresql://user@host:5432/database; in user and password, @ is %40, : is %3A, / is %2F",
    )


def _failed(url: str, text: str) -> ConnectionFailed:
    reason = " ".join(re.sub(r"\Aconnection(?: failed| is bad): ", "", text.strip()).split())
    hint = next((hint for pattern, hint in _REASONS if re.search(pattern, reason)), None)
    return ConnectionFailed(f"cannot connect to {describe(url)}", detail=redact(reason), hint=hint)
