"""Persons: which names stand for one and the same human being.

Promises: pure; a user's name, their uid and the name that a portal knows them by are spellings of
one person where they are the same but for capitals, or where the site says so; a name of digits
alone is that uid's as well, as tools take the one for the other; and NAME@REALM is NAME where the
realm is ours. In doubt two names are one person: who is kept from releasing asks somebody else.
Leaves out: which names stand behind a request (`review`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def account(name: str, uid: int) -> tuple[str, str]:
    """Name a user of this host in both ways; a uid may have had another name when it asked."""
    return name, f"uid-{uid}"


class Persons:
    """The persons of one site."""

    def __init__(self, named: Mapping[str, str], realms: Collection[str] = ()) -> None:
        """named: another name for the person of a name; chains of such are one person.

        realms: domains of this site, whose NAME@REALM is the person of NAME.
        """
        self._realms = frozenset(realm.casefold() for realm in realms)
        self._called: dict[str, str] = {}
        for one, other in named.items():
            old, new = self._call(one), self._call(other)
            self._called |= {n: new for n, called in self._called.items() if called == old}
            self._called |= {self._plain(one): new, self._plain(other): new}

    def same(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Return True if one of some names and one of others are one person's."""
        return not {*map(self._call, some)}.isdisjoint(map(self._call, others))

    def _call(self, name: str) -> str:
        plain = self._plain(name)
        return self._called.get(plain, plain)

    def _plain(self, name: str) -> str:
        """Write a name as it is compared, without a realm of ours."""
        user, at, realm = name.casefold().rpartition("@")
        return _plain(user if at and user and realm in self._realms else name)


def _plain(name: str) -> str:
    """Write a name as it is compared."""
    plain = name.casefold()
    number = plain.removeprefix("uid-")
    return f"uid-{number.lstrip('0') or '0'}" if number.isascii() and number.isdigit() else plain
