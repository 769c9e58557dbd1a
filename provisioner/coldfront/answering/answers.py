"""The service's answer: a receipt, and what it means for one user. Pure functions.

Promises: an unreadable receipt changes nothing. Leaves out: where the receipts are (`sync`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provisioner.contract import InvalidRequest
from provisioner.request.documents import parse

READY, WAITING, FAILED, CLOSED = "ready", "waiting", "failed", "closed"
"""The statuses of a user; closed: the allocation's access is taken away."""

TAKE_OVER = (
    "look at the object. ColdFront's requests take nothing over. If it may be taken over, an admin"
    " copies the request from its page to a file on the service's host, removes `id` and `order`,"
    ' adds `"adopt": true`, and runs `provisioner submit` with the file; the next reconcile'
    " then asks again here"
)
"""The advice in place of the service's advice, which is for people who write requests by hand."""

LEFT_OUT = "left out"
"""The name of the part of a user whom the service left out; no route has a step of this name."""

SHUT = "closed"
"""The name of the part of a user who is suspended; no route has a step of this name."""

_PLACE = re.compile(r"(?:allocation|project)\.users(?:\[(?P<nth>[0-9]+)\]|\.(?P<at>[0-9]+))")
"""The key of a user in a list: `users[2]` is the second; earlier services called it `users.1`."""

_RETRY = re.compile(r"`provisioner retry(?: [A-Za-z0-9._-]+)?`")
"""The command in an advice; the pages have a button for it."""

_SIZE = 16 * 1024 * 1024
_STATE = re.compile(rb"^(state|digest): ([a-z0-9]+)$", re.M)


@dataclass(frozen=True, slots=True)
class Part:
    """One step, or one user's part in it.

    kind: the type of the fault; needs: the names of the steps that come first.
    """

    name: str
    handler: str
    state: str
    user: str = ""
    message: str = ""
    advice: str = ""
    kind: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The state of a request.

    whole: the complete receipt; advice: what would be right; left_out: a part for each user whom
    the service left out, by the user's index in the request's list.
    """

    state: str
    whole: dict[str, Any]
    parts: tuple[Part, ...] = ()
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    left_out: Mapping[int, Part] = field(default_factory=dict)

    @property
    def overtaken_by(self) -> int:
        """Return the order that the service accepted before a superseded one; 0 if not told."""
        highest = (_count(problem.get("highest")) for problem in _listed(self.whole, "problems"))
        return max((number for number in highest if number is not None), default=0)


@dataclass(frozen=True, slots=True)
class Stand:
    """The status of one user, with its reason."""

    state: str
    message: str = ""
    advice: str = ""


def read(receipt: bytes) -> Answer | None:
    """Return the answer in a receipt; None if it is not one.

    If a receipt is too large to parse, as with very many users, the answer is only its state and
    the request's digest.
    """
    try:
        document = parse(receipt, size=_SIZE).value
    except InvalidRequest:
        whole = {key.decode(): value.decode() for key, value in _STATE.findall(receipt)}
        return Answer(whole["state"], whole) if "state" in whole else None
    state = document.get("state")
    if not isinstance(state, str):
        return None
    parts = [part for step in _listed(document, "steps") for part in _parts(step)]
    wrong = _listed(document, "problems")
    problems = tuple(str(problem.get("message") or "") for problem in wrong)
    advice = tuple(str(problem["expected"]) for problem in wrong if problem.get("expected"))
    left_out = {
        _place(place): Part(LEFT_OUT, "", "failed", "", str(problem.get("message") or ""),
                            str(problem.get("expected") or ""), "Refused")
        for problem in wrong
        if (place := _PLACE.fullmatch(str(problem.get("key") or "")))
    }  # fmt: skip
    closed = document.get("closed")
    parts += [
        Part(SHUT, "", CLOSED, str(user), _suspended(str(why)))
        for user, why in (closed.items() if isinstance(closed, dict) else ())
    ]
    return Answer(state, dict(document), tuple(parts), problems, advice, left_out)


def _suspended(why: str) -> str:
    """Return that a user is suspended. why: the causes; `others` stands for those of others."""
    return "the centre has suspended the user" if why == "others" else f"suspended ({why})"


def outputs(whole: object) -> dict[str, str]:
    """Return what the steps of a done request made, from its receipt: `path`, `account` and others.

    If two steps have an output of one name, the first counts.
    """
    made: dict[str, str] = {}
    if isinstance(whole, dict):
        for step in _listed(whole, "steps"):
            values = step.get("outputs")
            for name, value in values.items() if isinstance(values, dict) else ():
                if isinstance(value, str):
                    made.setdefault(str(name), value)
    return made


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a quota is used. space: bytes; files: their number; at: when that was read; None
    if it is not known."""

    space: int | None = None
    files: int | None = None
    at: datetime | None = None


def use(whole: object) -> Use:
    """Return the use in a receipt: `use` (`space`, `files`, `at`) of the first step with one."""
    for step in _listed(whole, "steps") if isinstance(whole, dict) else ():
        values = step.get("use")
        if isinstance(values, dict):
            space, files = _count(values.get("space")), _count(values.get("files"))
            return Use(space, files, moment(values.get("at")))
    return Use()


def _count(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def moment(value: object) -> datetime | None:
    """Return the time in a receipt; None if it is not one with a time zone."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _place(found: re.Match[str]) -> int:
    """Return a user's place in the list, from 0."""
    return int(found["at"]) if found["nth"] is None else int(found["nth"]) - 1


def _parts(step: dict[str, Any]) -> Iterable[Part]:
    problems = {str(found.get("user") or ""): found for found in _listed(step, "problems")}
    needs = step.get("needs")
    first = tuple(map(str, needs)) if isinstance(needs, list) else ()
    name, handler = str(step.get("step")), str(step.get("handler"))
    users = step.get("users")
    states = {"": step.get("state"), **(users if isinstance(users, dict) else {})}
    for user, state in states.items():
        problem = problems.get(user, {})
        message, kind = (str(problem.get(key) or "") for key in ("message", "type"))
        yield Part(name, handler, str(state), user, message, _advice(problem), kind, first)


def _advice(problem: Mapping[str, Any]) -> str:
    """Return a problem's advice so that a reader in ColdFront can follow it."""
    advice = str(problem.get("advice") or "")
    if "adoptable" in problem:  # the parser gives every value as it is written
        adoptable = problem["adoptable"] == "true"
    else:  # a receipt of a service before this field
        adoptable = "`adopt: true`" in advice
    return TAKE_OVER if adoptable else _RETRY.sub("Try again", advice)


def _listed(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    values = document.get(key)
    return (
        [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    )


def stand(user: str, state: str, parts: Sequence[Part], problems: Sequence[str] = ()) -> Stand:
    """Return the status of a user by one request: by its state, and its steps if there are any."""
    shut = next((part for part in parts if (part.name, part.user) == (SHUT, user)), None)
    if shut is not None:
        return Stand(CLOSED, shut.message)
    own = own_parts(user, parts)
    out = next((part for part in own if part.name == LEFT_OUT), None)
    if out is not None:
        return Stand(FAILED, out.message, out.advice)
    if state == "done":
        return Stand(READY)
    wrong = next((part for part in own if part.state in ("failed", "cancelled")), None)
    if wrong is not None:
        return Stand(FAILED, f"{wrong.name}: {wrong.message or wrong.state}", wrong.advice)
    if own and all(part.state == "done" for part in own):
        return Stand(READY)
    # A user's newest request that was superseded was so by a request that is not ColdFront's.
    if state in ("failed", "refused", "cancelled", "unheard", "superseded"):
        return Stand(FAILED, "; ".join(problems) or f"the request was {state}")
    waits = next((part for part in own if part.state != "done"), None)
    return Stand(WAITING, f"{waits.name}: {waits.message or waits.state}" if waits else state)


def own_parts(user: str, parts: Sequence[Part]) -> list[Part]:
    """Return the parts that concern a user.

    Where a step has a part for each user, that is the user's own; otherwise it is the whole step.
    """
    out = [part for part in parts if part.name == LEFT_OUT and part.user == user]
    if out:
        return out
    parts = [part for part in parts if part.name != SHUT]
    each = {part.name for part in parts if part.user}
    return [
        part for part in parts if part.user == user or (not part.user and part.name not in each)
    ]


class Parts:
    """The parts of one request by user: each of thousands of users may have one of each step."""

    def __init__(self, parts: Sequence[Part]) -> None:
        each = {part.name for part in parts if part.user}
        self._of: dict[str, list[tuple[int, Part]]] = {}
        for number, part in enumerate(parts):
            if part.user or part.name not in each:
                self._of.setdefault(part.user, []).append((number, part))

    def of(self, user: str) -> list[Part]:
        """Return the parts that `stand` and `own_parts` look at for a user, in their order."""
        mine = [*self._of.get("", ()), *self._of.get(user, ())]
        return [part for _, part in sorted(mine, key=lambda numbered: numbered[0])]


def worst(stands: Iterable[Stand]) -> Stand:
    """Return the status that matters most: failed, waiting, closed, ready."""
    ordered = [FAILED, WAITING, CLOSED, READY]
    return min(stands, key=lambda stand: ordered.index(stand.state))
