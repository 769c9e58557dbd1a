"""Sequences of two portals and an operator: drawn by a seed, played to the service and to the
oracle.

Leaves out: many sequences, and shrinking one that fails (`walks`).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from provisioner.journal.records.request_rows import Record
from tests.fault.model.backends import KINDS
from tests.fault.model.site import Site
from tests.fault.people import checks
from tests.fault.people import site as house
from tests.fault.people.draws import OWNERS, PORTALS, USERS, draw, subjects
from tests.fault.people.oracle import IDLE, LEFT_OUT, SERVICE, Oracle, Said
from tests.fault.walks import MEMORY, Event, Mismatch, Walk
from tests.support import databases
from tests.support.clocks import Clocks

_FIT = {
    "hold": ("accepted", "deferred", "scheduled"),
    "cancel": ("accepted", "deferred", "held", "scheduled"),
    "release": ("held",),
    "retry": ("failed", "cancelled"),
}
"""States in which steering is worth the trial."""

_GOES_ON = ("accepted", "deferred", "done")

_BACK: Sequence[Event] = (("back",), ("drain",), ("end",))


@contextmanager
def played(events: Sequence[Event]) -> Iterator[Game]:
    """Play a sequence, and let everything be done."""
    where = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="provisioner-people.", dir=where) as top,
        house.ticking() as clocks,
    ):
        Path(top).chmod(0o755)
        game = Game(Site(Path(top), house.CONFIG), clocks)
        try:
            for event in [*events, *_BACK]:
                game.play(event)
            yield game
        finally:
            game.site.close()


def play(events: Sequence[Event]) -> Counter[str]:
    """Play a sequence to its end; return counts of what was done in it. Raises Mismatch if
    somebody has access, or has none, other than the oracle says, or is told something else."""
    with played(events) as game:
        game.compare()
        return game.done


class Game:
    """One sequence under way. done: how often each thing was done."""

    def __init__(self, site: Site, clocks: Clocks) -> None:
        self.site = site
        self.oracle = Oracle()
        self.done: Counter[str] = Counter()
        self._clocks = clocks
        self._said: list[Said] = []
        self._numbers: Counter[str] = Counter()
        self._known: Counter[str] = Counter()
        self._count = 0
        self._later = 0
        self._damaged = False
        self._ends: dict[tuple[str, str], float] = {}

    def play(self, event: Event) -> None:
        """Let one thing happen, and the service look at dates before it and after it."""
        self.done[event[0]] += 1
        getattr(self, event[0])(*event[1:])
        self._look()

    def _look(self) -> None:
        house.look(self.site)
        for said in self.oracle.due(time.time()):
            state = house.state(self.site, said.name)
            if state in ("held", "failed", "refused"):
                self.oracle.stop(said, state)
            else:
                self.oracle.accept(said)
        for said in self.oracle.end(time.time()):
            said.name = house.ending(self.site, said.subject)
            self._said.append(said)

    # What portals and an operator ask for.

    def ask(self, portal: str, name: str, days: int | None) -> None:
        user = {"user": {"name": name, "uid": USERS[name]}}
        said = Said(portal, "ask", f"user:{name}")
        said.until = self._until(said, days)
        self._send(said, "user.provision", user)

    def share(self, number: int, users: list[str], days: int | None) -> None:
        said = Said(OWNERS[number], "share", f"allocation:{number}", users=tuple(users))
        said.until = self._until(said, days)
        self._send(said, "allocation.provision", {"allocation": house.allocation(number, users)})

    def seat(self, number: int, name: str, days: int | None) -> None:
        place = f"allocation:{number}/user:{name}"
        said = Said(OWNERS[number], "seat", place)
        said.until = self._until(said, days)
        self._send(said, "membership.add", house.membership(number, name))

    def unseat(self, number: int, name: str) -> None:
        said = Said(OWNERS[number], "unseat", f"allocation:{number}/user:{name}")
        self._send(said, "membership.remove", house.membership(number, name))

    def suspend(self, writer: str, subject: str, cause: str) -> None:
        cause = IDLE if writer == SERVICE else cause
        self._access(Said(writer, "suspend", subject, cause=cause))

    def resume(self, writer: str, subject: str, cause: str, whose: str) -> None:
        whose = whose if writer == SERVICE else ""
        self._access(Said(writer, "resume", subject, cause=cause, whose=whose))

    def _access(self, said: Said) -> None:
        kind, _, name = said.subject.partition(":")
        body = {"user": {"name": name}} if kind == "user" else {"allocation": {"id": name}}
        whose = {"writer": said.whose} if said.whose else {}
        self._send(said, f"{kind}.{said.verb}", {**body, **whose, "cause": said.cause})

    def later(self, days: int, event: Event) -> None:
        """Ask for something that counts some days later."""
        self._later = days
        try:
            getattr(self, event[0])(*event[1:])
        finally:
            self._later = 0

    def _until(self, said: Said, days: int | None) -> float | None:
        """Return when access ends, and note that its writer said so."""
        key, begins = (said.writer, said.subject), self._in(0)
        if days is None:
            return None
        if days or self._ends.get(key, 0.0) <= begins + house.DAY:
            self._ends[key] = self._in(days or 1)
        return self._ends[key]

    def _in(self, days: int) -> float:
        """Return a time in some days that is no other's, in whole seconds."""
        self._count += 1
        return int(time.time()) + (days + self._later) * house.DAY + 7 * self._count

    def _send(self, said: Said, action: str, body: Mapping[str, object]) -> None:
        said.begins = self._in(0) if self._later else None
        self._numbers[said.writer] += 1
        said.number = self._numbers[said.writer]
        order = {"key": f"k{said.number}", "number": said.number}
        head = {"provisioner": 1, "action": action, "order": order}
        times = {"ends": said.until, "not_before": said.begins}
        document = {**head, **house.written(times), **body}
        told = self.site.send(json.dumps(document), PORTALS.get(said.writer, 0))
        if told.state == "refused":
            raise Mismatch(f"refused: {document}: {told.problems}")
        said.name = told.id
        self._said.append(said)
        if told.state == "scheduled":
            self.oracle.wait(said)
        elif told.state in ("held", "failed"):
            self.oracle.stop(said, told.state)
        else:
            self.oracle.accept(said)

    def steer(self, verb: str, pick: int, own: bool) -> None:
        """Steer one of the latest requests, as root or as its writer; the service says whether that
        is allowed."""
        states = [(said, house.state(self.site, said.name)) for said in self._said]
        fit = [said for said, state in states if state in _FIT[verb]]
        if not fit:
            return
        said = fit[-1 - pick % len(fit)]
        record = house.load(self.site, said.name)
        assert record is not None
        was = record.state
        text = f"provisioner: 1\naction: request.{verb}\nrequest: {said.name}\n"
        text += f"digest: {record.digest}\n" if verb == "release" else ""
        if self.site.send(text, PORTALS.get(said.writer, 0) if own else 0).state != "done":
            return
        self.done[verb] += 1
        state = house.state(self.site, said.name)
        if verb in ("hold", "cancel"):
            # What is given back, or taken away, counts from its acceptance.
            if said.verb not in ("resume", "unseat") or was in ("scheduled", "held"):
                self.oracle.stop(said, {"hold": "held", "cancel": "cancelled"}[verb])
        elif state == "scheduled":
            self.oracle.wait(said)
        elif state in ("held", "refused"):
            self.oracle.stop(said, state)
        elif verb == "release":
            self.oracle.release(said)
        elif state in _GOES_ON and (was == "cancelled" or said not in self.oracle.log):
            said.listed = False  # a retry of what a line asked for lists nobody once more
            self.oracle.accept(said)

    def manifest(
        self,
        portal: str,
        people: Mapping[str, int | None],
        shares: Mapping[int, tuple[list[str], int | None]],
        age: int | None,
    ) -> None:
        """Reconcile with all people and allocations that a portal wants. age: how many of its own
        requests it did not know of, since its last manifest; None: it does not say."""
        since = None
        if age is not None:
            since = max(self._known[portal], self._numbers[portal] - age)
        self._known[portal] = self._numbers[portal]
        wanted: dict[str, tuple[list[str], int | None]] = {
            f"user:{name}": ([], days) for name, days in people.items()
        }
        wanted |= {f"allocation:{number}": some for number, some in shares.items()}
        listed = {
            subject: Said(
                portal,
                "ask" if subject.startswith("user:") else "share",
                subject,
                users=tuple(users),
                until=self._until(Said(portal, "", subject), days),
                listed=True,
            )
            for subject, (users, days) in wanted.items()
        }
        alone = {
            subject: self.oracle.left_alone(portal, subject, since) for subject in subjects(portal)
        }
        lines = list(map(house.line, listed.values()))
        more = "kinds: [user, allocation]\n" + (f"since: {since}\n" if since is not None else "")
        state, followed = self.site.send_manifest(lines, PORTALS[portal], more)
        if state not in ("accepted", "deferred", "done"):
            raise Mismatch(f"a manifest is {state}")
        children = {
            (one.action.partition(".")[2], one.subject): one
            for one in followed
            if not one.name.startswith("ended-")
        }
        for subject, is_alone in alone.items():
            if is_alone:
                if any(about == subject for _, about in children):
                    raise Mismatch(f"a manifest does not leave {subject} alone")
            elif subject in listed:
                self._listed(listed[subject], children.get(("provision", subject)))
            else:
                self._leaves_out(leaves_out(portal, subject), children.get(("suspend", subject)))

    def _leaves_out(self, said: Said, child: Record | None) -> None:
        """Take note of whom a manifest leaves out, and does not leave alone."""
        may_have = child is not None and said.subject in self.oracle.now().murky
        if not may_have and not self.oracle.has_claims(said.subject):
            return
        if child is not None:
            said.name = child.id
            self._said.append(said)
        self.oracle.leave(said)

    def _listed(self, said: Said, child: Record | None) -> None:
        """Take note of a line that a manifest does not leave alone, and what follows from it."""
        if (said.writer, LEFT_OUT) in self.oracle.now().reasons(said.subject):
            self.oracle.accept(Said(said.writer, "back", said.subject))
        if child is not None:
            said.name = child.id
            self._said.append(said)
            if child.state == "held":
                self.oracle.stop(said, "held")
            else:
                self.oracle.accept(said)
        elif not self.oracle.is_as_listed(said):
            raise Mismatch(f"a manifest does not ask for {said.subject}")
        elif said.verb == "ask" and not self.oracle.says_so(said):
            self.oracle.accept(said)

    # What befalls the site.

    def drain(self) -> None:
        self.site.drain()
        away = self.site.world.away
        if not away:
            self.oracle.converge()
        elif away < KINDS.keys():
            self.oracle.begin()

    def away(self, lane: str) -> None:
        """Let a backend be away, or all of them ('')."""
        self.site.world.away.update([lane] if lane else KINDS)

    def back(self) -> None:
        self.site.world.away.clear()

    def restart(self) -> None:
        self.site.restart()

    def rebuild(self) -> None:
        if databases.ON == "sqlite":
            house.lose_journal(self.site)

    def forget(self) -> None:
        """Let retention remove what it may; nobody knows any more what came before the rest."""
        house.forget(self.site)
        self.oracle.begin()

    def day(self, days: float, down: bool = False) -> None:
        """Let days go by; what comes due meanwhile does so one after the other."""
        goal = time.time() + days * house.DAY
        down = down and len(self.oracle.due(goal)) < 2  # several go in turns of their writers
        for moment in [] if down else self.oracle.moments(time.time(), goal):
            self._go(moment + 1)
            self._look()
        self._go(goal)
        if down:
            self.site.restart()

    def _go(self, moment: float) -> None:
        self._clocks.go(max(0.0, moment - time.time()))

    def damage(self, where: float, again: bool) -> None:
        """Let somebody open what is closed, or close what is open, and the service repair that.

        again: they do so once more right after the repair.
        """
        if self.site.world.away:
            return
        if not self._damaged:
            self.site.send(house.BYSTANDER)
        self._damaged = True
        self.drain()
        rows = self.site.world.rows
        key = sorted(rows)[int(where * len(rows))]
        for _ in range(1 + again):
            rows[key]["open"] = not rows[key]["open"]
            self._repaired()
        self._repaired()

    def _repaired(self) -> None:
        self.day(0.05)
        house.repair(self.site)
        self.drain()  # what came due meanwhile was made with the repair

    def end(self) -> None:
        """Retry what failed, and let what differs be repaired: each object within a day, although
        another one of its backend drifts all the time."""
        for said in self._said:
            if self._failed(said):
                self.site.send(f"provisioner: 1\naction: request.retry\nrequest: {said.name}\n")
        self.drain()
        for _ in range(3 if self._damaged else 0):
            self.day(0.5)
            self.drain()
            self.site.world.rows["ad/account/zoe"]["open"] = False
            self._repaired()
            self._repaired()

    # What has to be so.

    def compare(self) -> None:
        """Raise Mismatch if a backend, or what is told, differs from what the oracle says."""
        failed = {said.subject for said in self._said if self._failed(said)}
        wrong = [
            *checks.access(self.site, self.oracle, failed),
            *checks.told(self.site, self.oracle),
        ]
        if wrong:
            raise Mismatch("\n".join(wrong))

    def _failed(self, said: Said) -> bool:
        return said in self.oracle.log and house.state(self.site, said.name) == "failed"


def leaves_out(writer: str, subject: str) -> Said:
    """Return that a manifest leaves out a subject."""
    verb = "left" if subject.startswith("user:") else "suspend"
    return Said(writer, verb, subject, cause=LEFT_OUT)


WALK = Walk("people", draw, play)
