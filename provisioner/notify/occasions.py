"""Occasions: what each outcome of a request is worth telling, and whom.

Promises: reads only the journal, inside the caller's transaction. The place of an allocation comes
from what was read back of it, never from what was asked for. Leaves out: whether it is news to
somebody (`tellings`), and their addresses (`addresses`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.config.notify import Event
from provisioner.contract import Fault
from provisioner.contract.texts import format_size
from provisioner.journal.journal import Connection
from provisioner.journal.outbox import known, rights
from provisioner.journal.outbox.shelf import Shelf
from provisioner.journal.queries.dates import End
from provisioner.journal.records.request_rows import Record
from provisioner.journal.records.step_rows import StepRecord
from provisioner.notify.tellings import (
    Telling,
    digest,
    ending_told,
    leader_told,
    user_closed,
    user_told,
)
from provisioner.objects.states import RequestState, StepState
from provisioner.outcome import outcomes, results
from provisioner.request import crowds
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import InvalidFile, Request

Facts = Mapping[str, Any]

Requests = Shelf[Request | None]
"""Requests as they count now; None for one whose text can no longer be read."""

_CONTROLS = ("request.", "lane.", "journal.")
"""Actions whose answer belongs to the person who typed them."""

_PROJECTS = 20
"""The most projects and allocations of a user whose leaders are told of the account."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One outcome, while what it is worth telling is found out."""

    shelf: Requests
    record: Record
    steps: Sequence[StepRecord]
    request: Request

    @property
    def conn(self) -> Connection:
        """The caller's transaction."""
        return self.shelf.conn

    @property
    def changed(self) -> bool:
        """Whether anything changed in a backend for it."""
        return any(part.changed for step in self.steps for part in step.objects)

    def changed_for(self, claimant: str) -> bool:
        """Return True if something changed for one claimant."""
        return any(
            part.changed and part.claimant == claimant
            for step in self.steps
            for part in step.objects
        )


@dataclass(frozen=True, slots=True)
class Occasions:
    """Finds what to tell. outputs: of a state that was read back, as its handler names them;
    operators: their addresses; asker: the person who asked, '' if that is nobody who reads mail;
    hook: the site's program is told of each failure, whoever else is.
    """

    outputs: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    operators: Sequence[str] = ()
    asker: Callable[[Record], str] = field(default=lambda record: record.writer)
    hook: bool = False

    def of(self, shelf: Requests, record: Record, state: str) -> list[Telling]:
        """Return what an outcome is worth telling. state: the outcome that the event tells."""
        steps = shelf.steps(record.id)
        if record.action.startswith(_CONTROLS) or record.duplicate_of is not None:
            return []
        if state in (RequestState.FAILED, RequestState.REFUSED):
            return list(self._failure(record, steps, state))
        whole = all(step.state == StepState.DONE for step in steps)
        tell = _BY_ACTION.get(record.action)
        if tell is None or not whole or state not in (RequestState.DONE, RequestState.SUPERSEDED):
            return []
        request = shelf.says(record)
        if request is None:
            return []
        return list(tell(self, Occasion(shelf, record, steps, request)))

    # People's accounts.

    def _account(self, occasion: Occasion) -> Iterator[Telling]:
        name = _user_of(occasion.record.subject)
        subject = f"user:{name}"
        if rights.suspended(occasion.conn, [subject]):
            return
        had = subject in rights.had_before(occasion.conn, subject, occasion.record.id)
        fresh = occasion.changed and not had
        yield from self._ready(occasion, name, fresh)

    def _ready(self, occasion: Occasion, name: str, fresh: bool) -> Iterator[Telling]:
        subject = f"user:{name}"
        account = self._account_facts(occasion, name)
        facts = {"account": account, "again": occasion.record.action == "user.resume"}
        fact = digest(account["home"])
        told = Telling(
            person=name,
            role="user",
            event=Event.ACCOUNT_READY,
            subject=subject,
            about=subject,
            fact=fact,
            fresh=fresh,
            facts=facts,
        )
        yield told
        if occasion.record.action == "user.provision":
            for leader in self._leaders(occasion.shelf, name):
                about = f"{subject} (as PI)"
                yield replace(told, person=leader, role="pi", about=about, fact="")

    def _account_facts(self, occasion: Occasion, name: str) -> dict[str, Any]:
        made = occasion.record.action == "user.provision"
        steps = occasion.steps if made else self._provided(occasion.shelf, f"user:{name}")
        outputs = self._outputs(steps, {f"user:{name}"})
        values = occasion.request.values.get("user") or {}
        return {
            "name": name,
            "full_name": values.get("full_name"),
            "home": _first(outputs, "path", "home"),
            "shell": _first(outputs, "shell"),
            "outputs": outputs,
        }

    def _leaders(self, shelf: Requests, user: str) -> list[str]:
        """Return the leaders of the projects in which a user has something."""
        ids = rights.projects_of(shelf.conn, user, _PROJECTS)
        read = [shelf.says(record) for record in shelf.records(ids)]
        projects = [one.values.get("project") or {} for one in read if one is not None]
        leaders = [project.get("pi") for project in projects]
        return sorted({leader for leader in leaders if leader and leader != user})

    def _account_closed(self, occasion: Occasion) -> Iterator[Telling]:
        name = _user_of(occasion.record.subject)
        if not rights.suspended(occasion.conn, [f"user:{name}"]):
            return  # it was lifted meanwhile
        yield Telling(
            person=name,
            role="user",
            event=Event.ACCESS_REMOVED,
            subject=f"user:{name}",
            about=f"user:{name}",
            open=False,
            fresh=occasion.changed,
            facts={"account": {"name": name}, "allocation": None, "suspended": True},
        )

    def _account_resumed(self, occasion: Occasion) -> Iterator[Telling]:
        name = _user_of(occasion.record.subject)
        if not rights.suspended(occasion.conn, [f"user:{name}"]):
            yield from self._ready(occasion, name, occasion.changed)

    # Allocations.

    def _allocation(self, occasion: Occasion) -> Iterator[Telling]:
        subject = occasion.record.subject
        if rights.suspended(occasion.conn, [subject]):
            return
        facts = self._allocation_facts(occasion.request, occasion.steps, subject)
        had = rights.had_before(occasion.conn, subject, occasion.record.id)
        users = rights.users_of(occasion.conn, subject) or set(occasion.request.users)
        shut = rights.shut_out(occasion.conn, subject, {*users, *_leader_in(facts)})
        for leader in set(_leader_in(facts)) - shut:
            fresh = occasion.changed_for(subject) or (occasion.changed and subject not in had)
            yield leader_told(leader, subject, facts, fresh=fresh)
        waiting = rights.waiting_in(occasion.conn, subject)
        for user in sorted(users.difference(_leader_in(facts), shut, waiting)):
            fresh = occasion.changed and f"{subject}/user:{user}" not in had
            yield user_told(user, subject, facts, fresh=fresh)
        yield from self._gone(occasion, subject, facts, users)

    def _gone(
        self, occasion: Occasion, subject: str, facts: Facts, users: Collection[str]
    ) -> Iterator[Telling]:
        """Tell users whom a request left out."""
        conn, record = occasion.conn, occasion.record
        before = known.may_use(conn, subject)
        ids = rights.provided(conn, subject, record.action, record.id)
        for older in occasion.shelf.records(ids):
            said = occasion.shelf.says(older)
            before.update(said.users if said is not None else ())
        for user in sorted(before.difference(users, _leader_in(facts))):
            yield user_closed(user, subject, facts, fresh=occasion.changed)

    def _joined(self, occasion: Occasion) -> Iterator[Telling]:
        subject, _, _ = occasion.record.subject.partition("/")
        user = _user_of(occasion.record.subject)
        closed = rights.suspended(occasion.conn, [subject, f"user:{user}"])
        if closed or user in rights.waiting_in(occasion.conn, subject):
            return
        had = rights.had_before(occasion.conn, subject, occasion.record.id)
        fresh = occasion.changed and occasion.record.subject not in had
        yield user_told(user, subject, self._facts_now(occasion, subject), fresh=fresh)

    def _left(self, occasion: Occasion) -> Iterator[Telling]:
        subject, _, _ = occasion.record.subject.partition("/")
        user = _user_of(occasion.record.subject)
        if user in rights.users_of(occasion.conn, subject):
            return  # a newer request has them in it
        facts = self._facts_now(occasion, subject)
        yield user_closed(user, subject, facts, fresh=occasion.changed)

    def _allocation_closed(self, occasion: Occasion) -> Iterator[Telling]:
        subject = occasion.record.subject
        if not rights.suspended(occasion.conn, [subject]):
            return  # it was lifted meanwhile
        facts = {**self._facts_now(occasion, subject), "suspended": True}
        had = {*rights.seen_in(occasion.conn, subject), *known.may_use(occasion.conn, subject)}
        users = rights.users_of(occasion.conn, subject) & had
        for user in sorted({*users, *_leader_in(facts)}):
            yield user_closed(user, subject, facts, fresh=occasion.changed)

    def _allocation_resumed(self, occasion: Occasion) -> Iterator[Telling]:
        subject = occasion.record.subject
        if rights.suspended(occasion.conn, [subject]):
            return
        facts = {**self._facts_now(occasion, subject), "again": True}
        users = rights.users_of(occasion.conn, subject)
        users -= rights.waiting_in(occasion.conn, subject)
        users.update(_leader_in(facts))
        for user in sorted(users - rights.shut_out(occasion.conn, subject, users)):
            yield user_told(user, subject, facts, fresh=occasion.changed)

    def _facts_now(self, occasion: Occasion, subject: str) -> dict[str, Any]:
        """Return the facts of an allocation from its newest request that was done."""
        ids = rights.provided(occasion.conn, subject, "allocation.provision")
        for record in occasion.shelf.records(ids):
            request = occasion.shelf.says(record)
            if request is None:
                continue
            made = (*occasion.shelf.steps(record.id), *occasion.steps)
            return self._allocation_facts(request, made, subject, occasion.record.subject)
        member = occasion.record.subject
        return self._allocation_facts(occasion.request, occasion.steps, subject, member)

    def _allocation_facts(
        self, request: Request, steps: Sequence[StepRecord], subject: str, member: str = ""
    ) -> dict[str, Any]:
        """member: the claimant of a user whose own objects count as well."""
        allocation = request.values.get("allocation") or {}
        outputs = self._outputs(steps, {subject, member})
        quota = allocation.get("quota") or {}
        space, files = quota.get("space"), quota.get("files")
        return {
            "allocation": {
                "id": subject.partition(":")[2],
                "resource": allocation.get("resource") or request.resource,
                "project": request.values.get("project"),
                "path": _first(outputs, "path"),
                "quota": format_size(space) if isinstance(space, int) else None,
                "files": files,
                "slurm_account": _first(outputs, "account"),
                "outputs": outputs,
            },
            "suspended": False,
            "again": False,
        }

    # Dates.

    def ending(self, shelf: Requests, record: Record, end: End, days: int) -> list[Telling]:
        """Return what to tell before access ends: to the person, or to all of an allocation and
        its leader. days: how many are left, at most."""
        root, user = end.subject.partition("/")[0], _user_of(end.subject)
        request = shelf.says(record)
        closed = rights.suspended(shelf.conn, [root, end.subject, f"user:{user}"])
        if closed or request is None:
            return []
        at = results.moment(end.at)[:16].replace("T", " ")
        facts: Facts = {"ends": {"at": f"{at} UTC", "days": days}, "account": {"name": user}}
        people = {user}
        if root.startswith("allocation:"):
            occasion = Occasion(shelf, record, shelf.steps(record.id), request)
            facts = {**self._facts_now(occasion, root), **facts, "account": None}
            if root == end.subject:
                people = {*rights.users_of(shelf.conn, root), *_leader_in(facts)}
        return [ending_told(one, root, end.subject, facts) for one in sorted(people)]

    # What failed.

    def _failure(
        self, record: Record, steps: Sequence[StepRecord], state: str
    ) -> Iterator[Telling]:
        rendered = results.render(outcomes.result_of(record, steps))
        lines = [line[2:] for line in rendered.splitlines() if line.startswith("#")]
        logged = outcomes.outcome_line(record, steps)
        problem = logged.partition(" s: ")[2] or logged
        facts = {"failure": {"state": state, "lines": lines, "problem": problem}}
        told = Telling(
            person=self.asker(record),
            role="asker",
            event=Event.REQUEST_FAILED,
            subject=record.subject,
            about=failing(record),
            fact=digest(state, facts["failure"]["problem"]),
            open=False,
            facts=facts,
        )
        if told.person:
            yield told
        for operator in self.operators:
            yield replace(told, person=operator, role="operator")
        if self.hook:
            yield replace(told, person="", role="hook")

    # What was read back.

    def _outputs(
        self, steps: Sequence[StepRecord], claimants: Collection[str]
    ) -> dict[str, dict[str, Any]]:
        """Return the outputs of the objects of some claimants, by step."""
        found: dict[str, dict[str, Any]] = {}
        for step in steps:
            for part in step.objects if not step.withdraws else ():
                if part.read_back and part.claimant in claimants:
                    found[step.name] = dict(self.outputs(step.instance, part.read_back))
        return found

    def _provided(self, shelf: Requests, subject: str) -> Sequence[StepRecord]:
        ids = rights.provided(shelf.conn, subject, "user.provision")
        return shelf.steps(ids[0]) if ids else ()


Tell = Callable[[Occasions, Occasion], Iterator[Telling]]

_BY_ACTION: Mapping[str, Tell] = {
    "user.provision": Occasions._account,
    "user.suspend": Occasions._account_closed,
    "user.resume": Occasions._account_resumed,
    "allocation.provision": Occasions._allocation,
    "allocation.suspend": Occasions._allocation_closed,
    "allocation.resume": Occasions._allocation_resumed,
    "membership.add": Occasions._joined,
    "membership.remove": Occasions._left,
}


def said(record: Record) -> Request | None:
    """Return a recorded request as it counts now; None if its text can no longer be read."""
    try:
        return crowds.whole(record.body, record.listed)
    except (InvalidDocument, Fault):
        return None


def failing(record: Record) -> str:
    """Return what people know a failure by: its subject, else its file."""
    return f"failure of {record.subject or record.name}"


def person_in(record: Record) -> str:
    """Return for whom a refused file says that it asks; '' if it does not say."""
    try:
        request: Request | None = crowds.whole(record.body, record.listed)
    except InvalidFile as error:
        request = error.rest
    except (InvalidDocument, Fault):
        return ""
    return (request.on_behalf_of if request is not None else None) or ""


def _leader_in(facts: Facts) -> list[str]:
    """Return the leader of an allocation's project, in a list; empty: nobody is named."""
    leader = (facts["allocation"]["project"] or {}).get("pi")
    return [str(leader)] if leader else []


def _user_of(claimant: str) -> str:
    return claimant.rpartition("user:")[2]


def _first(outputs: Mapping[str, Mapping[str, Any]], *names: str) -> Any:
    """Return the first value that a step has under the first of some names that any has."""
    found = (values[name] for name in names for values in outputs.values() if values.get(name))
    return next(found, None)
