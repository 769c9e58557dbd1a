"""How things stand, in words. Pure functions.

Promises: what is for a PI names no server, no path and no other project; the state is a word, and
colour only repeats it. Leaves out: who sees what (`sections`, `views`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provisioner.coldfront.answering import answers
from provisioner.coldfront.answering.answers import Part
from provisioner.coldfront.models import INCOMPLETE, LISTED, NEW, WRITTEN


@dataclass(frozen=True, slots=True)
class Look:
    """A state as a page shows it. colour: a class of Bootstrap; advice: what to do by default."""

    word: str
    colour: str
    advice: str = ""


STATES: Mapping[str, Look] = {
    NEW: Look("asked, not sent yet", "text-bg-secondary", "it is sent in a moment"),
    WRITTEN: Look(
        "asked",
        "text-bg-secondary",
        "if it stays so, see whether the service runs: provisioner queue",
    ),
    "accepted": Look("accepted", "text-bg-info", "it is being worked on"),
    "deferred": Look("waiting", "text-bg-info", "it is tried again by itself"),
    "observed": Look(
        "observed",
        "text-bg-secondary",
        "the service only observes yet: it is made when it is released",
    ),
    "scheduled": Look("waiting for its time", "text-bg-info", "it begins by itself"),
    "held": Look("held", "text-bg-warning", "look at it, then release or cancel it"),
    "done": Look("done", "text-bg-success"),
    "superseded": Look("replaced by a newer one", "text-bg-secondary"),
    "failed": Look("failed", "text-bg-danger", "mend what is said, then try again"),
    "refused": Look("refused", "text-bg-danger", "mend what is said, then try again"),
    "cancelled": Look("cancelled", "text-bg-secondary", "try again, if it is wanted after all"),
    INCOMPLETE: Look(
        "incomplete", "text-bg-warning", "fill it in; the request then goes by itself"
    ),
    LISTED: Look("told by a manifest", "text-bg-secondary"),
}
"""Every state of a request."""

UNSENT = Look(
    "asked, cannot be sent",
    "text-bg-danger",
    "let ColdFront's user write to staging, then run: coldfront provisioner_flush",
)

GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "asked": ("Asked", (NEW, WRITTEN)),
    "accepted": ("Accepted", ("accepted",)),
    "waiting": ("Waiting", ("deferred", "observed", "scheduled")),
    "held": ("Held", ("held",)),
    "incomplete": ("Incomplete", (INCOMPLETE,)),
    "failed": ("Failed", ("failed",)),
    "refused": ("Refused", ("refused",)),
    "cancelled": ("Cancelled", ("cancelled",)),
    "done": ("Done", ("done", "superseded", LISTED)),
}
"""What one filters by: a name, its label, and the states that it means."""


def of_request(state: str, error: str) -> Look:
    """Choose how a request looks; one of a state that nobody knows shows that state."""
    if state == NEW and error:
        return UNSENT
    return STATES.get(state) or Look(state, "text-bg-secondary")


STANDS: Mapping[str, Look] = {
    answers.READY: Look("Ready", "text-bg-success"),
    answers.WAITING: Look("Not ready yet", "text-bg-info"),
    answers.FAILED: Look("Needs the centre's staff", "text-bg-danger"),
    answers.CLOSED: Look("Closed", "text-bg-secondary"),
}
"""How somebody stands, for everybody."""

_FOR_STAFF = Look("Failed", "text-bg-danger")


def of_stand(state: str, *, staff: bool) -> Look:
    """Choose how a user's standing looks; staff are not sent to the staff."""
    return _FOR_STAFF if staff and state == answers.FAILED else STANDS[state]


STEPS: Mapping[str, Look] = {
    "waiting": Look("waiting", "text-bg-secondary"),
    "due": Look("under way", "text-bg-info"),
    "done": Look("done", "text-bg-success"),
    "failed": Look("failed", "text-bg-danger"),
    "cancelled": Look("cancelled", "text-bg-secondary"),
}
"""Every state of a step."""


def of_step(state: str) -> Look:
    """Choose how a step looks."""
    return STEPS.get(state) or Look(state, "text-bg-secondary")


# For a PI.

THINGS: Mapping[str, str] = {
    "account": "the account",
    "lds": "the account",
    "resolves": "the account",
    "home": "the home directory",
    "group": "the project's group",
    "group_resolves": "the project's group",
    "members": "the project's group",
    "fileset": "the storage",
    "slurm_account": "the access to compute time",
    "associations": "the access to compute time",
}
"""What the steps of the shipped routes make, for somebody who does not know the backends."""

_WORST = ("failed", "cancelled", "due", "waiting", "done")
_AWAY = "Unavailable"


@dataclass(frozen=True, slots=True)
class Thing:
    """What somebody has, or does not have yet: one or more steps. state: that of the worst one."""

    name: str
    state: str
    parts: tuple[Part, ...]


def thing(step: str, own: Mapping[str, str]) -> str:
    """Say what a step makes. own: a centre's words, by the names of its steps."""
    if step in own:
        return own[step]
    if step in THINGS:
        return THINGS[step]
    if step.startswith("withdraw from "):
        return "the end of former access"
    return step.replace("_", " ")


def things(parts: Iterable[Part], own: Mapping[str, str]) -> list[Thing]:
    """Gather steps by what they make, in their order."""
    gathered: dict[str, list[Part]] = {}
    for part in parts:
        gathered.setdefault(thing(part.name, own), []).append(part)
    return [
        Thing(name, ordered[0].state, tuple(ordered))
        for name, some in gathered.items()
        for ordered in [sorted(some, key=_rank)]
    ]


def _rank(part: Part) -> int:
    return _WORST.index(part.state if part.state in _WORST else "due")


def sentence(parts: Sequence[Part], own: Mapping[str, str]) -> str:
    """Say what is ready and what is not; '' where no steps are known."""
    listed = things(parts, own)
    ready = [one.name for one in listed if one.state == "done"]
    said = [f"{_listed(ready)} {'are' if len(ready) > 1 else 'is'} ready"] if ready else []
    for one in listed:
        if one.state != "done":
            needed = [thing(need, own) for part in one.parts for need in part.needs]
            before = [name for name in needed if name not in (one.name, *ready)]
            said.append(f"{one.name} {_unready(one, before)}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _unready(one: Thing, before: Sequence[str]) -> str:
    worst = one.parts[0]
    if worst.state == "cancelled":
        return "was stopped by the centre's staff"
    if worst.state == "waiting":
        return f"is waiting for {_listed(before)}" if before else "is not begun yet"
    if worst.state == "failed":
        return "could not be made, and the centre's staff see why"
    if worst.kind == _AWAY:
        return "is waiting for a system that is away, and goes on by itself"
    if worst.message:
        return "is waiting for another system, and goes on by itself"
    return "is being made"


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    if len(unique) < 2:
        return "".join(unique)
    return f"{', '.join(unique[:-1])} and {unique[-1]}"
