"""How a connection is protected on its way: a server elsewhere must prove who it is, unless something else is written.

libpq's own default, `sslmode=prefer`, takes any certificate and does without TLS where the server offers none.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from syncengine.errors import OptionError

if TYPE_CHECKING:
    from psycopg import pq

SAFE = "verify-full"
SYSTEM = "system"
# What libpq takes for certificates of CAs that are trusted, if it is there and nothing else is stated.
_OWN_CAS = Path("~/.postgresql/root.crt")
# Where systems keep theirs: Debian, Fedora, SUSE, Alpine and macOS.  The OpenSSL in psycopg[binary] looks elsewhere.
_SYSTEM_CAS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
# sslrootcert=system came with this libpq.
_KNOWS_SYSTEM = 160000
_WEAK = {
    "disable": "nothing is encrypted",
    "allow": "it may not be encrypted, and nobody checks who the server is",
    "prefer": "it may not be encrypted, and nobody checks who the server is",
    "require": "nobody checks who the server is",
    "verify-ca": "any server with a certificate of the same CA is taken for it",
}


def is_local(host: str) -> bool:
    """Tell whether a host, as libpq has it, is this machine: a socket's folder, localhost, or a loopback address.

    >>> [is_local(host) for host in ("", "/run/postgresql", "localhost", "127.0.0.2", "::1", "db.example")]
    [True, True, True, True, True, False]
    """
    if host == "" or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def protection(params: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what to add to libpq's parameters so that a server elsewhere is checked in full.

    Nothing where all hosts are local, or where the parameters, PGSSLMODE or the service say which sslmode they
    want; `prefer` in a service counts as unsaid, for libpq doesn't tell it from its default.  Raises OptionError
    where no certificates are found to check with.
    """
    known = _filled_in(params)
    mode = known.get("sslmode", "prefer")
    if mode == "prefer" and not params.get("sslmode") and not environ.get("PGSSLMODE"):
        elsewhere = not all(is_local(host) for host in _hosts(known))
        mode = SAFE if elsewhere or known.get("sslrootcert") == SYSTEM else mode
    return {"sslmode": SAFE} | _authorities(known.get("sslrootcert", "")) if mode == SAFE else {}


def weakness(connection: pq.abc.PGconn) -> str | None:
    """Return a warning if an open connection leads elsewhere and is protected less than by default."""
    known = _read(connection)
    host = connection.host.decode() or known.get("hostaddr", "")
    mode = known.get("sslmode", "")
    if is_local(host) or mode not in _WEAK:
        return None
    return f"the connection to {host} has sslmode={mode}: {_WEAK[mode]}; without it, sslmode={SAFE} holds"


def _filled_in(params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with those of the service, the environment and libpq's defaults."""
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    # A value that libpq refuses: it has filled in the others by then, and has not connected yet.
    unusable = make_conninfo(**{**params, "channel_binding": "none"})
    attempt = pq.PGconn.connect_start(unusable.encode())
    try:
        return _read(attempt)
    finally:
        attempt.finish()


def _read(connection: pq.abc.PGconn) -> dict[str, str]:
    return {option.keyword.decode(): option.val.decode() for option in connection.info if option.val}


def _hosts(known: Mapping[str, str]) -> list[str]:
    """Return the hosts as the server must be called; a name counts, whatever address is given for it."""
    names = known.get("host", "").split(",")
    addresses = known.get("hostaddr", "").split(",")
    pairs = [
        (names[place] if place < len(names) else "", addresses[place] if place < len(addresses) else "")
        for place in range(max(len(names), len(addresses)))
    ]
    return [name or address for name, address in pairs]


def _authorities(stated: str) -> dict[str, str]:
    """Return where certificates to trust are, if libpq would not find them by itself."""
    if stated not in ("", SYSTEM) or (not stated and _OWN_CAS.expanduser().exists()):
        return {}
    if found := _system_file():
        return {"sslrootcert": found}
    from psycopg import pq

    if pq.version() >= _KNOWS_SYSTEM:
        return {"sslrootcert": SYSTEM}
    raise OptionError(
        "no certificates to check the server with are found on this machine",
        hint="write sslrootcert=FILE into the URL, or set PGSSLROOTCERT; or use psycopg[binary], whose libpq is newer",
    )


def _system_file() -> str | None:
    """Return the system's file of certificates; $SSL_CERT_FILE may name another one."""
    import ssl

    places = (ssl.get_default_verify_paths().cafile, *_SYSTEM_CAS)
    return next((place for place in places if place and os.path.isfile(place)), None)
