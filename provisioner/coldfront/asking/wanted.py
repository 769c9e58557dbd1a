"""What a request should say, or why it cannot: what all documents have in common.

Promises: a document is right by the format; a name that nobody gets is left out, and told; who is
out is out, whatever else is wrong. Leaves out: what ColdFront's facts mean (`mapping`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from provisioner.coldfront.asking.attributes import (
    ACCOUNT,
    CLUSTER,
    FILES,
    FILESET,
    GID,
    KIND,
    PARENT,
    PATH,
    RESOURCE,
    SPACE,
    SPECS,
    USER_SPECS,
)
from provisioner.contract.texts import phrase
from provisioner.policy.protected import SYSTEM_ACCOUNTS, SYSTEM_GROUPS, SYSTEM_USERS, Names
from provisioner.request.actions import ACTIONS
from provisioner.request.values import Mail, UserName

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request should say; without a document, why there is none.

    problems: what somebody has to fill in; beside a document, what was left out of it, or why it is
    last time's; users: who is in today, whatever else is wrong; repeated: the document was asked
    for already.
    """

    document: Document | None
    problems: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    repeated: bool = False


def project_code(document: Document) -> str:
    """Read under which code a project is asked for; '' where the request names none."""
    project = document.get("project") or document.get("allocation", {}).get("project") or {}
    return str(project.get("code", ""))


def without_leavers(asked: Document, wanted: Wanted) -> Wanted:
    """Say what was asked for last without those who are out today: the whole cannot be said.

    asked: a request for the same that the service took. Who is new waits for the whole.
    """
    part = asked["action"].partition(".")[0]
    before = asked[part]
    users = [name for name in before["users"] if name in wanted.users]
    body = {**before, "users": users}
    if part == "project" and body.get("pi") not in users:
        body.pop("pi", None)
    document = {"action": asked["action"], part: body}
    return replace(wanted, document=document, repeated=body == before)


_USER: TypeAdapter[str] = TypeAdapter(UserName)
_MAIL: TypeAdapter[str] = TypeAdapter(Mail)

_PROTECTED = Names((*SYSTEM_USERS, *SYSTEM_GROUPS, *SYSTEM_ACCOUNTS))
"""Names that no request touches; what a site adds there is known to the service alone."""

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
"""Where the value of a key of a request is filled in."""


def is_user(text: str) -> bool:
    """Return True if a text is a user's name that a request may have."""
    return _is(_USER, text)


def is_mail(text: str) -> bool:
    """Return True if a text is an address that a request may have."""
    return _is(_MAIL, text)


def _is(kind: TypeAdapter[str], value: str) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True


def names(listed: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
    """Sort out the names that nobody gets; what is left is sorted, and each there once."""
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
            "the name is protected, and no request touches it; take the user out, or let the person"
            " have an account of another name"
        )
    return None


def one_line(text: str) -> str | None:
    """Make one line of a text that a person typed, as the format does."""
    return phrase(text) or None


def filled(body: Mapping[str, Any]) -> Document:
    """Leave out what is not given."""
    found = {}
    for name, value in body.items():
        inner = filled(value) if isinstance(value, Mapping) else value
        if inner is not None and (inner != {} or name == "users"):
            found[name] = inner
    return found


def checked(
    document: Document, notes: Sequence[str] = (), places: Mapping[str, str] | None = None
) -> Wanted:
    """Hold a document against the format. places: where keys are filled in, if not as usual."""
    try:
        ACTIONS[document["action"]].model_validate({"provisioner": "1", **document})
    except ValidationError as error:
        problems = [_problem(detail, places or {}) for detail in error.errors(include_url=False)]
        return Wanted(None, (*dict.fromkeys(problems), *notes))
    return Wanted(document, tuple(notes))


def whole(wanted: Wanted, missing: Sequence[str], users: Sequence[str]) -> Wanted:
    """Take the document back where something is missing; who is in is known all the same."""
    document = None if missing else wanted.document
    return Wanted(document, (*missing, *wanted.problems), tuple(users))


def _problem(detail: Any, places: Mapping[str, str]) -> str:
    key = ".".join(part for part in detail["loc"] if isinstance(part, str))
    where = places.get(key) or _FILLED_IN.get(key, key)
    said = str(detail["msg"]).removeprefix("Value error, ")
    return f"mend {where}: {detail.get('input')!r} is refused: {said}"
