"""What the service answered: a receipt, and what it means for one user. Pure functions.

Promises: a receipt that cannot be read changes nothing. Leaves out: where receipts lie (`sync`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioner.contract import InvalidRequest
from provisioner.request.documents import parse

READY, WAITING, FAILED, CLOSED = "ready", "waiting", "failed", "closed"
"""How somebody stands; closed: their allocation's access is taken away."""

_SAID = ("message", "advice", "type")
TAKE_OVER = (
    "look at the object. ColdFront's requests take nothing over. If it may be taken over, an admin"
    " saves the request, which its page shows word for word, on the service's host, takes `id` and"
    ' `order` out, adds `"adopt": true`, and gives the file to `provisioner submit`; then press Try'
    " again here"
)
"""The advice in place of the service's, which speaks to people who write requests by hand."""

LEFT_OUT = "left out"
"""The name of the part in which somebody is left out of a request; no route has such a step."""

_PLACE = re.compile(r"(?:allocation|project)\.users\.([0-9]+)")
_SIZE = 16 * 1024 * 1024
_STATE = re.compile(rb"^state: ([a-z]+)$", re.M)


@dataclass(frozen=True, slots=True)
class Part:
    """One step, or one user's part in it.

    kind: the type of what went wrong; needs: the steps that come first.
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
    """How a request stands.

    whole: the receipt as it is; advice: what would be right; left_out: the users whom the service
    left out, by their places in the request's list, as parts of it.
    """

    state: str
    whole: dict[str, Any]
    parts: tuple[Part, ...] = ()
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    left_out: Mapping[int, Part] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stand:
    """How one user stands."""

    state: str
    message: str = ""
    advice: str = ""


def read(receipt: bytes) -> Answer | None:
    """Read a receipt; None: it is none. Of one with very many users the outcome alone is read."""
    try:
        document = parse(receipt, size=_SIZE).value
    except InvalidRequest:
        found = _STATE.search(receipt)
        return None if found is None else Answer(found[1].decode(), {"state": found[1].decode()})
    state = document.get("state")
    if not isinstance(state, str):
        return None
    parts = [part for step in _listed(document, "steps") for part in _parts(step)]
    wrong = _listed(document, "problems")
    problems = tuple(str(one.get("message") or "") for one in wrong)
    advice = tuple(str(one["expected"]) for one in wrong if one.get("expected"))
    left_out = {
        int(place[1]): Part(LEFT_OUT, "", "failed", "", str(one.get("message") or ""),
                            str(one.get("expected") or ""), "Refused")
        for one in wrong
        if (place := _PLACE.fullmatch(str(one.get("key") or "")))
    }  # fmt: skip
    return Answer(state, dict(document), tuple(parts), problems, advice, left_out)


def _parts(step: dict[str, Any]) -> Iterable[Part]:
    said = {
        str(one.get("user") or ""): tuple(str(one.get(key) or "") for key in _SAID)
        for one in _listed(step, "problems")
    }
    needs = step.get("needs")
    first = tuple(map(str, needs)) if isinstance(needs, list) else ()
    name, handler = str(step.get("step")), str(step.get("handler"))
    users = step.get("users")
    states = {"": step.get("state"), **(users if isinstance(users, dict) else {})}
    for user, state in states.items():
        message, advice, kind = said.get(user, ("", "", ""))
        yield Part(name, handler, str(state), user, message, _here(advice), kind, first)


def _here(advice: str) -> str:
    """Say an advice so that it can be followed from ColdFront."""
    return TAKE_OVER if "`adopt: true`" in advice else advice


def _listed(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    values = document.get(key)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def stand(user: str, state: str, parts: Sequence[Part], problems: Sequence[str] = ()) -> Stand:
    """Say how a user stands by one request: its state, and its steps as far as told."""
    own = own_parts(user, parts)
    out = next((part for part in own if part.name == LEFT_OUT), None)
    if out is not None:
        return Stand(FAILED, out.message, out.advice)
    if state in ("done", "superseded"):
        return Stand(READY)
    wrong = next((part for part in own if part.state in ("failed", "cancelled")), None)
    if wrong is not None:
        return Stand(FAILED, f"{wrong.name}: {wrong.message or wrong.state}", wrong.advice)
    if own and all(part.state == "done" for part in own):
        return Stand(READY)
    if state in ("failed", "refused", "cancelled"):
        return Stand(FAILED, "; ".join(problems) or f"the request was {state}")
    waits = next((part for part in own if part.state != "done"), None)
    return Stand(WAITING, f"{waits.name}: {waits.message or waits.state}" if waits else state)


def own_parts(user: str, parts: Sequence[Part]) -> list[Part]:
    """Choose a user's parts: of steps that have one for each their own, of others the step."""
    out = [part for part in parts if part.name == LEFT_OUT and part.user == user]
    if out:
        return out
    each = {part.name for part in parts if part.user}
    return [
        part for part in parts if part.user == user or (not part.user and part.name not in each)
    ]


def worst(stands: Iterable[Stand]) -> Stand:
    """Choose what has to be known first."""
    ordered = [FAILED, WAITING, READY]
    return min(stands, key=lambda one: ordered.index(one.state))
