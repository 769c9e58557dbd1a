"""The words for states. Pure functions.

Promises: a sentence for a PI contains no server, no path and no other project; each state is a
word, and its colour only repeats the word. Leaves out: who sees what (`sections`, `views`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from provisioner.coldfront.answering import answers
from provisioner.coldfront.answering.answers import Part
from provisioner.coldfront.models import INCOMPLETE, NEW, UNHEARD, WRITTEN


@dataclass(frozen=True, slots=True)
class Look:
    """A state as a page shows it. colour: a class of Bootstrap; advice: the default advice."""

    word: str
    colour: str
    advice: str = ""


STATES: Mapping[str, Look] = {
    NEW: Look("asked, not sent yet", "text-bg-secondary"),
    WRITTEN: Look("asked", "text-bg-secondary"),
    "accepted": Look("accepted", "text-bg-info", "the service is working on it"),
    "deferred": Look("waiting", "text-bg-info", "the service tries again by itself"),
    "observed": Look(
        "observed",
        "text-bg-secondary",
        "the service only observes for now; it begins after: provisioner journal release",
    ),
    "scheduled": Look("waiting for its time", "text-bg-info", "it begins by itself"),
    "held": Look("held", "text-bg-warning", "look at it, then release or cancel it"),
    "done": Look("done", "text-bg-success"),
    "superseded": Look("replaced by a newer one", "text-bg-secondary"),
    "failed": Look("failed", "text-bg-danger", "fix the problem, then try again"),
    "refused": Look("refused", "text-bg-danger", "fix the problem, then try again"),
    "cancelled": Look("cancelled", "text-bg-secondary", "to carry it out after all, try again"),
    UNHEARD: Look("not heard", "text-bg-danger", "the next reconcile asks again"),
    INCOMPLETE: Look(
        "incomplete", "text-bg-warning", "fill it in; ColdFront then sends the request"
    ),
}
"""Every state of a request."""

OVERDUE = (
    "the service has not answered for five minutes: check that it runs (`provisioner queue`), and"
    " that the timer of provisioner_sync does"
)
"""The advice for a request that nobody has answered in time; a fresh one needs none."""

UNSENT = Look(
    "asked, cannot be sent",
    "text-bg-danger",
    "give ColdFront's user write access to staging, then run: coldfront provisioner_flush",
)

GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "asked": ("Asked", (NEW, WRITTEN)),
    "accepted": ("Accepted", ("accepted",)),
    "waiting": ("Waiting", ("deferred", "observed", "scheduled")),
    "held": ("Held", ("held",)),
    "incomplete": ("Incomplete", (INCOMPLETE,)),
    "failed": ("Failed", ("failed",)),
    "refused": ("Refused", ("refused",)),
    "unheard": ("Not heard", (UNHEARD,)),
    "cancelled": ("Cancelled", ("cancelled",)),
    "done": ("Done", ("done", "superseded")),
}
"""The groups of states to filter by: each has a name, a label, and its states."""


def of_request(state: str, error: str, *, overdue: bool = False) -> Look:
    """Return how a request looks; an unknown state is shown without colour.

    overdue: it was made more than five minutes ago.
    """
    if state == NEW and error:
        return UNSENT
    look = STATES.get(state) or Look(state, "text-bg-secondary")
    return replace(look, advice=OVERDUE) if overdue and state in (NEW, WRITTEN) else look


STANDS: Mapping[str, Look] = {
    answers.READY: Look("Ready", "text-bg-success"),
    answers.WAITING: Look("Not ready yet", "text-bg-info"),
    answers.FAILED: Look("Needs the centre's staff", "text-bg-danger"),
    answers.CLOSED: Look("Closed", "text-bg-secondary"),
}
"""Every status of a user, as a page shows it."""

_FOR_STAFF = Look("Failed", "text-bg-danger")


def of_stand(state: str, *, staff: bool) -> Look:
    """Return how a user's status looks; to staff, a failed one does not say to ask the staff."""
    return _FOR_STAFF if staff and state == answers.FAILED else STANDS[state]


STEPS: Mapping[str, Look] = {
    "waiting": Look("waiting", "text-bg-secondary"),
    "due": Look("under way", "text-bg-info"),
    "done": Look("done", "text-bg-success"),
    "failed": Look("failed", "text-bg-danger"),
    "cancelled": Look("cancelled", "text-bg-secondary"),
    answers.CLOSED: Look("closed", "text-bg-secondary"),
}
"""Every state of a step, and of what a closed allocation gave."""


def of_step(state: str) -> Look:
    """Return how a step looks."""
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
"""What each step of the default routes makes, for a reader who does not know the backends."""

_WORST = ("failed", "cancelled", "due", "waiting", "done")
_AWAY = "Unavailable"


@dataclass(frozen=True, slots=True)
class Thing:
    """What a user gets from one or more steps. state: the worst state of these steps."""

    name: str
    state: str
    parts: tuple[Part, ...]


def thing(step: str, own: Mapping[str, str]) -> str:
    """Return the name of what a step makes. own: a centre's names, by step."""
    if step in own:
        return own[step]
    if step in THINGS:
        return THINGS[step]
    if step.startswith("withdraw from "):
        return "the end of former access"
    return step.replace("_", " ")


def things(parts: Iterable[Part], own: Mapping[str, str]) -> list[Thing]:
    """Return the things that steps make, in the order of the steps."""
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
    """Return a sentence that says what is ready and what is not; '' without steps."""
    listed = things(parts, own)
    ready = [item.name for item in listed if item.state == "done"]
    clauses = [f"{_listed(ready)} {'are' if len(ready) > 1 else 'is'} ready"] if ready else []
    for item in listed:
        if item.state != "done":
            needed = [thing(need, own) for part in item.parts for need in part.needs]
            before = [name for name in needed if name not in (item.name, *ready)]
            clauses.append(f"{item.name} {_unready(item, before)}")
    text = "; ".join(clauses)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _unready(item: Thing, before: Sequence[str]) -> str:
    worst = item.parts[0]
    if worst.state == "cancelled":
        return "was stopped by the centre's staff"
    if worst.state == "waiting":
        return f"is waiting for {_listed(before)}" if before else "has not started yet"
    if worst.state == "failed":
        return "failed, and the centre's staff can see why"
    if worst.kind == _AWAY:
        return "is waiting for a system that is down, and continues by itself"
    if worst.message:
        return "is waiting for another system, and continues by itself"
    return "is in progress"


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    if len(unique) < 2:
        return "".join(unique)
    return f"{', '.join(unique[:-1])} and {unique[-1]}"
