"""Where the journal is: a file, or a database on a server.

Promises: pure. An address with a password is refused, by a message that does not repeat it. Leaves
out: whether anything is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator

_SCHEMES = ("postgresql://", "postgres://")
_SECRET = {"password", "sslpassword"}


@dataclass(frozen=True, slots=True)
class _Withheld:
    """A text that no message may repeat, and what is wrong with it."""

    problem: str


def _told(value: object) -> object:
    """Return what a text names."""
    if not isinstance(value, str):
        return value
    if not value.startswith(_SCHEMES):
        return Path(value)
    try:
        parts = urlsplit(value)
        named = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        secret = parts.password is not None or bool(named & _SECRET)
    except ValueError:
        return _Withheld("is no address; expected postgresql:///NAME?host=HOST&user=USER")
    if secret:
        return _Withheld(
            "has a password; expected postgresql:///NAME?host=HOST&user=USER, and the password in "
            "~/.pgpass of the service's user, or in a file that PGPASSFILE names"
        )
    return value


def _open(value: object) -> object:
    if isinstance(value, _Withheld):
        raise ValueError(value.problem)
    return value


Place = Annotated[Path | str, BeforeValidator(_open), BeforeValidator(_told)]
"""A file, or the address of a database, such as `postgresql:///provisioner?host=/run/postgresql`.

The validators are two, because a message shows the value that the one got which refuses it."""


def below(place: Path | str, base: Path) -> Path | str:
    """Return a place with a relative path resolved against a directory."""
    return base / place if isinstance(place, Path) else place


def directory(place: Path | str, spool: Path) -> Path:
    """Return the directory on this host that a journal's copies lie beside: its own or its spool's.

    spool: whose journal it is.
    """
    return place.parent if isinstance(place, Path) else spool.parent
