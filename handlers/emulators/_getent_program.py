"""The program that `getent.install` puts behind a name; standard library only.

Arguments: how many files, the files, then those of getent: a database and keys.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Entry = dict[str, list[str]]

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
    known = list(lines[query[0]]([entries_of(file) for file in files]))
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


def entries_of(file: str) -> dict[str, Entry]:
    """Return the entries in a directory's file: it has a line for each write; the last of a DN
    counts. A directory that is away has none, as sssd knows nobody new without its server."""
    entries: dict[str, Entry] = {}
    if not Path(file).exists():
        return entries
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            write = json.loads(line)
            if "dn" not in write:
                continue
            dn = write["dn"].lower()
            if write["entry"] is None:
                entries.pop(dn, None)
            else:
                entries[dn] = {
                    name.lower(): [value for value in values if isinstance(value, str)]
                    for name, values in write["entry"].items()
                }
    return entries


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
