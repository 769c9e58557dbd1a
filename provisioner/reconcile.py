"""Reconciling with a manifest: reading it, and turning what differs into requests of its writer.

Promises: the companion file is the request's writer's, is what the request says, and is read
once; every line is judged before anything is written. In a reconcile a line whose subject is known
and that no route or handler can follow is told, and its subject left alone: it keeps no other line
back. Any other mistake refuses the whole. Leaves out: what differs (`manifest`), and accepting what
follows (`intake`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from provisioner import audit, holdings, ledger, manifest, policy, records
from provisioner import ulid as ulids
from provisioner.candidates import Candidate, judge, plain_problems, problem_of
from provisioner.contract import Fault, InvalidRequest, Refused
from provisioner.documents import Problem
from provisioner.request import Request
from provisioner.requestfile import uid_of
from provisioner.review import Review
from provisioner.routing import Router
from provisioner.spool import Claimed
from provisioner.verbs import Effect, look_again


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a comparison came to. asked: requests that follow from it."""

    asked: tuple[Candidate, ...]
    effect: Effect


class Reconciler:
    """Compares manifests with the ledger, for one site."""

    def __init__(
        self, router: Router, review: Review, companion: Callable[[str, int], Claimed]
    ) -> None:
        """companion: reads a file that a request names (`Companions.manifest`)."""
        self._router = router
        self._review = review
        self._companion = companion

    def complete(self, candidate: Candidate, kept: bytes | None = None) -> Candidate:
        """Add what a request's companion file lists; kept: its bytes, if they were read before."""
        request = candidate.request
        if request is None or not request.values.get("manifest"):
            return candidate
        if candidate.problems or candidate.forbidden is not None:
            return candidate
        named = request.values["manifest"]
        try:
            if kept is None:
                found = self._read_manifest(candidate.claimed, named)
                candidate = replace(candidate, companion=found)
            body = found.body if kept is None else kept
            lines = manifest.read(body, objects=request.action == "adopt")
            whose = self._whose(candidate.claimed, request)
            listed = tuple(
                judge(child(whose, f"{named.file}-{number}", text), self._router, _later)
                for number, text in enumerate(lines.requests, 1)
            )
        except Fault as fault:
            return replace(candidate, problems=(problem_of(fault),))
        return replace(
            candidate,
            manifest=body,
            listed=listed,
            objects=tuple(lines.objects),
            problems=_of_lines(listed, whole=request.action == "adopt"),
        )

    def _whose(self, claimed: Claimed, request: Request) -> Claimed:
        """Say whose requests follow: the sender's, or those of whom root or the service names."""
        name = request.values.get("writer")
        if name in (None, claimed.writer):
            return claimed
        if not self._review.trusts(claimed.uid):
            raise Refused(
                f"{claimed.writer} adopts for themselves alone, not for {name}",
                advice="leave `writer` out, or have root or the service's user send it",
            )
        uid = uid_of(name)
        if uid is None:
            raise InvalidRequest(f"there is no user {name!r}", field="writer")
        return replace(claimed, uid=uid, writer=name)

    def _read_manifest(self, claimed: Claimed, named: Any) -> Claimed:
        if not named.file.endswith(manifest.ENDING):
            raise InvalidRequest(f"{named.file!r} is no manifest", expected="*.jsonl")
        found = self._companion(named.file, manifest.LIMIT)
        # The digest of a signed request is its signer's word for the manifest, whoever copied it.
        if found.uid != claimed.uid and not claimed.signed:
            raise InvalidRequest(
                f"{named.file} is {found.writer}'s, the request {claimed.writer}'s"
            )
        if (found.size, found.sha256) != (named.size, named.sha256):
            raise InvalidRequest(
                f"{named.file} is not what the request says: it has {found.size} bytes and "
                f"SHA-256 {found.sha256}",
                advice="write the manifest whole, before the request",
            )
        return found

    def compare(self, conn: Connection, candidate: Candidate, now: float) -> Reconciled:
        """Say what a manifest and the ledger differ in, and make all else due.

        Where it takes too much from too many at once, nothing is done but to hold the request,
        until a second person has released it.
        """
        claimed = candidate.claimed
        assert candidate.request is not None
        as_of = candidate.request.values["as_of"]
        listed = {c.request.subject: c for c in candidate.listed if c.request is not None}
        wrong = {subject for subject, one in listed.items() if one.problems}
        asking = {
            s for s, c in listed.items() if c.request is not None and c.request.id is not None
        }
        right = {subject: one.planned for subject, one in listed.items() if subject not in wrong}
        found = manifest.compare(
            manifest.Listed(right, asking, wrong),
            manifest.Known(
                ledger.everything(conn),
                ledger.suspended_by(conn, claimed.writer, manifest.CAUSE),
                frozenset(records.ids_in(conn, records.OPEN)),
                records.held_for(conn, claimed.writer),
            ),
            claimed.writer,
            ulids.first(as_of.timestamp()) if as_of is not None else None,
        )
        losers = holdings.losers(conn, found.going, found.coming)
        crowd = self._review.crowd(conn, losers)
        record = records.load(conn, [claimed.ulid])[claimed.ulid]
        if crowd is not None and record.approved_by is None:
            return Reconciled((), _hold_back(conn, claimed.ulid, crowd, found, now))
        records.drop_companion(conn, claimed.ulid)
        texts = [*found.resume, *found.suspend]
        asked = [
            judge(child(claimed, f"{claimed.name}-{number}", text), self._router, _later)
            for number, text in enumerate(texts, 1)
        ]
        same = {c.key for s in found.same for step in listed[s].planned for c in step.claims}
        effect = look_again(conn, same, now)
        effect.notes = [found.told(), *_notes(candidate.listed), *effect.notes]
        asked += [listed[subject] for subject in (*found.ask, *found.answer, *(asking & wrong))]
        asked += [_left_alone(listed[subject], why) for subject, why in found.left.items()]
        return Reconciled(tuple(asked), effect)


def _later(request: Request) -> None:
    """Policy judges what follows from a manifest when it is asked for."""


def _left_alone(candidate: Candidate, why: str) -> Candidate:
    return replace(candidate, problems=(Problem(None, "", f"left alone: {why}"),))


def _hold_back(
    conn: Connection, who: str, why: policy.Answer, found: manifest.Comparison, now: float
) -> Effect:
    records.set_state(conn, [who], ["accepted"], "held")
    records.set_hold(conn, who, held_by=records.POLICY)
    told = Problem(None, "manifest", f"{why.why}: {found.told()}", why.advice)
    records.set_problems(conn, who, plain_problems((told,)))
    text = f"by {records.POLICY}: {why.why}"
    audit.append(conn, [audit.Event(who, "held", text)], now)
    return Effect(held=[who])


def child(claimed: Claimed, name: str, text: bytes) -> Claimed:
    """Make what follows from a request a request of its own, of the same writer."""
    digest = hashlib.sha256(text).hexdigest()
    return replace(
        claimed,
        ulid=ulids.new(),
        name=f"{name}.json",
        body=text,
        sha256=digest,
        size=len(text),
        signed=False,
    )


_TOLD_LINES = 20


def _of_lines(listed: Sequence[Candidate], *, whole: bool) -> tuple[Problem, ...]:
    """Collect why a manifest is refused, some of it where it is much.

    whole: a line that cannot be followed is a reason, too, and not only one of an unknown subject.
    """
    found = []
    seen: set[str] = set()
    for number, one in enumerate(listed, 1):
        if whole or one.request is None:
            found += _placed(number, one)
        subject = one.request.subject if one.request is not None else ""
        if subject and subject in seen:
            found.append(Problem(None, f"manifest entry {number}", f"{subject} stands twice"))
        seen.add(subject)
    return tuple(found[:_TOLD_LINES])


def _placed(number: int, line: Candidate) -> list[Problem]:
    """Say of a line's problems which line it is."""
    return [replace(p, line=None, key=f"manifest entry {number}: {p.key}") for p in line.problems]


def _notes(listed: Sequence[Candidate]) -> list[str]:
    """Say what is wrong with lines whose subjects are left alone."""
    found = [p for number, one in enumerate(listed, 1) for p in _placed(number, one)]
    notes = [f"{p.key}: {p.message}" for p in found[:_TOLD_LINES]]
    if len(found) > _TOLD_LINES:
        notes.append(f"and {len(found) - _TOLD_LINES} more that are wrong")
    return notes
