"""The manifest: everything that a writer wants, compared with what that writer has claimed.

Promises: what the manifest lists and the ledger lacks or has otherwise is asked for anew; what the
ledger has of the same writer and the manifest leaves out is suspended, never deleted; what was
claimed after the manifest's time, or by another writer, is left alone. Only kinds of subjects that
the manifest lists at all are missed in it. A line with an `id` is a request of its own, and gets an
answer whatever the ledger has. Leaves out: reading the file (`spool`), and accepting what follows
from the comparison (`intake`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.contract import InvalidRequest, Key, Want, make_key
from provisioner.ledger import Held
from provisioner.losses import Pair
from provisioner.routing import Step

LIMIT = 64 * 1024 * 1024
"""Most bytes of a manifest."""

ENDING = ".jsonl"
"""How its name ends, so that it is not taken for a request."""

CAUSE = "reconcile"
"""The cause of a suspension for being left out of a manifest."""

_LISTED = ("user.provision", "project.provision", "allocation.provision")
_LEFT_OUT = {
    "user": ("user.suspend", "user", "name"),
    "allocation": ("allocation.suspend", "allocation", "id"),
    "project": ("project.archive", "project", "code"),
}
_BACK = {
    "user": ("user.resume", "user", "name"),
    "allocation": ("allocation.resume", "allocation", "id"),
}


@dataclass(slots=True)
class Lines:
    """What a manifest lists: texts of requests, and keys of objects that nobody claims."""

    requests: list[bytes] = field(default_factory=list)
    objects: list[Key] = field(default_factory=list)


def read(body: bytes, *, objects: bool = False) -> Lines:
    """Make the text of a request from each line of a manifest.

    objects: a line may be `{"object": KEY}`, too. Raises InvalidRequest naming the line: it is no
    JSON mapping, or asks for something else than a provision.
    """
    found = Lines()
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError as error:
            raise InvalidRequest(f"line {number} of the manifest: {error}") from None
        if objects and isinstance(document, dict) and document.keys() == {"object"}:
            found.objects.append(make_key(*str(document["object"]).split("/")))
            continue
        if not isinstance(document, dict) or document.get("action") not in _LISTED:
            raise InvalidRequest(
                f"line {number} of the manifest is no provision",
                expected=f"a JSON mapping with `action`, one of {', '.join(_LISTED)}",
            )
        found.requests.append(_request({"action": document.pop("action"), **document}))
    return found


@dataclass(slots=True)
class Comparison:
    """What a manifest and the ledger differ in.

    ask: subjects that are to be asked for as listed; answer: those that are as listed, and want an
    answer; left: those that want one and are left alone, and why; suspend, resume: texts of
    requests; going, coming: claims that would be taken back or closed, and made with it; same:
    subjects that are as listed; newer, others, held, wrong: how many subjects are left alone, as
    they were claimed later, or by another writer, or as a request for them is held, or as nobody
    can follow what is listed.
    """

    ask: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    suspend: list[bytes] = field(default_factory=list)
    resume: list[bytes] = field(default_factory=list)
    going: set[Pair] = field(default_factory=set)
    coming: set[Pair] = field(default_factory=set)
    same: list[str] = field(default_factory=list)
    newer: int = 0
    others: int = 0
    held: int = 0
    wrong: int = 0

    def told(self) -> str:
        """Say it in a line."""
        return (
            f"{len(self.ask)} asked for anew, {len(self.suspend)} suspended, {len(self.resume)} "
            f"resumed, {len(self.same) + len(self.answer)} as listed; left alone: {self.newer} "
            f"claimed later, {self.others} of other writers, {self.held} with a request that is "
            f"held, {self.wrong} that are wrong"
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """What a manifest lists, by subject.

    steps: what is to be done for each; asking: those whose line has an id; wrong: further ones, in
    lines that nobody can follow.
    """

    steps: Mapping[str, Sequence[Step]]
    asking: Collection[str]
    wrong: Collection[str]

    def __contains__(self, subject: str) -> bool:
        return subject in self.steps or subject in self.wrong

    @property
    def kinds(self) -> set[str]:
        """Say of what kinds the subjects are."""
        return {subject.partition(":")[0] for subject in (*self.steps, *self.wrong)}


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger has.

    held: all claims; suspended: subjects that the manifest's writer suspended for being left out;
    under_way: ids of requests that are not over; stopped: the newest held request of the
    manifest's writer for each subject or what lies in it.
    """

    held: Sequence[Held]
    suspended: Collection[str]
    under_way: Collection[str]
    stopped: Mapping[str, str]


def compare(listed: Listed, known: Known, source: str, after: str | None) -> Comparison:
    """Compare what a manifest of a writer, `source`, lists with the ledger.

    after: the least id of a request that is newer than the manifest.
    """
    found = Comparison(wrong=len(listed.wrong))
    by_subject = of_subjects(known.held)
    for subject, planned in listed.steps.items():
        mine = by_subject.get(subject, [])
        strangers = {one.source for one in mine} - {source}
        if is_newer(mine, after):
            found.newer += 1
            if subject in listed.asking:
                found.left[subject] = "a newer request has claimed it since the manifest was read"
        elif strangers:
            found.others += 1
            if subject in listed.asking:
                found.left[subject] = f"it was asked for by {', '.join(sorted(strangers))}"
        elif subject in known.stopped:
            # To ask for the same under another name would go round whoever holds it.
            found.held += 1
            if subject in listed.asking:
                found.left[subject] = f"{known.stopped[subject]} is held: release it, or cancel it"
        else:
            if subject in known.suspended:
                found.resume.append(_about(_BACK, subject))
            wanted = {
                (claim.key, claim.claimant): claim.want for step in planned for claim in step.claims
            }
            if _differs(wanted, mine) or _stranded(mine, known.under_way):
                found.ask.append(subject)
                found.going |= _pairs(mine) - wanted.keys()
                found.coming |= wanted.keys()
            else:
                (found.answer if subject in listed.asking else found.same).append(subject)
    kinds = listed.kinds & _LEFT_OUT.keys()
    closed: set[str] = set()
    for subject, mine in by_subject.items():
        left_out = subject not in listed and subject.partition(":")[0] in kinds
        if not left_out or subject in known.suspended:
            continue
        if is_newer(mine, after):
            found.newer += 1
        elif any(one.source != source for one in mine):
            found.others += 1
        else:
            found.suspend.append(_about(_LEFT_OUT, subject))
            found.going |= _pairs(mine)
            closed.add(subject)
    found.going |= {
        (c.key, c.claimant) for c in known.held if c.claimant.rpartition("/")[2] in closed
    }
    return found


def _pairs(claims: Sequence[Held]) -> set[Pair]:
    return {(one.key, one.claimant) for one in claims}


def of_subjects(held: Sequence[Held]) -> dict[str, list[Held]]:
    """Sort claims by the subject that they belong to."""
    found: dict[str, list[Held]] = {}
    for one in held:
        found.setdefault(one.claimant.partition("/")[0], []).append(one)
    return found


def is_newer(claims: Sequence[Held], after: str | None) -> bool:
    """Say whether one of a subject's claims is newer than a manifest."""
    return after is not None and any(one.request >= after for one in claims)


def _differs(wanted: Mapping[tuple[Key, str], Want | None], claims: Sequence[Held]) -> bool:
    """Say whether claims are others than wanted; a want that is known later is not compared."""
    if {(one.key, one.claimant) for one in claims} != wanted.keys():
        return True
    for one in claims:
        want = wanted[one.key, one.claimant]
        # As the ledger keeps it: JSON has lists and no tuples.
        if want is not None and json.loads(json.dumps(want)) != one.want:
            return True
    return False


def _stranded(claims: Sequence[Held], under_way: Collection[str]) -> bool:
    """Say whether some claims wait for a step of a request that is over, and would for ever."""
    return any(one.want is None and one.request not in under_way for one in claims)


def _about(actions: Mapping[str, tuple[str, str, str]], subject: str) -> bytes:
    kind, _, name = subject.partition(":")
    action, part, key = actions[kind]
    document: dict[str, object] = {"action": action, part: {key: name}}
    if kind != "project":
        document["cause"] = CAUSE
    return _request(document)


def _request(document: Mapping[str, object]) -> bytes:
    return json.dumps({"provisioner": 1, **document}).encode()
