"""A glimpse: what a file seems to be about, even if it is no valid request.

Promises: never raises, and believes nothing: what it returns is shown and searched, and nothing
follows from it. Leaves out: what a request may say (`request`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.request.documents import InvalidDocument, parse


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What a file names. users: all people in it; project: a project's code, or ''."""

    action: str = ""
    subject: str = ""
    users: frozenset[str] = frozenset()
    project: str = ""


def glimpse(body: bytes, listed: str | None = None) -> Glimpse:
    """Return what a file names. listed: the users of its companion, a name a line."""
    more = frozenset((listed or "").split())
    try:
        value = parse(body).value
    except InvalidDocument as error:
        value = error.document.value if error.document is not None else {}
    if not isinstance(value, dict):
        return Glimpse(users=more)
    user, allocation, project = (_inner(value, key) for key in ("user", "allocation", "project"))
    membership = _inner(value, "membership")
    joined = _inner(membership, "allocation")
    subjects = (
        ("user", user.get("name")),
        ("allocation", allocation.get("id") or joined.get("id")),
        ("project", project.get("code")),
        ("request", value.get("request")),
        ("lane", value.get("lane")),
    )
    subject = next((f"{kind}:{name}" for kind, name in subjects if isinstance(name, str)), "")
    codes = (_inner(part, "project").get("code") for part in (allocation, joined))
    code = next((code for code in (project.get("code"), *codes) if isinstance(code, str)), "")
    users = {user.get("name"), membership.get("user"), *_listed(allocation), *_listed(project)}
    named = frozenset(name for name in users if isinstance(name, str))
    action = value.get("action")
    return Glimpse(action if isinstance(action, str) else "", subject, named | more, code)


def _inner(value: dict[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _listed(value: dict[str, Any]) -> Iterator[str]:
    users = value.get("users")
    yield from (name for name in users if isinstance(name, str)) if isinstance(users, list) else ()
