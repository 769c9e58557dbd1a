"""The manifest: everything that a writer wants, compared with what that writer has claimed.

Promises: pure. Whatever the manifest lists and the ledger lacks, or has differently, is requested.
Whatever the ledger has from the same writer and the manifest leaves out is suspended, never
deleted. Whatever was claimed, closed or opened after the manifest's time, or is another writer's,
is left alone. A person is closed by the last writer who asks for them and leaves them out. Only
kinds of subjects that the manifest lists can be left out of it. A line with an `id` is a request of
its own, and always gets an answer. Leaves out: reading the file (`spool`), how much of it is judged
at once (`portions`), and accepting what follows from the comparison (`acceptance`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from provisioner.contract import InvalidRequest, Json, Key, make_key
from provisioner.contract.late import fits
from provisioner.journal.persons import askers, words
from provisioner.journal.persons.askers import Asker
from provisioner.journal.records.ledger import Held
from provisioner.request.documents import SIZE
from provisioner.request.request import Request
from provisioner.routing.rendering import Step, StepClaim
from provisioner.system.ulid import RequestId

CAUSE = words.LEFT_OUT
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
    """Where a line is: its number, from 1 on, its first byte and the byte after it."""

    number: int
    start: int
    end: int


def places(body: bytes) -> Iterator[Place]:
    """Return the lines of a manifest that are not blank, without copying it."""
    number, start = 0, 0
    while start < len(body):
        number += 1
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        if not body[start:end].isspace() and end > start:
            yield Place(number, start, end)
        start = end + 1


def read(body: bytes, *, objects: bool = False) -> Lines:
    """Turn each line of a manifest into the text of a request.

    objects: a line may also be `{"object": KEY}`. Raises InvalidRequest with the number of a line
    that is not a JSON mapping, or does not ask for a provision.
    """
    lines = Lines()
    for place in places(body):
        line = read_line(body, place, objects=objects)
        if isinstance(line, bytes):
            lines.requests.append(line)
        else:
            lines.objects.append(line)
    return lines


def read_line(
    body: bytes, place: Place, *, objects: bool = False, also: Mapping[str, Json] | None = None
) -> bytes | Key:
    """Turn a line into the text of a request, or the key of the object that it names.

    objects, raises: as in `read`, and for a line that is longer than a request may be, which is not
    parsed; also: what the request says beside the line.
    """
    if place.end - place.start > SIZE:
        raise InvalidRequest(
            f"line {place.number} of the manifest has more than {SIZE} bytes",
            expected=f"at most {SIZE}, as any request",
        )
    try:
        document = json.loads(body[place.start : place.end], object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"line {place.number} of the manifest: {error}") from None
    if objects and isinstance(document, dict) and document.keys() == {"object"}:
        return make_key(*str(document["object"]).split("/"))
    if not isinstance(document, dict) or document.get("action") not in _LISTED:
        raise InvalidRequest(
            f"line {place.number} of the manifest is not a provision",
            expected=f"a JSON mapping with `action`, one of {', '.join(_LISTED)}",
        )
    try:
        return _request({"action": document.pop("action"), **document, **(also or {})})
    except RecursionError:  # writing needs a little more of the stack than reading
        message = f"line {place.number} of the manifest has too many levels"
        raise InvalidRequest(message) from None


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON mapping. Raises ValueError for a key that is there twice: one would be lost."""
    document = dict(pairs)
    if len(document) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return document


Verdict = Literal[
    "ask", "same", "newer", "others", "held", "wrong", "suspend", "suspended", "given up"
]
"""What to do about a subject.

ask: request it as listed; same: nothing, because it is as listed; newer: nothing, because it was
claimed later; others: nothing, because another writer claims it; held: nothing, because a request
for it is held; wrong: nothing, because the line is wrong; suspend: suspend it; suspended: nothing,
because it is suspended; given up: only record that it is left out, as another writer asks for
it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subject stands in the ledger.

    claims: its own and those inside it; suspension: the request by which the manifest's writer
    suspended it for being left out, or so called by hand; left_out: it is closed, as another
    writer's manifest left it out; askers: of a person, the writers
    who ask for them, or did; held: that writer's newest held request for it or something
    inside it; over: it claims for a step that will never be due; placed_by: the other writers in
    whose allocations or projects it is a user; waiting: its open requests that have claims, by
    id; ends: when its access ends, None if it does not; dated: that of somebody in it ends by
    another request; said: that writer's requests for it, or for something in it, that came after
    the manifest, whatever they left; later: all requests behind this that came after it.
    """

    claims: Sequence[Held] = ()
    suspension: RequestId | None = None
    held: RequestId | None = None
    over: bool = False
    placed_by: tuple[str, ...] = ()
    waiting: Mapping[RequestId, Request] = field(default_factory=dict)
    ends: float | None = None
    left_out: bool = False
    askers: Mapping[str, Asker] = field(default_factory=dict)
    said: tuple[RequestId, ...] = ()
    dated: bool = False
    later: Collection[RequestId] = ()

    @property
    def fingerprint(self) -> int:
        """A number that changes when somebody claims, asks for, suspends or holds it."""
        claims = frozenset((c.key, c.claimant, c.request) for c in self.claims)
        asking = frozenset(self.askers.values())
        own = (self.suspension, self.left_out, self.held, self.said)
        return hash((own, claims, self.placed_by, asking))

    def newer(self, source: str) -> bool:
        """Return True if a writer claimed, suspended or asked for it after its manifest."""
        if self.said or self.suspension in self.later:
            return True
        return any(c.request in self.later for c in self.claims if c.source == source)

    def given_up(self, source: str) -> bool:
        """Return True if a writer has left the person out after the manifest."""
        asker = self.askers.get(source)
        return asker is not None and not asker.asks and asker.request in self.later

    def strangers(self, source: str) -> list[str]:
        """Return the other writers who claim for it; of a person, those who ask for them still.

        What a request has made that was cancelled or is held is claimed, and not asked for.
        """
        others = {claim.source for claim in self.claims} - {source}
        if not any(claim.claimant.startswith("user:") for claim in self.claims):
            return sorted(others)
        had = {claim.request for claim in self.claims}  # one may speak for another writer
        asking = self.beside(source)
        return sorted(a.writer for a in asking if a.writer in others or a.request in had)

    def own(self, source: str) -> bool:
        """Return True if all its claims are a writer's, and there are any."""
        return {claim.source for claim in self.claims} == {source}

    def asks(self, source: str) -> bool:
        """Return True if a writer asks for the person."""
        return source in self.askers and self.askers[source].asks

    def asked_again(self, source: str) -> RequestId | None:
        """Return the newest request by which a writer has asked for the person since its manifest
        closed them; None if it has not."""
        return self.askers[source].again if source in self.askers else None

    def asks_until(self, source: str, ends: float | None) -> bool:
        """Return True if a writer asks for the person until a date; None: without one."""
        return self.asks(source) and self.askers[source].ends == ends

    def beside(self, source: str) -> list[Asker]:
        """Return the other writers who ask for the person; the newest is last."""
        return askers.beside(self.askers.values(), source)

    @property
    def pairs(self) -> set[tuple[Key, str]]:
        """Its claims, by object and claimant."""
        return {(claim.key, claim.claimant) for claim in self.claims}


Wanted = Mapping[tuple[Key, str], StepClaim]
"""What is claimed, by object and claimant."""


def wanted_by(planned: Sequence[Step]) -> Wanted:
    """Return what the steps of a line claim."""
    return {(claim.key, claim.claimant): claim for step in planned for claim in step.claims}


def of_listed(
    wanted: Wanted,
    waiting: Mapping[RequestId, Wanted],
    now: Standing,
    source: str,
    ends: float | None = None,
) -> Verdict:
    """Compare what a writer, `source`, lists of a subject with the ledger.

    waiting: what the subject's open requests ask for, by id; ends: when access ends, as listed.
    """
    verdict = of_alike(now, source, ends)
    return "ask" if verdict == "same" and _differs(wanted, waiting, now) else verdict


def of_alike(now: Standing, source: str, ends: float | None = None) -> Verdict:
    """Return what to do about a subject that claims what is listed; the rest is as in `of_listed`.

    It may have been claimed later, or by others, or be held; and its access may end elsewhen.
    """
    if now.newer(source) or now.given_up(source):
        return "newer"
    if now.held is not None:
        # To ask for it again, by a request or a word, would bypass the person who holds it.
        return "held"
    if now.strangers(source):
        return "others"
    # Whom another writer has left out is asked for, to be opened and to be had.
    taken_over = now.left_out or (now.claims and not now.own(source))
    return "ask" if now.over or taken_over or now.dated or ends != now.ends else "same"


def of_left_out(now: Standing, source: str) -> Verdict:
    """Return what to do about a subject that a manifest leaves out."""
    asks, again = now.asks(source), now.asked_again(source)
    # Whoever is closed by hand is left out nevertheless, and stays closed if that is taken back.
    # Who was asked for since is left out again: else that would count once another one opens them.
    if again is None and (now.left_out or (now.suspension is not None and not asks)):
        return "suspended"
    if now.newer(source) or (again or (asks and now.askers[source].request)) in now.later:
        return "newer"
    # A person belongs to every writer who asks for them: nobody closes them alone.
    others = now.beside(source)
    if others and again is None:
        return "given up" if asks and now.held is None else "others"
    if (now.placed_by and not others) or not (asks or again or now.own(source)):
        return "others"
    return "held" if now.held is not None else "suspend"


@dataclass(slots=True)
class Tally:
    """The result of a comparison, in numbers of subjects.

    resumed: how many of the listed ones were suspended for being left out; refused: how many lines
    are asked for and refused by policy.
    """

    counts: Counter[Verdict] = field(default_factory=Counter)
    resumed: int = 0
    refused: int = 0

    def text(self) -> str:
        """Return it as one line."""
        n, asked = self.counts, self.counts["ask"] - self.refused
        return (
            f"{asked} requested, {n['suspend']} suspended, {self.resumed} resumed, "
            f"{n['same']} as listed; left alone: {n['newer']} claimed later, {n['others']} of "
            f"other writers, {n['held']} with a held request, {n['wrong']} that are wrong, "
            f"{n['given up']} left out and asked for by others; refused by policy: {self.refused}"
        )


def _differs(wanted: Wanted, waiting: Mapping[RequestId, Wanted], now: Standing) -> bool:
    """Return True if claims differ from the wanted ones, as far as their wants are known."""
    if now.pairs != wanted.keys():
        return True
    for claim in now.claims:
        pair = claim.key, claim.claimant
        line = wanted[pair]
        # Until its step begins, a claim has the want of the request before: what its own request
        # asks for is compared instead.
        if claim.want is None or claim.request in now.waiting:
            asked_for = waiting.get(claim.request, {}).get(pair, line)
            if asked_for.outline != line.outline:
                return True
        elif not fits(line.outline, claim.want):
            return True
    return False


def about(actions: Mapping[str, tuple[str, str, str]], subject: str) -> bytes:
    """Return the request that suspends a subject, or resumes it: `LEFT_OUT`, `BACK`."""
    kind, _, name = subject.partition(":")
    action, part, key = actions[kind]
    document: dict[str, object] = {"action": action, part: {key: name}}
    if kind != "project":
        document["cause"] = CAUSE
    return _request(document)


def _request(document: Mapping[str, object]) -> bytes:
    return json.dumps({"provisioner": 1, **document}).encode()
