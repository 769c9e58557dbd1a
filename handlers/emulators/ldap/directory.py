"""A directory behind ldap3 for the sandbox; handlers talk to it as to a real one.

Promises: an ldap3 connection that answers requests from one file, which processes share, with pages
and ranges as Active Directory has them. The contract suite runs over this and real servers.
Leaves out: what `store` leaves out; every bind succeeds. For sandboxes and tests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import ldap3
from ldap3.operation.search import search_result_done_response_to_dict
from ldap3.protocol.rfc2696 import paged_search_control
from ldap3.strategy.base import BaseStrategy
from ldap3.strategy.mockSync import MockSyncStrategy

from handlers.emulators.ldap.store import (
    Answer,
    Attributes,
    Kind,
    Store,
    folded,
    parent_of,
    values_of,
)
from handlers.ldap.directory.text import same_dn

Test: TypeAlias = Callable[[Attributes], bool]

RANGE = 1500
"""The most values of one attribute in an answer (MaxValRange, MS-ADTS 3.1.1.3.4.6)."""

PAGE = 1000
"""The most entries in an answer without paging (MaxPageSize)."""

_PAGED = "1.2.840.113556.1.4.319"
_DECODE: Callable[[Any], Any] = BaseStrategy.decode_control
_DONE: Callable[[Any], dict[str, Any]] = search_result_done_response_to_dict


def create(path: Path, kind: Kind, base: str) -> None:
    """Make an empty directory of a kind with `OU=people`, `OU=groups` and `OU=ids` below base.

    kind: `ad`, `adlds` or `rfc2307`; base: its DN, such as `DC=campus,DC=test`.
    """
    entries: list[tuple[str, Attributes]] = [(base, {"objectClass": [b"top", b"domainDNS"]})]
    for name in ("people", "groups", "ids"):
        unit = {"objectClass": [b"top", b"organizationalUnit"], "ou": [name.encode()]}
        entries.append((f"OU={name},{base}", unit))
    if kind == "ad":
        users = {"objectClass": [b"top", b"container"], "cn": [b"Users"]}
        entries.append((f"CN=Users,{base}", users))
    Store.create(path, kind, entries)


def connect(path: Path) -> ldap3.Connection:
    """Return a bound connection to the directory in a file. Raises OSError if it does not exist."""
    server = ldap3.Server("emulated", get_info=ldap3.NONE)
    connection = ldap3.Connection(
        server,
        client_strategy=ldap3.MOCK_SYNC,
        auto_range=False,
        check_names=False,
        return_empty_attributes=False,
    )
    strategy = _StoreStrategy(connection, Store.at(path))
    # ldap3 takes a strategy only by name, and a connection keeps these parts of it.
    connection.strategy = strategy
    for name in ("send", "open", "get_response", "post_send_search", "post_send_single_response"):
        setattr(connection, name, getattr(strategy, name))
    connection.open()
    connection.bind()
    return connection


class _StoreStrategy(MockSyncStrategy):
    """Answers requests from a store."""

    def __init__(self, connection: ldap3.Connection, store: Store) -> None:
        super().__init__(connection)
        self._store = store

    def send(self, message_type: str, request: Any, controls: Any = None) -> Any:
        """Hand a request on as ldap3's class above does, but not as text, which nobody reads."""
        if not self.connection.listening:
            return super().send(message_type, request, controls)  # it says what is wrong
        return self.connection.server.next_message_id(), message_type, request, controls

    def post_send_search(self, payload: Any) -> Any:
        """Answer as ldap3's class above does, but decode no value: our client reads the bytes."""
        _, _, request, controls = payload
        entries, result = self.mock_search(request, controls)
        self.connection.response = [_raw(entry) for entry in entries]
        self.connection.result = {**_DONE(result), "type": "searchResDone"}
        return self.connection.response

    def mock_bind(self, request: Any, controls: Any) -> dict[str, Any]:
        self.bound = "emulated"
        return {**_result(0, ""), "serverSaslCreds": None}

    def mock_add(self, request: Any, controls: Any) -> dict[str, Any]:
        given = {str(one["type"]): _bytes(one["vals"]) for one in request["attributes"]}
        return self._write(lambda store: store.add(str(request["entry"]), given))

    def mock_delete(self, request: Any, controls: Any) -> dict[str, Any]:
        return self._write(lambda store: store.delete(str(request)))

    def mock_modify(self, request: Any, controls: Any) -> dict[str, Any]:
        changes = [
            (
                int(change["operation"]),
                str(change["modification"]["type"]),
                _bytes(change["modification"]["vals"]),
            )
            for change in request["changes"]
        ]
        return self._write(lambda store: store.modify(str(request["object"]), changes))

    def _write(self, write: Callable[[Store], None]) -> dict[str, Any]:
        with self._store.writing():
            try:
                write(self._store)
            except Answer as answer:
                return _result(answer.code, answer.message)
        return _result(0, "")

    def mock_search(self, request: Any, controls: Any) -> tuple[list[dict[str, Any]], Any]:
        with self._store.reading():
            return self._page(request, controls)

    def _page(self, request: Any, controls: Any) -> tuple[list[dict[str, Any]], Any]:
        base, scope = same_dn(str(request["baseObject"])), int(request["scope"])
        if base not in self._store.entries:
            return [], _result(32, f"0000208D: {base} is not there")
        test = _test(request["filter"])
        names = [str(name) for name in request["attributes"]]
        candidates = _candidates(request["filter"], self._store)
        matching = [
            key
            for key in (self._store.entries if candidates is None else sorted(candidates))
            if _in_scope(key, base, scope) and test(self._store.entries[key])
        ]
        page = _page(controls)
        if page is None:
            code = 4 if len(matching) > PAGE else 0
            return [self._answer(key, names) for key in matching[:PAGE]], _result(code, "")
        size, start = page
        cookie = str(start + size).encode() if start + size < len(matching) else b""
        control = _DECODE(paged_search_control(False, 0, cookie))
        some = [self._answer(key, names) for key in matching[start : start + size]]
        return some, {**_result(0, ""), "controls": [control]}

    def _answer(self, key: str, names: list[str]) -> dict[str, Any]:
        requested = {name.partition(";")[0].lower(): name for name in names}
        attributes = []
        for name, values in self._store.entries[key].items():
            if name.lower() not in requested and "*" not in requested:
                continue
            option = requested.get(name.lower(), "").partition(";range=")[2]
            ranged = option or (len(values) > RANGE and self._store.kind != "rfc2307")
            shown, some = _ranged(name, values, option) if ranged else (name, values)
            attributes.append({"type": shown, "vals": some})
        return {"object": self._store.names[key], "attributes": attributes}


def _raw(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as ldap3 gives it, without its values as text."""
    raw = {one["type"]: one["vals"] for one in entry["attributes"]}
    return {"type": "searchResEntry", "dn": entry["object"], "raw_attributes": raw}


def _ranged(name: str, values: list[bytes], option: str) -> tuple[str, list[bytes]]:
    start = int(option.partition("-")[0] or 0)
    last = option.partition("-")[2] or "*"
    end = min(start + RANGE, len(values) if last == "*" else int(last) + 1)
    shown = "*" if end >= len(values) else str(end - 1)
    return f"{name};range={start}-{shown}", values[start:end]


def _test(node: Any) -> Test:
    """Return a test for a filter in its wire form, in which nothing is escaped any more."""
    kind, content = node.getName(), node.getComponent()
    if kind in {"and", "or"}:
        parts = list(content)
        equal = [part for part in parts if part.getName() == "equalityMatch"]
        if kind == "or" and len(equal) == len(parts):
            return _any_equal([_assertion(part.getComponent()) for part in equal])
        tests = [_test(part) for part in parts]
        decide = all if kind == "and" else any
        return lambda entry: decide(test(entry) for test in tests)
    if kind == "notFilter":
        inner = _test(
            content["innerNotFilter"] if hasattr(content, "getComponentByName") else content
        )
        return lambda entry: not inner(entry)
    if kind == "present":
        name = str(content)
        return lambda entry: name.lower() == "objectclass" or bool(values_of(entry, name))
    if kind == "equalityMatch":
        return _any_equal([_assertion(content)])
    if kind == "substringFilter":
        return _substring(content)
    if kind in {"greaterOrEqual", "lessOrEqual"}:
        return _ordered(*_assertion(content), above=kind == "greaterOrEqual")
    return lambda entry: False


def _candidates(node: Any, store: Store) -> Collection[str] | None:
    """Return entries that include all that pass a filter, if values tell; None: any entry may."""
    kind, content = node.getName(), node.getComponent()
    if kind == "equalityMatch":
        return store.holders(*_assertion(content))
    if kind not in {"and", "or"}:
        return None
    parts = [_candidates(part, store) for part in content]
    some = [part for part in parts if part is not None]
    if kind == "and":
        return min(some, key=len, default=None)
    return set().union(*some) if len(some) == len(parts) else None


def _any_equal(assertions: list[tuple[str, bytes]]) -> Test:
    wanted: dict[str, set[bytes]] = {}
    for name, value in assertions:
        wanted.setdefault(name, set()).add(folded(name, value))
    return lambda entry: any(
        folded(name, value) in values
        for name, values in wanted.items()
        for value in values_of(entry, name)
    )


def _substring(content: Any) -> Test:
    """Return a test for one text at the beginning of a value, or anywhere in it."""
    name, (part,) = str(content["type"]), content["substrings"]
    text, first = folded(name, bytes(part.getComponent())), part.getName() == "initial"
    return lambda entry: any(
        folded(name, value).startswith(text) if first else text in folded(name, value)
        for value in values_of(entry, name)
    )


def _ordered(name: str, value: bytes, *, above: bool) -> Test:
    limit = int(value)
    return lambda entry: any(
        int(one) >= limit if above else int(one) <= limit for one in values_of(entry, name)
    )


def _assertion(content: Any) -> tuple[str, bytes]:
    return str(content["attributeDesc"]), bytes(content["assertionValue"])


def _in_scope(key: str, base: str, scope: int) -> bool:
    if scope == 0:
        return key == base
    if scope == 1:
        return parent_of(key) == base
    return key == base or key.endswith("," + base)


def _page(controls: Any) -> tuple[int, int] | None:
    for control in controls or ():
        name, content = _DECODE(control)
        if name == _PAGED:
            value: Mapping[str, Any] = content["value"]
            return int(value["size"]), int(value["cookie"] or 0)
    return None


def _bytes(values: Any) -> list[bytes]:
    return [bytes(value) for value in values]


def _result(code: int, message: str) -> dict[str, Any]:
    return {"resultCode": code, "matchedDN": "", "diagnosticMessage": message, "referral": None}
