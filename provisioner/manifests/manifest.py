"""The manifest: everything that a writer wants, compared with what that writer has claimed.

Promises: pure; what the manifest lists and the ledger lacks or has otherwise is asked for anew;
what the ledger has of the same writer and the manifest leaves out is suspended, never deleted; what
was claimed after the manifest's time, or by another writer, is left alone. Only kinds of subjects
that the manifest lists at all are missed in it. A line with an `id` is a request of its own, and
gets an answer whatever the ledger has. Leaves out: reading the file (`spool`), how much of it is
judged at once (`portions`), and accepting what follows from the comparison (`intake`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from provisioner.contract import InvalidRequest, Key, Want, make_key
from provisioner.journal.records.ledger import Held
from provisioner.routing.rendering import Step

CAUSE = "reconcile"
"""The cause of a suspension for being left out of a manifest."""

_LISTED = ("user.provision", "project.provision", "allocation.provision")
LEFT_OUT = {
    "user": ("user.suspend", "user", "name"),
    "allocation": ("allocation.suspend", "allocation", "id"),
    "project": ("project.archive", "project", "code"),
}
BACK = {
    "user": ("user.resume", "user", "name"),
    "allocation": ("allocation.resume", "allocation", "id"),
}


@dataclass(slots=True)
class Lines:
    """What a manifest lists: texts of requests, and keys of objects that nobody claims."""

    requests: list[bytes] = field(default_factory=list)
    objects: list[Key] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line lies: its number, from one on, and its first byte and the one behind it."""

    number: int
    start: int
    end: int


def places(body: bytes) -> Iterator[Place]:
    """Find the lines of a manifest that say something, without copying it."""
    number, start = 0, 0
    while start < len(body):
        number += 1
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        if not body[start:end].isspace() and end > start:
            yield Place(number, start, end)
        start = end + 1


def read(body: bytes, *, objects: bool = False) -> Lines:
    """Make the text of a request from each line of a manifest.

    objects: a line may be `{"object": KEY}`, too. Raises InvalidRequest naming the line: it is no
    JSON mapping, or asks for something else than a provision.
    """
    found = Lines()
    for place in places(body):
        line = read_line(body, place, objects=objects)
        if isinstance(line, bytes):
            found.requests.append(line)
        else:
            found.objects.append(line)
    return found


def read_line(body: bytes, place: Place, *, objects: bool = False) -> bytes | Key:
    """Make the text of a request from a line, or the key of the object that it names.

    objects, raises: as `read`.
    """
    try:
        document = json.loads(body[place.start : place.end])
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"line {place.number} of the manifest: {error}") from None
    if objects and isinstance(document, dict) and document.keys() == {"object"}:
        return make_key(*str(document["object"]).split("/"))
    if not isinstance(document, dict) or document.get("action") not in _LISTED:
        raise InvalidRequest(
            f"line {place.number} of the manifest is no provision",
            expected=f"a JSON mapping with `action`, one of {', '.join(_LISTED)}",
        )
    return _request({"action": document.pop("action"), **document})


Verdict = Literal["ask", "same", "newer", "others", "held", "wrong", "suspend", "suspended"]
"""What is to be done about a subject: to ask for it as listed; nothing, as it is as listed, was
claimed later, or by another writer, or a request for it is held, or as nobody can follow what is
listed; to suspend it; nothing, as it is suspended."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment of a manifest.

    least: the least id of a request that came later; id: the manifest's own; followed: requests
    that followed from manifests, with those. What follows from one that came before does not count
    as later, whatever its id.
    """

    least: str
    id: str = ""
    followed: Mapping[str, str] = field(default_factory=dict)

    def is_later(self, request: str) -> bool:
        """Return True if a request came after the manifest."""
        return request >= self.least and self.followed.get(request, self.id) >= self.id


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subject stands in the ledger.

    claims: its own and those of what lies in it; suspension: the request by which the manifest's
    writer suspended it for being left out; held: that writer's newest held request for it or what
    lies in it; over: it claims for a step that will never be due; placed_by: the other writers in
    whose allocations or projects it is a user.
    """

    claims: Sequence[Held] = ()
    suspension: str | None = None
    held: str | None = None
    over: bool = False
    placed_by: tuple[str, ...] = ()

    @property
    def mark(self) -> int:
        """Return a number that is another one when somebody has claimed since."""
        claims = frozenset((c.key, c.claimant, c.request) for c in self.claims)
        return hash((self.suspension, self.held, claims, self.placed_by))

    def newer(self, moment: Moment) -> bool:
        """Return True if it was claimed or suspended after a manifest."""
        if self.suspension is not None and moment.is_later(self.suspension):
            return True
        return any(moment.is_later(one.request) for one in self.claims)

    def strangers(self, source: str) -> list[str]:
        """Name the other writers who claim for it."""
        return sorted({one.source for one in self.claims} - {source})

    def own(self, source: str) -> bool:
        """Return True if its claims are a writer's, and that writer has any."""
        return bool(self.claims) and not self.strangers(source)

    @property
    def pairs(self) -> set[tuple[Key, str]]:
        """Return its claims."""
        return {(one.key, one.claimant) for one in self.claims}


Wanted = Mapping[tuple[Key, str], Want | None]
"""What is claimed, by object and claimant; None: it is known later."""


def wanted_by(planned: Sequence[Step]) -> Wanted:
    """Say what the steps of a line claim."""
    return {(claim.key, claim.claimant): claim.want for step in planned for claim in step.claims}


def of_listed(wanted: Wanted, now: Standing, source: str, moment: Moment) -> Verdict:
    """Compare what a writer, `source`, lists of a subject with the ledger."""
    if now.newer(moment):
        return "newer"
    if now.strangers(source):
        return "others"
    if now.held is not None:
        # To ask for the same under another name would go round whoever holds it.
        return "held"
    return "ask" if now.over or _differs(wanted, now.claims) else "same"


def of_left_out(now: Standing, source: str, moment: Moment) -> Verdict:
    """Say what becomes of a subject that a manifest leaves out."""
    if now.suspension is not None:
        return "suspended"
    if now.newer(moment):
        return "newer"
    # A user belongs to whoever has them in: who asked last for the person alone may not close them.
    return "others" if now.strangers(source) or now.placed_by else "suspend"


@dataclass(slots=True)
class Tally:
    """What a comparison came to, in numbers of subjects.

    resumed: of those listed, how many were suspended for being left out.
    """

    counts: Counter[Verdict] = field(default_factory=Counter)
    resumed: int = 0

    def told(self) -> str:
        """Say it in a line."""
        n = self.counts
        return (
            f"{n['ask']} asked for anew, {n['suspend']} suspended, {self.resumed} resumed, "
            f"{n['same']} as listed; left alone: {n['newer']} claimed later, {n['others']} of "
            f"other writers, {n['held']} with a request that is held, {n['wrong']} that are wrong"
        )


def _differs(wanted: Mapping[tuple[Key, str], Want | None], claims: Sequence[Held]) -> bool:
    """Return True if claims are others than wanted; a want that is known later is not compared."""
    if {(one.key, one.claimant) for one in claims} != wanted.keys():
        return True
    for one in claims:
        want = wanted[one.key, one.claimant]
        # As the ledger keeps it: JSON has lists and no tuples.
        if want is not None and json.loads(json.dumps(want)) != one.want:
            return True
    return False


def about(actions: Mapping[str, tuple[str, str, str]], subject: str) -> bytes:
    """Make the request that suspends a subject, or gives it back: `LEFT_OUT`, `BACK`."""
    kind, _, name = subject.partition(":")
    action, part, key = actions[kind]
    document: dict[str, object] = {"action": action, part: {key: name}}
    if kind != "project":
        document["cause"] = CAUSE
    return _request(document)


def _request(document: Mapping[str, object]) -> bytes:
    return json.dumps({"provisioner": 1, **document}).encode()
