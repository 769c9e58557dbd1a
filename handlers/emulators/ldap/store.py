"""The entries of an emulated directory: one file, one line of JSON for each write.

Promises: the rules of Active Directory, AD LDS or a plain RFC 2307 directory that handlers rely on,
each with the result code of the real server. Several processes may read and write; a killed one
leaves at most half a line, which the next writer removes.
Leaves out: access rights, passwords (checked for form, never kept), schema beyond `_REQUIRED`,
replication, renaming, compaction.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias
from weakref import WeakValueDictionary, finalize

from handlers.ldap.directory.sid import sid_bytes
from handlers.ldap.directory.text import first_name, same_dn

Kind: TypeAlias = Literal["ad", "adlds", "rfc2307"]
Attributes: TypeAlias = dict[str, list[bytes]]

_FIRST = re.compile(r"(?:[^,\\]|\\.)*,?")

ADD, DELETE, REPLACE = 0, 1, 2
"""The operations of a modification (RFC 4511 4.6)."""

_SINCE_1601 = 11_644_473_600
"""Seconds from 1601, the Windows epoch, to 1970."""

_DISABLED = 2
"""ACCOUNTDISABLE in userAccountControl (MS-ADTS 2.2.16)."""

_DNS = {"member", "objectcategory"}
_UNIQUE = (("samaccountname", 68), ("userprincipalname", 19))
_REQUIRED = {
    "posixaccount": ("cn", "uid", "uidNumber", "gidNumber", "homeDirectory"),
    "posixgroup": ("cn", "gidNumber"),
    "inetorgperson": ("cn", "sn"),
    "userproxy": ("objectSid",),
    "userproxyfull": ("objectSid",),
}


class Answer(Exception):
    """A result code that is not success, with the server's message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def parent_of(dn: str) -> str:
    """Return the DN of an entry's parent; an escaped comma separates nothing."""
    return _FIRST.sub("", dn, count=1)


def values_of(entry: Attributes, name: str) -> list[bytes]:
    """Return the values of an attribute, in any case of its name."""
    return entry.get(_spelling(entry, name), [])


def folded(name: str, value: bytes) -> bytes:
    """Return a value in a form in which two that the directory treats as equal are equal."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    return (same_dn(text) if name.lower() in _DNS else text.lower()).encode()


class Store:
    """The entries of one file, by DN, for all connections of a process.

    It reads what others appended before every search. The last connection's end closes the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kind: Kind = "ad"
        self.domain = ""
        self.next = 0
        self.names: dict[str, str] = {}
        self.entries: dict[str, Attributes] = {}
        self._held: dict[str, dict[bytes, set[str]]] = {}
        self._turn = threading.RLock()
        self._file = path.open("r+b", buffering=0)
        finalize(self, self._file.close)
        self._read = 0
        self._stamp = (0, 0, 0)
        self._refresh()

    @staticmethod
    def create(path: Path, kind: Kind, entries: Sequence[tuple[str, Attributes]]) -> None:
        """Write a new file with some entries, parents first."""
        numbers = "-".join(str(secrets.randbits(32)) for _ in range(3))
        head = {"kind": kind, "domain": f"S-1-5-21-{numbers}", "next": 1104}
        lines = [head, *(_line(dn, entry, 1104) for dn, entry in entries)]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    @classmethod
    def at(cls, path: Path) -> Store:
        """Return the store of a file; it is read again only if another process has written it.

        Raises OSError if it does not exist.
        """
        with _OPENING:
            known = _OPEN.get(path)
            if known is None or known._stamp != _stamp(path.stat()):
                known = _OPEN[path] = cls(path)
            return known

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the entries, as in the file, against this process's other threads."""
        with self._turn:
            self._refresh()
            yield

    def _refresh(self) -> None:
        """Read what was appended since; a line without its end does not count."""
        status = os.fstat(self._file.fileno())
        size = status.st_size
        if size == self._read:
            return
        self._stamp = _stamp(status)
        fresh = os.pread(self._file.fileno(), size - self._read, self._read)
        whole = fresh[: fresh.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._take(json.loads(line))
        self._read += len(whole)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file against other writers."""
        with self._turn:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._refresh()
                self._file.truncate(self._read)
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self, line: dict[str, object]) -> None:
        self.next = int(str(line["next"]))
        if "kind" in line:
            self.kind, self.domain = line["kind"], str(line["domain"])  # type: ignore[assignment]
            return
        dn = str(line["dn"])
        key = same_dn(dn)
        self._index(key, self.entries.pop(key, {}), False)
        self.names.pop(key, None)
        found = line["entry"]
        if isinstance(found, dict):
            entry = {name: [_from_json(one) for one in some] for name, some in found.items()}
            self.names[key], self.entries[key] = dn, entry
            self._index(key, entry, True)

    def holders(self, name: str, value: bytes) -> Collection[str]:
        """Return the entries that have a value of an attribute."""
        name = name.lower()
        if name not in self._held:  # few attributes are ever asked for
            self._held[name] = {}
            for key, entry in self.entries.items():
                self._index(key, {name: values_of(entry, name)}, True)
        return self._held[name].get(folded(name, value), ())

    def _index(self, key: str, entry: Attributes, present: bool) -> None:
        for name, values in entry.items():
            held = self._held.get(name.lower())
            if held is None:
                continue
            for value in values:
                keys = held.setdefault(folded(name, value), set())
                (keys.add if present else keys.discard)(key)

    def _append(self, dn: str, entry: Attributes | None) -> None:
        line = _line(dn, entry, self.next)
        os.pwrite(self._file.fileno(), json.dumps(line).encode() + b"\n", self._read)
        self._refresh()

    # Writing, inside `writing`; each raises Answer.

    def add(self, dn: str, given: Attributes) -> None:
        """Add an entry."""
        key = same_dn(dn)
        if parent_of(key) not in self.entries:
            raise Answer(32, f"0000208D: the parent of {dn} is not there")
        if key in self.entries:
            raise Answer(68, f"00002071: {dn} is there already")
        entry = dict(given)
        rdn, named = first_name(dn)
        entry.setdefault(_spelling(entry, rdn), [named.encode()])
        classes = {value.decode().lower() for value in values_of(entry, "objectClass")}
        for required in (one for name in classes for one in _REQUIRED.get(name, ())):
            if not values_of(entry, required):
                raise Answer(65, f"0000207C: {dn} lacks {required}")
        for name, code in _UNIQUE:
            for value in values_of(entry, name):
                if self.holders(name, value):
                    raise Answer(code, f"00000524: {name} {value.decode()} is in use")
        if self.kind != "rfc2307" and classes & {"user", "group"}:
            self._identify(entry)
        if self.kind == "ad" and "user" in classes:
            _make_account(entry)
        self._check_mail(entry)
        self._append(dn, entry)

    def _identify(self, entry: Attributes) -> None:
        if values_of(entry, "objectSid"):
            raise Answer(53, "0000209A: objectSid is the server's to give")
        entry["objectSid"] = [sid_bytes(f"{self.domain}-{self.next}")]
        entry["objectGUID"] = [secrets.token_bytes(16)]
        self.next += 1

    def modify(self, dn: str, changes: Sequence[tuple[int, str, list[bytes]]]) -> None:
        """Change an entry, completely or not at all."""
        key = same_dn(dn)
        if key not in self.entries:
            raise Answer(32, f"0000208D: {dn} is not there")
        entry = dict(self.entries[key])
        for operation, attribute, values in changes:
            if attribute.lower() == "objectsid":
                raise Answer(19, "0000209A: objectSid is set when an entry is added, never after")
            if attribute.lower() == "unicodepwd":
                _check_password(values)
                entry["pwdLastSet"] = [_windows_now()]
                continue
            self._check_primary(entry, operation, attribute, values)
            name = _spelling(entry, attribute)
            entry[name] = self._changed(entry.get(name, []), operation, attribute, values)
            if not entry[name]:
                del entry[name]
            if attribute.lower() == "primarygroupid" and self.kind == "ad":
                self._move_primary(key, self.entries[key], entry)
        _check_enabled(entry)
        self._check_mail(entry)
        self._append(self.names[key], entry)

    def _check_mail(self, entry: Attributes) -> None:
        """Refuse an address that is not an IA5String, as slapd 2.5 does; AD and AD LDS accept
        it."""
        if self.kind == "rfc2307" and not all(one.isascii() for one in values_of(entry, "mail")):
            raise Answer(21, "mail: value #0 invalid per syntax")

    def _check_primary(
        self, group: Attributes, operation: int, attribute: str, values: list[bytes]
    ) -> None:
        """Refuse to add or remove a user whose primary group it is, as AD does."""
        if self.kind != "ad" or attribute.lower() != "member" or operation == REPLACE:
            return
        for value in values:
            user = self.entries.get(folded(attribute, value).decode(), {})
            if "primaryGroupID" in user and self._primary(user) == values_of(group, "objectSid"):
                code = 68 if operation == ADD else 53
                raise Answer(code, "00000562: it is the primary group of a member")

    def _primary(self, user: Attributes) -> list[bytes]:
        return [sid_bytes(f"{self.domain}-{user['primaryGroupID'][0].decode()}")]

    def _move_primary(self, key: str, before: Attributes, after: Attributes) -> None:
        """List a user in the former primary group, and no longer in the new one, as AD does."""
        old, new = (
            next(iter(self.holders("objectSid", self._primary(user)[0])), "")
            for user in (before, after)
        )
        listed = values_of(self.entries.get(new, {}), "member")
        kept = [one for one in listed if folded("member", one).decode() != key]
        if len(kept) == len(listed):
            raise Answer(53, "00000561: who is in no group has it not as their primary one")
        self._append(self.names[new], {**self.entries[new], "member": kept})
        if old:
            some = [*values_of(self.entries[old], "member"), self.names[key].encode()]
            self._append(self.names[old], {**self.entries[old], "member": some})

    def _changed(
        self, present: list[bytes], operation: int, attribute: str, values: list[bytes]
    ) -> list[bytes]:
        if operation == REPLACE:
            return values
        known = {folded(attribute, value) for value in present}
        given = {folded(attribute, value) for value in values}
        linked = attribute.lower() == "member" and self.kind != "rfc2307"
        if operation == ADD:
            if known & given:
                raise Answer(68 if linked else 20, f"00000562: a value of {attribute} is there")
            if linked and any(value.decode() not in self.entries for value in given):
                raise Answer(32, "00000525: a member is not there")
            return present + values
        if given - known:
            raise Answer(53 if linked else 16, f"00000561: no such value of {attribute}")
        return [one for one in present if values and folded(attribute, one) not in given]

    def delete(self, dn: str) -> None:
        """Delete an entry, and remove it from every group."""
        key = same_dn(dn)
        if key not in self.entries:
            raise Answer(32, f"0000208D: {dn} is not there")
        if any(other.endswith("," + key) for other in self.entries):
            raise Answer(66, f"{dn} has entries below it")
        self._append(self.names[key], None)
        for other, entry in list(self.entries.items()):
            members = entry.get("member", [])
            kept = [one for one in members if folded("member", one).decode() != key]
            if len(kept) < len(members):
                changed = {**entry, "member": kept}
                if not kept:
                    del changed["member"]  # an attribute without a value does not exist
                self._append(self.names[other], changed)


_OPENING = threading.Lock()
_OPEN: WeakValueDictionary[Path, Store] = WeakValueDictionary()


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _make_account(entry: Attributes) -> None:
    password = entry.pop(_spelling(entry, "unicodePwd"), None)
    if password is not None:
        _check_password(password)
    entry.setdefault("userAccountControl", [b"546"])
    entry["primaryGroupID"] = [b"513"]
    entry["pwdLastSet"] = [b"0" if password is None else _windows_now()]
    _check_enabled(entry)


def _check_enabled(entry: Attributes) -> None:
    control = values_of(entry, "userAccountControl")
    if not control or int(control[0]) & _DISABLED or values_of(entry, "pwdLastSet") != [b"0"]:
        return
    raise Answer(53, "0000052D: an account without a password may not be enabled")


def _check_password(values: list[bytes]) -> None:
    text = values[0].decode("utf-16-le", "replace") if values else ""
    if len(text) < 10 or text[0] != '"' or text[-1] != '"':
        raise Answer(53, "0000001F: unicodePwd is quoted UTF-16, of eight characters or more")


def _windows_now() -> bytes:
    return str(int((time.time() + _SINCE_1601) * 10_000_000)).encode()


def _spelling(entry: Attributes, name: str) -> str:
    if name in entry:
        return name
    return next((known for known in entry if known.lower() == name.lower()), name)


def _line(dn: str, entry: Attributes | None, following: int) -> dict[str, object]:
    if entry is None:
        return {"dn": dn, "entry": None, "next": following}
    written = {name: [_to_json(value) for value in values] for name, values in entry.items()}
    return {"dn": dn, "entry": written, "next": following}


def _to_json(value: bytes) -> object:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _from_json(value: object) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return str(value).encode()
