"""The content of a request, or why there is none: the part that all documents share, with the names
of ColdFront's attributes, and their values as an admin typed them.

Promises: a document is valid in the request format; a name that no account may have is left out,
with a problem that says so; users who left are removed even if something else is wrong. Leaves out:
what ColdFront's data means (`mapping`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from provisioner.contract.texts import phrase
from provisioner.policy.protected import SYSTEM_ACCOUNTS, SYSTEM_GROUPS, SYSTEM_USERS, Names
from provisioner.request.actions import ACTIONS
from provisioner.request.values import Mail, UserName

RESOURCE = "provisioner_resource"
NONE = "-"
"""The value of RESOURCE for a resource that is never provisioned; it overrides CLUSTER."""
CLUSTER = "slurm_cluster"
ACCOUNT = "slurm_account_name"
PARENT = "slurm_parent"
SPECS = "slurm_specs"
USER_SPECS = "slurm_user_specs"
SPACE = "Storage Quota (GB)"
FILES = "Storage Quota (files)"
FILESET = "fileset_name"
PATH = "fileset_path"
KIND = "fileset_kind"
GID = "project_gid"

_SPACE = re.compile(r"storage quota \(([kmgtpe]?i?b)\)", re.IGNORECASE)

Attributes = Mapping[str, tuple[str, ...]]

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The content of a request; without a document, why there is none.

    problems: what somebody has to fill in; beside a document, what it leaves out, or why it repeats
    the last one; users: today's users, even if something else is wrong; repeated: the document is
    the same as in the last request.
    """

    document: Document | None
    problems: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    repeated: bool = False


def project_code(document: Document) -> str:
    """Return the project's code in a request; '' if it has none."""
    project = document.get("project") or document.get("allocation", {}).get("project") or {}
    return str(project.get("code", ""))


def without_leavers(last_request: Document, wanted: Wanted) -> Wanted:
    """Return the last request without the users who left, because the full one is impossible.

    last_request: a request for the same subject that the service accepted. New users wait for the
    full request.
    """
    part = last_request["action"].partition(".")[0]
    before = last_request[part]
    users = [name for name in before["users"] if name in wanted.users]
    body = {**before, "users": users}
    if part == "project" and body.get("pi") not in users:
        body.pop("pi", None)
    if part == "project" and "managers" in body:
        managers = [name for name in body.pop("managers") if name in users]
        body |= {"managers": managers} if managers else {}
    document = {"action": last_request["action"], part: body}
    return replace(wanted, document=document, repeated=body == before)


_USER: TypeAdapter[str] = TypeAdapter(UserName)
_MAIL: TypeAdapter[str] = TypeAdapter(Mail)

_PROTECTED = Names((*SYSTEM_USERS, *SYSTEM_GROUPS, *SYSTEM_ACCOUNTS))
"""Names that no request may change; the names that a site adds are known only to the service."""

_FILLED_IN: Mapping[str, str] = {
    "allocation.resource": f"the resource's attribute {RESOURCE!r} or {CLUSTER!r}",
    "allocation.project.code": "the project's code",
    "allocation.project.gid": f"the project attribute {GID!r}",
    "project.code": "the project's code",
    "project.gid": f"the project attribute {GID!r}",
    "allocation.slurm.account": f"the allocation attribute {ACCOUNT!r}",
    "allocation.slurm.parent": f"the allocation attribute {PARENT!r}",
    "allocation.slurm.specs": f"the allocation attribute {SPECS!r}",
    "allocation.slurm.user_specs": f"the allocation attribute {USER_SPECS!r}",
    "allocation.quota.space": f"the allocation attribute {SPACE!r}",
    "allocation.quota.files": f"the allocation attribute {FILES!r}",
    "allocation.storage.fileset": f"the allocation attribute {FILESET!r}",
    "allocation.storage.path": f"the allocation attribute {PATH!r}",
    "allocation.storage.kind": f"the allocation attribute {KIND!r}",
}
"""The place in ColdFront where somebody fills in the value of a request's key."""


def is_user(text: str) -> bool:
    """Return True if a request may contain the text as a user's name."""
    return _is(_USER, text)


def is_mail(text: str) -> bool:
    """Return True if a request may contain the text as a mail address."""
    return _is(_MAIL, text)


def _is(kind: TypeAdapter[str], value: str) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True


def names(listed: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the allowed names, sorted and each once, and a problem for each other name."""
    unique = sorted(dict.fromkeys(name for name in listed if name))
    wrong = {name: why for name in unique if (why := _why_not(name)) is not None}
    problems = tuple(f"the user {name!r} is left out: {why}" for name, why in wrong.items())
    return [name for name in unique if name not in wrong], problems


def _why_not(name: str) -> str | None:
    if not is_user(name):
        return (
            "a user's name begins with a lower-case letter or _ and has at most 32 of"
            " a-z 0-9 _ . -; rename the user in ColdFront"
        )
    if name in _PROTECTED:
        return (
            "the name is protected, and no request may change it; remove the user, or give the"
            " person an account with another name"
        )
    return None


def one_line(text: str) -> str | None:
    """Return a typed text as one line, by the rules of the request format; None if it is empty."""
    return phrase(text) or None


def filled(body: Mapping[str, Any]) -> Document:
    """Return a copy without values that are None or empty mappings."""
    given = {}
    for name, value in body.items():
        inner = filled(value) if isinstance(value, Mapping) else value
        if inner is not None and (inner != {} or name == "users"):
            given[name] = inner
    return given


def checked(
    document: Document, notes: Sequence[str] = (), places: Mapping[str, str] | None = None
) -> Wanted:
    """Return the document if it is valid in the request format, or else its problems.

    places: where somebody fills in a key, if not at the usual place.
    """
    try:
        ACTIONS[document["action"]].model_validate({"provisioner": "1", **document})
    except ValidationError as error:
        problems = [_problem(detail, places or {}) for detail in error.errors(include_url=False)]
        return Wanted(None, (*dict.fromkeys(problems), *notes))
    return Wanted(document, tuple(notes))


def whole(wanted: Wanted, missing: Sequence[str], users: Sequence[str]) -> Wanted:
    """Return `wanted` with its users, and without its document if something is missing."""
    document = None if missing else wanted.document
    return Wanted(document, (*missing, *wanted.problems), tuple(users))


def _problem(detail: Any, places: Mapping[str, str]) -> str:
    key = ".".join(part for part in detail["loc"] if isinstance(part, str))
    where = places.get(key) or _FILLED_IN.get(key, key)
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"fix {where}: {detail.get('input')!r} is refused: {message}"


# Attributes.


def given(attributes: Attributes, name: str) -> tuple[str, ...]:
    """Return an attribute's values, stripped, without empty ones."""
    return tuple(value.strip() for value in attributes.get(name, ()) if value.strip())


def spaces(attributes: Attributes, gb: str) -> dict[str, str]:
    """Return the unit of each filled-in attribute that gives an amount of space, by its name.

    gb: the site's meaning of GB, "GB" or "GiB"; TB and the others follow it. A name such as
    `Storage Quota (TiB)` is already exact.
    """
    units = {}
    for name in sorted(attributes):
        match = _SPACE.fullmatch(name.strip())
        if match is not None and given(attributes, name):
            unit = match[1].upper().replace("I", "i")
            binary = gb.lower() == "gib" and len(unit) == 2
            units[name] = f"{unit[0]}iB" if binary else unit
    return units
