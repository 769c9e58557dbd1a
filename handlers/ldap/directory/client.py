"""A directory over LDAP: connecting, searching in batches, writing; the only module with ldap3.

Promises: no password leaves before TLS is up and the certificate is checked. A batch talks to one
server, the first that answers, and stays with it until it is away or idle for a minute. A failure
is one of the contract's faults, and a write without an answer is Unknown.
Leaves out: what entries mean. With `emulated:///DIR/ad.json` as server the sandbox's directory
answers, and no module above this one knows.
"""

from __future__ import annotations

import select
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

import ldap3

from handlers.ldap.directory.answers import (
    FAILURES,
    NO_SUCH_OBJECT,
    fault_of,
    fault_of_read,
    fault_of_write,
)
from handlers.ldap.directory.settings import DirectorySettings
from handlers.ldap.directory.text import Entry, any_of, chunks
from provisioner.contract import Fault, Unavailable, Unknown, ask_leave, carrying_leave, cut_after

T = TypeVar("T")

Value: TypeAlias = str | bytes | int
Modification: TypeAlias = tuple[Literal["add", "delete", "replace"], str, Sequence[Value]]
"""A verb, an attribute and its values; a replace without values removes the attribute."""

Scope: TypeAlias = Literal["SUBTREE", "LEVEL", "BASE"]

PAGE = 500
"""Entries in an answer: Active Directory returns at most 1,000 without paging."""

PAGES = 2_000
"""Pages of one search: a million entries. A server that always has another one gives no answer."""

NAMES = 200
"""Names in a filter: AD takes some thousands of terms; slapd plans better with fewer."""

IDLE = 60.0
"""Seconds until an idle connection is closed; the next one tries the first server again."""

PER_CONNECTION = 8
"""Writes that justify one more connection: a bind over TLS takes as long as 4 to 8 adds."""


class Directory:
    """One directory: a few connections to one of its servers, for all threads."""

    def __init__(self, settings: DirectorySettings, secret: Callable[[str], str]) -> None:
        self.settings = settings
        self._secret = secret
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Any]] = []
        self._server = ""

    # Reading.

    def search(
        self, base: str, filter: str, attributes: Collection[str], scope: Scope = "SUBTREE"
    ) -> list[Entry]:
        """Return entries, page by page. Raises Unavailable or the fault of the server's answer."""
        where = f"search below {base}"
        entries: list[Entry] = []
        with self._connection() as connection:
            cookie: Any = None
            for _ in range(PAGES):
                try:
                    with _bounded(self.settings, connection):
                        connection.search(
                            base, filter, search_scope=scope, attributes=list(attributes),
                            paged_size=None if scope == "BASE" else PAGE, paged_cookie=cookie,
                        )  # fmt: skip
                except FAILURES as error:
                    self._forget(connection)
                    raise fault_of_read(_at(connection, where), error) from error
                if (fault := fault_of(_at(connection, where), connection.result)) is not None:
                    raise fault
                entries += map(_entry, filter_entries(connection.response))
                cookie = _cookie(connection.result)
                if not cookie:
                    return entries
        raise Unavailable(f"{where}: there is no end after {PAGES} pages of {PAGE} entries")

    def find(
        self,
        attribute: str,
        values: Iterable[str],
        attributes: Collection[str],
        *,
        base: str = "",
        within: str = "",
    ) -> list[Entry]:
        """Return the entries with any of some values, some hundreds of values in a search.

        within: a filter that must also match, such as `(objectClass=user)`.
        """
        entries: list[Entry] = []
        for some in chunks(sorted(set(values)), NAMES):
            asked = any_of(attribute, some)
            full = f"(&{within}{asked})" if within else asked
            entries += self.search(base or self.settings.base, full, attributes)
        return entries

    def read(self, dn: str, attributes: Collection[str]) -> Entry | None:
        """Return one entry; None if it does not exist."""
        with self._connection() as connection:
            try:
                with _bounded(self.settings, connection):
                    connection.search(
                        dn, "(objectClass=*)", search_scope="BASE", attributes=list(attributes)
                    )
            except FAILURES as error:
                self._forget(connection)
                raise fault_of_read(_at(connection, f"read {dn}"), error) from error
            if connection.result.get("result") == NO_SUCH_OBJECT:
                return None
            if (fault := fault_of(_at(connection, f"read {dn}"), connection.result)) is not None:
                raise fault
            return next(map(_entry, filter_entries(connection.response)), None)

    # Writing.

    def add(self, dn: str, attributes: Mapping[str, Value | Sequence[Value]]) -> None:
        """Add an entry. Raises Exists if one exists, Unknown if no answer came."""
        given = {name: _values(value) for name, value in attributes.items()}
        self._write(f"add {dn}", lambda connection: connection.add(dn, attributes=given))

    def modify(self, dn: str, changes: Sequence[Modification]) -> None:
        """Change an entry, completely or not at all. Raises Exists, Absent, Unwilling or
        Unknown."""
        verbs = {"add": ldap3.MODIFY_ADD, "delete": ldap3.MODIFY_DELETE}
        given: dict[str, list[tuple[str, list[Value]]]] = {}
        for verb, attribute, values in changes:
            given.setdefault(attribute, []).append(
                (verbs.get(verb, ldap3.MODIFY_REPLACE), _values(values))
            )
        self._write(f"modify {dn}", lambda connection: connection.modify(dn, given))

    def replace(self, dn: str, values: Mapping[str, Value | None]) -> None:
        """Set attributes of an entry; None removes one. Raises the same faults as `modify`."""
        self.modify(dn, [("replace", n, [] if v is None else [v]) for n, v in values.items()])

    def each(self, write: Callable[[T], None], items: Sequence[T]) -> None:
        """Call `write` with each item, over several connections if there are many.

        Tries all, then raises the first fault; stops early if the server is away.
        """
        threads = min(self.settings.connections, 1 + len(items) // PER_CONNECTION)
        if threads == 1:
            faults = list(_faults(write, items))
        else:
            share = [items[start::threads] for start in range(threads)]
            with ThreadPoolExecutor(threads) as pool:
                done = pool.map(carrying_leave(lambda part: list(_faults(write, part))), share)
                faults = [fault for part in done for fault in part]
        for fault in sorted(faults, key=lambda fault: not isinstance(fault, _AWAY)):
            raise fault

    def _write(self, what: str, call: Callable[[Any], object]) -> None:
        with self._connection() as connection:
            ask_leave()
            try:
                with _bounded(self.settings, connection):
                    call(connection)
            except FAILURES as error:
                self._forget(connection)
                raise fault_of_write(_at(connection, what), error) from error
            if (fault := fault_of(_at(connection, what), connection.result)) is not None:
                raise fault

    # Connections.

    @property
    def server(self) -> str:
        """Return the server that this batch talks to; '' before the first call."""
        return self._server

    def probe(self) -> dict[str, Unavailable | None]:
        """Connect to each server and bind; return the fault of each, None if there is none."""
        faults: dict[str, Unavailable | None] = {}
        for url in self.settings.servers:
            try:
                _close(connect(self.settings, url, self._secret))
            except Unavailable as fault:
                faults[url] = fault
            else:
                faults[url] = None
        return faults

    def close(self) -> None:
        """Close idle connections, and choose a server again at the next call."""
        with self._lock:
            self._drop()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with self._lock:
            connection = self._reuse() or self._open()
            server = self._server
        try:
            yield connection
        except Fault:
            # The server answered, so the connection works.
            self._keep(server, connection)
            raise
        except BaseException:
            _close(connection)
            raise
        self._keep(server, connection)

    def _keep(self, server: str, connection: Any) -> None:
        with self._lock:
            # A connection to a server that another thread has found away is useless.
            if self._server == server and not connection.closed:
                self._idle.append((time.monotonic(), connection))
            else:
                _close(connection)

    def _reuse(self) -> Any:
        now = time.monotonic()
        if self._idle and now - max(since for since, _ in self._idle) > IDLE:
            self._drop()
        while self._idle:
            _, connection = self._idle.pop()
            if _is_alive(connection):
                return connection
            _close(connection)
        return None

    def _open(self) -> Any:
        refused: list[str] = []
        advice = ""
        servers = (self._server,) if self._server else self.settings.servers
        for url in servers:
            try:
                connection = connect(self.settings, url, self._secret)
            except Unavailable as fault:
                refused.append(fault.message)
                advice = advice or fault.advice
                continue
            self._server = url
            return connection
        self._drop()
        raise Unavailable("; ".join(refused), advice=advice)

    def _forget(self, connection: Any) -> None:
        _close(connection)
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        for _, connection in self._idle:
            _close(connection)
        self._idle.clear()
        self._server = ""


_AWAY = (Unavailable, Unknown)


def _bounded(settings: DirectorySettings, connection: Any) -> AbstractContextManager[None]:
    """Cut a connection after the time of one call: ldap3's own begins anew with each byte."""
    return cut_after(settings.timeout, lambda: getattr(connection, "socket", None))


def connect(settings: DirectorySettings, url: str, secret: Callable[[str], str]) -> Any:
    """Connect to one server and bind, TLS first. Raises Unavailable that says what to fix."""
    parts = urlsplit(url)
    if parts.scheme == "emulated":
        from handlers.emulators.ldap.directory import connect as connect_emulated

        try:
            return connect_emulated(Path(parts.path))
        except OSError as error:
            raise fault_of_read(f"{url}: connect", error) from error
    try:
        connection = _prepare(settings, url, secret)
    except FAILURES as error:
        raise fault_of_read(f"{url}: connect", error) from error
    try:
        with _bounded(settings, connection):
            _begin(connection, settings, url)
    except Unavailable:
        _close(connection)
        raise
    except FAILURES as error:
        _close(connection)
        raise fault_of_read(f"{url}: connect", error) from error
    return connection


def _begin(connection: Any, settings: DirectorySettings, url: str) -> None:
    connection.open(read_server_info=False)
    if settings.tls == "starttls" and not connection.start_tls(read_server_info=False):
        raise Unavailable(
            f"{url}: the server refused start_tls: {connection.result.get('description')}",
            advice="use ldaps, or install a certificate on the server",
        )
    if not connection.bind(read_server_info=False):
        fault = fault_of(f"{url}: bind as {settings.bind_dn!r}", connection.result)
        raise Unavailable(fault.message if fault else url, advice=fault.advice if fault else "")


def _prepare(settings: DirectorySettings, url: str, secret: Callable[[str], str]) -> Any:
    tls = None
    if settings.tls != "none":
        if settings.ca_file is not None and not settings.ca_file.is_file():
            raise Unavailable(
                f"ca_file {settings.ca_file} is missing",
                advice="put the authority's certificate there, or fix `ca_file`",
            )
        tls = ldap3.Tls(
            validate=ssl.CERT_REQUIRED,
            # Without a version ldap3 takes ssl.create_default_context, which sets
            # VERIFY_X509_STRICT and VERIFY_X509_PARTIAL_CHAIN since Python 3.13. A context of this
            # version has its other defaults.
            version=ssl.PROTOCOL_TLS_CLIENT if settings.lenient_certificates else None,
            ca_certs_file=str(settings.ca_file) if settings.ca_file else None,
            valid_names=[settings.server_name] if settings.server_name else None,
        )
    return ldap3.Connection(
        ldap3.Server(url, get_info=ldap3.NONE, connect_timeout=settings.timeout, tls=tls),
        user=settings.bind_dn or None,
        password=secret(settings.password) if settings.password else None,
        # On ldap:// a plain auto_bind would send the password before start_tls.
        auto_bind=ldap3.AUTO_BIND_NONE,
        receive_timeout=settings.timeout,
        auto_range=False,
        auto_referrals=False,
        return_empty_attributes=False,
        check_names=False,
    )


def filter_entries(response: Iterable[Mapping[str, Any]] | None) -> Iterator[Mapping[str, Any]]:
    """Return entries without the references that Active Directory adds to a search result."""
    return (one for one in response or () if one.get("type") == "searchResEntry")


def _entry(found: Mapping[str, Any]) -> Entry:
    raw = found["raw_attributes"]
    return Entry(found["dn"], {name.lower(): tuple(values or ()) for name, values in raw.items()})


def _cookie(result: Mapping[str, Any]) -> object:
    control = (result.get("controls") or {}).get("1.2.840.113556.1.4.319")
    return control["value"]["cookie"] if control else None


def _values(value: Value | Sequence[Value]) -> list[Value]:
    many = [value] if isinstance(value, (str, bytes, int)) else list(value)
    return [str(one) if isinstance(one, int) else one for one in many]


def _faults(write: Callable[[T], None], items: Iterable[T]) -> Iterator[Fault]:
    for item in items:
        try:
            write(item)
        except Fault as fault:
            yield fault
            if isinstance(fault, _AWAY):
                return


def _is_alive(connection: Any) -> bool:
    if connection.socket is None:  # emulated
        return True
    # If the server has closed an idle connection, there is something to read: a notice or the end.
    waiting = select.poll()
    waiting.register(connection.socket, select.POLLIN)
    return not waiting.poll(0)


def _at(connection: Any, what: str) -> str:
    return f"{connection.server.host}: {what}"


def _close(connection: Any) -> None:
    with suppress(*FAILURES):
        connection.strategy.close()


def deletion(directory: Directory, state: Mapping[str, object]) -> list[list[str]]:
    """Return the command that deletes an entry, as ldapdelete(1) takes it."""
    return [["ldapdelete", "-H", directory.settings.servers[0], str(state["dn"])]]
