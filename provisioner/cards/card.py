"""A card: who or what a subject is, whether it has access, and only what is wrong.

Promises: pure lines from what was read; each thing that is wrong comes with what to type. Leaves
out: every fact of every object (`objects`, printed by `status --all`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioner.cards import objects, places
from provisioner.cards.lists import natural
from provisioner.cards.objects import ObjectStatus
from provisioner.cards.places import Place
from provisioner.contract import Key, split_key
from provisioner.contract.abilities import Describes, able
from provisioner.inspection import worklist
from provisioner.inspection.drift import REPAIR
from provisioner.inspection.worklist import Item, Wanted
from provisioner.journal.journal import Connection
from provisioner.journal.queries import dates
from provisioner.journal.queries.dates import End
from provisioner.journal.queries.subjects import Suspension
from provisioner.journal.records import ledger, request_rows
from provisioner.objects.states import OPEN, RequestState
from provisioner.outcome.results import moment
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import parse_request
from provisioner.system.ulid import RequestId
from provisioner.wiring import System

_OWN = ("uid", "gid", "home", "shell")
"""What accounts say of a person, in the order of the card."""

_ACCOUNT = "account"
"""The kind of an object `INSTANCE/account/USER`."""

_MEMBER = "member"
"""The kind of an object `INSTANCE/member/GROUP/USER`."""

_USE = ("quota", "files", "grace")


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that is not as wanted, and what to type. text: what is missing, or the error."""

    key: Key
    text: str
    todo: str


@dataclass(frozen=True, slots=True)
class Card:
    """What to print of a subject.

    name: its full name or title; standing: one word; because: why it has no access; facts: labels
    with texts; places: a line for each project or allocation; right: the number of objects that are
    as wanted, in `backends` backends.
    """

    subject: str
    name: str
    standing: str
    because: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    places: tuple[tuple[str, str], ...]
    wrong: tuple[Wrong, ...]
    right: int
    backends: int


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a subject: its objects, those of its allocations, and their places."""

    subject: str
    own: Sequence[ObjectStatus]
    around: Sequence[ObjectStatus]
    closed: Sequence[Suspension]
    requests: Mapping[RequestId, request_rows.Record]
    newest: Mapping[Key, request_rows.Record]
    places: Mapping[str, Place]
    project: Place | None
    ends: Mapping[str, End]

    @property
    def kind(self) -> str:
        return self.subject.partition(":")[0]


def of(
    system: System, subject: str, own: Sequence[ObjectStatus], closed: Sequence[Suspension]
) -> Card:
    """Return the card of a subject. own, closed: its objects and suspensions (`objects`)."""
    read = _read(system, subject, own, closed)
    wrong = tuple(_wrong(read))
    bad = {one.key for one in wrong}
    right = [item for item in own if item.claims and item.key not in bad]
    return Card(
        subject=subject,
        name=_name(read),
        standing=_standing(read),
        because=tuple(_because(read)),
        facts=tuple((label, text) for label, text in _facts(read) if text),
        places=tuple(_places(read)),
        wrong=wrong,
        right=len(right),
        backends=len({item.instance for item in right}),
    )


def _read(
    system: System, subject: str, own: Sequence[ObjectStatus], closed: Sequence[Suspension]
) -> _Read:
    allocations = _allocations(subject, own)
    code = subject.removeprefix("project:")
    with system.journal.reading() as conn:
        known = places.places(conn, allocations)
        project = places.projects(conn, [code]).get(code) if code != subject else None
        claimed = ledger.claimed(conn, allocations)
        named = ledger.requests_of(conn, [item.key for item in own])
        ids = {*named.values(), *(one.request for one in closed)}
        requests = request_rows.load(conn, ids)
        dated = [subject, *(a + more for a in allocations for more in ("", f"/{subject}"))]
        ends = {one.subject: one for one in dates.ends_of(conn, dated) if not one.ended_by}
    there = {item.key for item in own}
    keys = {key for root in allocations for key, claimant in claimed[root] if claimant == root}
    around = objects.of_keys(system, [k for k in keys - there if _describes(system, k)])
    newest = {key: requests[one] for key, one in named.items() if one in requests}
    return _Read(subject, own, around, closed, requests, newest, known, project, ends)


def _allocations(subject: str, own: Sequence[ObjectStatus]) -> list[str]:
    """Return the allocations of a person or a project; an allocation is its own only one."""
    if subject.startswith("allocation:"):
        return [subject]
    every = {claim.claimant for item in own for claim in item.claims}
    person = subject.startswith("user:")
    mine = [one for one in every if not person or subject in ledger.parts(one)]
    return sorted({one.partition("/")[0] for one in mine if one.startswith("allocation:")})


def _describes(system: System, key: Key) -> bool:
    return able(system.handlers.get(split_key(key)[0]), Describes)


def _name(read: _Read) -> str:
    if read.kind == "user":
        return _first(item.state.get("full_name") for item in read.own if item.state)
    titled = [read.project, *read.places.values()]
    return _first(place.title for place in titled if place is not None)


def _first(values: Iterable[object]) -> str:
    return next((str(value) for value in values if value), "")


def _standing(read: _Read) -> str:
    if any(one.subject == read.subject for one in read.closed):
        return "suspended"
    if not any(item.claims for item in read.own):
        return "nothing is claimed"
    if read.kind == "user" and _missing_account(read):
        return "no account"
    if read.kind == "user" and _disabled(read):
        return "disabled"
    return "enabled"


def _missing_account(read: _Read) -> bool:
    """Return True if a person has an account in none of the backends that should have one."""
    person = read.subject.partition(":")[2]
    states = [item.state for item in read.own if split_key(item.key)[1:] == (_ACCOUNT, person)]
    return bool(states) and all(state is not None and not state["present"] for state in states)


def failed(conn: Connection, subject: str) -> list[Item]:
    """Return the failed and refused requests that are about a subject, or name a person."""
    kind, _, name = subject.partition(":")
    by_kind = {"user": Wanted(user=name), "project": Wanted(project=name)}
    wanted = by_kind.get(kind, Wanted(subject=subject))
    return [item for item in worklist.trouble(conn) if wanted.fits(item)]


def _disabled(read: _Read) -> list[str]:
    """Return the backends in which a person's account is disabled."""
    mine = (item for item in read.own if item.state and item.state.get("enabled") is False)
    return [item.instance for item in mine]


def _because(read: _Read) -> Iterator[str]:
    for one in read.closed:
        record = read.requests.get(one.request)
        whose = "" if one.subject == read.subject else f"{one.subject} is "
        since = _minute(one.since)
        yield f"{whose}suspended by {_asker(one, record)}, since {since} ({one.request})"
    if read.kind == "user" and (places_ := _disabled(read)):
        yield f"disabled in {', '.join(places_)}"


def _minute(seconds: float) -> str:
    return moment(seconds)[:16].replace("T", " ")


def _asker(one: Suspension, record: request_rows.Record | None) -> str:
    """Return who suspended, for which cause, and why: `admin (coldfront): revoked`."""
    if record is None:
        return f"{one.source}: {one.cause}"
    person = record.on_behalf_of
    reason = _reason(record)
    why = f"{reason} [{one.cause}]" if reason and reason != one.cause else one.cause
    return f"{person} ({record.writer}): {why}" if person else f"{one.source}: {why}"


def _reason(record: request_rows.Record) -> str:
    try:
        return " ".join((parse_request(record.body).reason or "").split())
    except InvalidDocument:
        return ""


def _facts(read: _Read) -> Iterator[tuple[str, str]]:
    if read.subject in read.ends:
        end = read.ends[read.subject]
        yield "ends", f"{_minute(end.at)} UTC, as {end.writer} asked ({end.request})"
    if read.kind == "user":
        yield "account", _account(read)
        yield "groups", ", ".join(sorted(_groups(read)))
        return
    people = sorted(_people(read))
    pi = _first(place.pi for place in (read.project, *read.places.values()) if place is not None)
    yield "PI", pi
    yield f"{len(people)} people" if len(people) != 1 else "1 person", ", ".join(people)


def _account(read: _Read) -> str:
    """Return a person's numbers and paths; where backends differ, each with its value."""
    parts = []
    for fact in _OWN:
        values: dict[str, list[str]] = {}
        for item in read.own:
            value = item.outputs.get(fact) or (item.outputs.get("id") if fact == "uid" else None)
            if value not in (None, ""):
                values.setdefault(str(value), []).append(item.instance)
        if len(values) == 1 or (values and any(one.subject == read.subject for one in read.closed)):
            # A suspension gives some backends another shell: that is not a difference.
            parts.append(f"{fact} {max(values, key=lambda value: len(values[value]))}")
        elif values:
            said = " but ".join(f"{value} in {where[0]}" for value, where in values.items())
            parts.append(f"{fact} {said}")
    mail = _first(item.state.get("mail") for item in read.own if item.state)
    return ", ".join([*parts, *([mail] if mail else [])])


def _groups(read: _Read) -> set[str]:
    keys = (split_key(item.key) for item in read.own if item.state and item.state.get("present"))
    return {parts[2] for parts in keys if len(parts) == 4 and parts[1] == _MEMBER}


def _people(read: _Read) -> set[str]:
    roots = {read.subject, *read.places}
    leaves = (
        claim.claimant.rpartition("/user:")[2]
        for item in read.own
        for claim in item.claims
        if "/user:" in claim.claimant and claim.claimant.partition("/")[0] in roots
    )
    return set(leaves)


def _places(read: _Read) -> Iterator[tuple[str, str]]:
    """Yield a line for each project of a person, or for each allocation of a project."""
    closed = {one.subject for one in read.closed}
    use = _use(read)
    lines: dict[str, list[str]] = {}
    for subject, place in read.places.items():
        by_person = read.kind == "user"
        head = place.code if by_person else subject
        parts = lines.setdefault(head, [f"{place.title}:"] if by_person and place.title else [])
        text = " ".join(filter(None, (place.resource, use.get(subject, ""))))
        dates = [read.ends[s].at for s in (subject, f"{subject}/{read.subject}") if s in read.ends]
        ends = f" (ends {_minute(min(dates))[:10]})" if dates and by_person else ""
        parts.append(f"{text} (suspended)" if subject in closed else text + ends)
    for head, parts in sorted(lines.items(), key=lambda pair: natural(pair[0])):
        first, rest = ([parts[0]], parts[1:]) if parts[0].endswith(":") else ([], parts)
        yield head, " ".join([*first, ", ".join(sorted(rest))])


def _use(read: _Read) -> dict[str, str]:
    """Return quota and use by allocation."""
    said: dict[str, str] = {}
    for item in (*read.own, *read.around):
        if item.described:
            text = ", ".join(
                files_text(item.described[name]) if name == "files" else item.described[name]
                for name in _USE
                if name in item.described
            )
            for claim in item.claims:
                said[claim.claimant] = text
    return said


def files_text(said: str) -> str:
    """Return what a handler says of the number of files, with the noun: `3 files (no limit)`."""
    if said == "no limit":
        return "no limit on files"
    number, bracket, rest = said.partition(" (")
    noun = "file" if number.rpartition(" ")[2] == "1" else "files"
    return f"{number} {noun}{bracket}{rest}"


def _wrong(read: _Read) -> Iterator[Wrong]:
    for item in (*read.own, *read.around):
        if item.error is not None:
            first = (item.error.message.splitlines() or [""])[0].removeprefix(f"{item.key}: ")
            yield Wrong(item.key, first, item.error.advice)
        elif item.missing:
            yield Wrong(item.key, "; ".join(item.missing), _todo(read.newest.get(item.key)))


def _todo(record: request_rows.Record | None) -> str:
    """Return what to type to have an object made that a request claims."""
    if record is not None and record.state in OPEN:
        return f"provisioner show {record.id} (it waits)"
    if record is not None and record.state in (RequestState.FAILED, RequestState.CANCELLED):
        return f"provisioner retry {record.id}"
    return REPAIR
