"""The program that `getent.install` puts behind a name; it imports little, to start fast.

Arguments: how many files, the files, then those of getent: a database and keys.
"""

from __future__ import annotations

import sys

from handlers.emulators import statefile

TYPE_CHECKING = False  # importing typing would cost every command a third of its start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Entry = dict[str, list[str]]

_BEGINS = '{"dn": "'

FOUND, UNKNOWN_DATABASE, NOT_FOUND = 0, 1, 2


def main(arguments: list[str]) -> int:
    """Print lines; return getent's exit code (getent(1))."""
    count = int(arguments[0])
    files, query = arguments[1 : count + 1], arguments[count + 1 :]
    lines: dict[str, Callable[[list[dict[str, Entry]]], Iterator[str]]] = {
        "passwd": passwd,
        "group": group,
    }
    if not query or query[0] not in lines:
        print(f"Unknown database: {' '.join(query[:1])}", file=sys.stderr)
        return UNKNOWN_DATABASE
    # A group's members are other entries; a user is one that has the name or number somewhere.
    asked = frozenset(query[1:]) if query[0] == "passwd" else frozenset()
    known = list(lines[query[0]]([entries_of(file, asked) for file in files]))
    if len(query) == 1:
        sys.stdout.writelines(line + "\n" for line in known)
        return FOUND
    code = FOUND
    # The first of several counts, so that it overwrites the later ones.
    columns = [{line.split(":")[column]: line for line in reversed(known)} for column in (0, 2)]
    for key in query[1:]:
        line = columns[key.isdigit()].get(key)
        if line is None:
            code = NOT_FOUND
        else:
            print(line)
    return code


def passwd(directories: list[dict[str, Entry]]) -> Iterator[str]:
    """Yield the passwd lines of users that have all fields."""
    for entries in directories:
        for entry in entries.values():
            name = login(entry)
            uid, gid = first(entry, "uidnumber"), first(entry, "gidnumber")
            if name and uid and gid and "group" not in classes(entry):
                gecos = first(entry, "displayname") or first(entry, "gecos")
                home = first(entry, "unixhomedirectory") or first(entry, "homedirectory")
                shell = first(entry, "loginshell")
                yield ":".join((name, "x", uid, gid, gecos.replace(":", " "), home, shell))


def group(directories: list[dict[str, Entry]]) -> Iterator[str]:
    """Yield the lines of groups that have a number, with the names of their members."""
    for entries in directories:
        for entry in entries.values():
            gid = first(entry, "gidnumber")
            if gid and classes(entry) & {"group", "posixgroup"}:
                name = first(entry, "samaccountname") or first(entry, "cn")
                linked = (login(entries.get(dn.lower(), {})) for dn in entry.get("member", []))
                members = [*entry.get("memberuid", []), *filter(None, linked)]
                yield ":".join((name, "x", gid, ",".join(members)))


def login(entry: Entry) -> str:
    """Return the name that a user logs in with."""
    return first(entry, "samaccountname") or first(entry, "uid") or first(entry, "cn")


def classes(entry: Entry) -> set[str]:
    """Return an entry's classes in lower case."""
    return {name.lower() for name in entry.get("objectclass", [])}


def first(entry: Entry, name: str) -> str:
    """Return an attribute's first value, or ''."""
    values = entry.get(name)
    return values[0] if values else ""


def entries_of(file: str, asked: frozenset[str] = frozenset()) -> dict[str, Entry]:
    """Return the entries in a directory's file: it has a line for each write; the last of a DN
    counts. A directory that is away has none, as sssd knows nobody new without its server.

    asked: only entries with one of these values; empty: all.
    """
    newest: dict[str, str] = {}
    try:
        lines = open(file, encoding="utf-8")  # noqa: SIM115
    except FileNotFoundError:
        return {}
    with lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            dn = _dn(line)
            if dn is not None:
                newest[dn.lower()] = line
    entries: dict[str, Entry] = {}
    for dn, line in newest.items():
        if asked and "\\" not in line and not _may_be(line, asked):
            continue  # to parse thousands for one would take most of the time
        entry = statefile.parse(line)["entry"]
        if entry is not None:
            entries[dn] = {
                name.lower(): [value for value in values if isinstance(value, str)]
                for name, values in entry.items()
            }
    return entries


def _dn(line: str) -> str | None:
    """Return the DN of a line; None if it has none. Most need no escaping, and no parsing."""
    dn, quote, _ = line.removeprefix(_BEGINS).partition('"')
    if quote and line.startswith(_BEGINS) and "\\" not in dn:
        return dn
    found: str | None = statefile.parse(line).get("dn")
    return found


def _may_be(line: str, asked: frozenset[str]) -> bool:
    """Return True if a line without escapes may be of a user with one of some names and numbers."""
    return "uidnumber" in line.lower() and not asked.isdisjoint(line.split('"')[1::2])
