"""Persons: which names stand for one and the same human being.

Promises: pure. A user's name, their uid and the name that a portal has for them are one person if
they differ only in upper and lower case, or if the site says so. A name of digits alone is also
that uid, because tools confuse the two. NAME@REALM is NAME if the realm is ours, however often it
is written. An `@` at either end, and a dot at the end, count for nothing. In doubt, two names are
one person: somebody who cannot release asks somebody else. Leaves out: which names are behind a
request (`review`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from provisioner.request.values import as_person
from provisioner.system.users import plain


def account(name: str, uid: int) -> tuple[str, str]:
    """Return both names of a user of this host: a uid may have had another name when it asked."""
    return plain(name), f"uid-{uid}"


class Persons:
    """The persons of one site."""

    def __init__(self, named: Mapping[str, str], realms: Collection[str] = ()) -> None:
        """named: another name for the person of a name; a chain of them is one person.

        realms: domains of this site, whose NAME@REALM is the person of NAME.
        """
        self._realms = frozenset(realm.casefold().rstrip(".") for realm in realms)
        self._called: dict[str, str] = {}
        for alias, name in named.items():
            old, new = self._call(alias), self._call(name)
            self._called |= {n: new for n, called in self._called.items() if called == old}
            self._called |= {self._plain(alias): new, self._plain(name): new}

    def same(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Return True if a name of the first and a name of the second belong to one person."""
        return not {*map(self._call, some)}.isdisjoint(map(self._call, others))

    def _call(self, name: str) -> str:
        plain = self._plain(name)
        return self._called.get(plain, plain)

    def _plain(self, name: str) -> str:
        """Return a name in the form in which it is compared, without a realm of ours."""
        plain, before = as_person(name).casefold(), ""
        while plain != before:
            before, plain = plain, plain.strip("@").rstrip(".")
            user, _, realm = plain.rpartition("@")
            plain = user if user and realm in self._realms else plain
        return _plain(plain)


def _plain(name: str) -> str:
    """Return a name in the form in which it is compared."""
    plain = name.casefold()
    number = plain.removeprefix("uid-")
    return f"uid-{number.lstrip('0') or '0'}" if number.isascii() and number.isdigit() else plain
