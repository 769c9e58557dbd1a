"""The oracle: who has access, and why, told from the list of what was said alone.

Promises: it imports nothing of the service, and keeps no state but that list. Each time it asks
again, of every saying in the order of acceptance, what it means, and leaves out those that were
held or cancelled. Leaves out: what is made of a request that was stopped when a part of it was made
(`model`). The rules, as docs/request-format.md and docs/adr (3, 42, 51) tell them:
- a writer asks for a person by a request, or by a line of a manifest, until its manifest leaves
  them out; the last one who does closes them;
- a manifest leaves alone whom nobody else asks for, and another writer has in an allocation;
- who was left out is open again when another writer asks, or the same one's manifest lists them;
- a suspension is a writer's, for a cause, and is lifted by name; access is back when none is left;
- an allocation has its users as its newest request says, and as members were added and removed
  since;
- a person's access ends at the last date of all who ask for them, and never while one of them asks
  without; any other's when the newest request says; nothing that has ended opens by a date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

GIVING = ("ask", "share", "seat")
LEFT_OUT, ENDED, IDLE, SERVICE = "reconcile", "ended", "idle", "root"


@dataclass(eq=False)
class Said:
    """One thing that a writer said of a subject.

    name: the request that said it, '' if it was a manifest's line and no request followed; number:
    the writer's own, 0 if it followed from a manifest; until: when access ends, None for never;
    whose: the writer whose suspension a resume lifts; listed: by a manifest; state: as the service
    told it, `open` unless it was stopped; begins: it waits for this time; followed: its date has
    come and the access was ended, or it closed a person; made: what could be made of it was made.
    """

    writer: str
    verb: str
    subject: str
    name: str = ""
    number: int = 0
    users: tuple[str, ...] = ()
    until: float | None = None
    cause: str = "request"
    whose: str = ""
    listed: bool = False
    state: str = "open"
    begins: float | None = None
    followed: bool = False
    made: bool = False

    @property
    def root(self) -> str:
        """The subject that is or has it."""
        return self.subject.partition("/")[0]


Reason = tuple[str, str]
"""Who suspended somebody, and for what cause."""


@dataclass
class Standing:
    """How everything stands.

    asks: by person and writer, by what they ask for the person; None after they left them out;
    asked: the last of these that was no None; had: by person, whose request was the last; out: by
    person, who left them out last; suspended: by subject; shares: by allocation, what it was asked
    for by; seats: by allocation and user, by what they have their place; murky: subjects whose
    request was stopped when a part of it was made, or when what came before it was forgotten:
    `model` is about these.
    """

    asks: dict[str, dict[str, Said | None]] = field(default_factory=dict)
    asked: dict[tuple[str, str], Said] = field(default_factory=dict)
    had: dict[str, str] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)
    suspended: dict[str, set[Reason]] = field(default_factory=dict)
    shares: dict[str, Said] = field(default_factory=dict)
    seats: dict[str, dict[str, Said]] = field(default_factory=dict)
    murky: set[str] = field(default_factory=set)

    def say(self, sayings: Iterable[Said]) -> Standing:
        """Take in what was said, oldest first."""
        for said in sayings:
            getattr(self, said.verb)(said)
        return self

    # Persons.

    def ask(self, said: Said) -> None:
        """A writer asks for a person, by a request or by a line of a manifest."""
        self.murky.discard(said.subject)
        if said.subject in self.out and (said.listed or self.out[said.subject] != said.writer):
            del self.out[said.subject]
        self.asks.setdefault(said.subject, {})[said.writer] = said
        self.asked[said.subject, said.writer] = said
        if said.name:
            self.had[said.subject] = said.writer

    def left(self, said: Said) -> None:
        """A writer's manifest leaves a person out."""
        asks = self.asks.setdefault(said.subject, {})
        if said.followed:
            self.out.setdefault(said.subject, said.writer)
        if said.subject in self.out:
            asks[said.writer] = None if said.followed else asks.get(said.writer)
            return
        has = self.had.get(said.subject) == said.writer and not any(asks.values())
        if asks.get(said.writer) is None and not has:
            return
        asks[said.writer] = None
        if not any(asks.values()):
            self.out[said.subject] = said.writer

    def is_left_alone(self, said: Said) -> bool:
        """Return True if a manifest leaves alone whom it leaves out: only its writer asks for them,
        and another one has them in an allocation."""
        asks, user = self.asks.get(said.subject, {}), _user(said)
        placed = [some[user] for some in self.seats.values() if user in some]
        others = any(asks[writer] for writer in asks.keys() - {said.writer})
        return not others and any(seat.writer != said.writer for seat in placed)

    def back(self, said: Said) -> None:
        """A writer no longer leaves a subject out."""
        subject, writer = said.subject, said.whose or said.writer
        self.suspended.get(subject, set()).discard((writer, LEFT_OUT))
        if subject in self.asks and self.out.get(subject, writer) == writer:
            self.out.pop(subject, None)
            before = self.asked.get((subject, writer))
            # A line of a manifest that led to no request is over when a later one leaves it out.
            if self.asks[subject].get(writer) is None and before is not None and before.name:
                self.asks[subject][writer] = before

    # Whoever.

    def suspend(self, said: Said) -> None:
        """A writer suspends a subject for a cause."""
        self.suspended.setdefault(said.subject, set()).add((said.writer, said.cause))

    def resume(self, said: Said) -> None:
        """A writer lifts a suspension: its own, or else one that is not a writer's decision."""
        reasons, own = self.reasons(said.subject), (said.whose or said.writer, said.cause)
        if said.cause == LEFT_OUT and (own in reasons or not reasons):
            self.back(said)
        standing = self.suspended.get(said.subject, set())
        others = {
            reason
            for reason in standing
            if reason == (SERVICE, IDLE) == (SERVICE, said.cause)
            or reason[1] == ENDED == said.cause
        }
        standing -= {own} if own in standing else others

    # Allocations.

    def share(self, said: Said) -> None:
        """A writer states an allocation with its users."""
        self.murky.discard(said.subject)
        self.shares[said.subject] = said
        self.seats[said.subject] = dict.fromkeys(said.users, said)

    def seat(self, said: Said) -> None:
        """A writer adds a user to an allocation."""
        self.seats.setdefault(said.root, {})[_user(said)] = said

    def unseat(self, said: Said) -> None:
        """A writer removes a user from an allocation, or a date does."""
        self.seats.get(said.root, {}).pop(_user(said), None)

    def stopped(self, said: Said) -> None:
        """What a writer asked for was stopped, when a part of it was made."""
        self.murky.add(said.root)

    # What follows from it.

    def reasons(self, subject: str) -> set[Reason]:
        """Return why a subject is closed."""
        out = {(self.out[subject], LEFT_OUT)} if subject in self.out else set()
        return self.suspended.get(subject, set()) | out

    def is_in(self, allocation: str, user: str) -> bool:
        """Return True if a user has a place in an allocation, and nothing keeps them out."""
        subjects = (allocation, f"user:{user}", f"{allocation}/user:{user}")
        return user in self.seats.get(allocation, {}) and not any(map(self.reasons, subjects))

    def dates(self) -> dict[str, Said]:
        """Return by what access ends, for each subject with a date in force, followed or not."""
        found = {}
        for person, by_writer in self.asks.items():
            out = self.out.get(person)  # by a retry also while another writer asks
            asking = [said for who, said in by_writer.items() if said is not None and who != out]
            until = {said: said.until for said in asking if said.until is not None}
            if until and len(until) == len(asking):
                found[person] = max(until, key=lambda said: until[said])
        for allocation, said in self.shares.items():
            found |= {allocation: said} if said.until is not None else {}
        for some in self.seats.values():
            own = (said for said in some.values() if said.verb == "seat")
            found |= {said.subject: said for said in own if said.until is not None}
        return found


def _user(said: Said) -> str:
    return said.subject.rpartition(":")[2]


class Oracle:
    """What was said, and what has to be so."""

    def __init__(self) -> None:
        self.log: list[Said] = []
        self.waiting: list[Said] = []
        self.stopped: list[Said] = []
        self.made: set[str] = set()
        self.unclear: set[str] = set()

    # What is said.

    def accept(self, said: Said) -> None:
        """Accept what was said: it counts after all that was accepted before."""
        self._take(said)
        said.state, said.made = "open", False
        self.log.append(said)

    def leave(self, said: Said) -> None:
        """Take note that a manifest leaves out a subject. Whom it closes stays closed, and whom it
        leaves alone is left alone, whatever becomes of what they were asked for by."""
        now = self.now()
        if said.verb == "left" and any(name.startswith("allocation:") for name in now.murky):
            self.unclear.add(said.subject)  # another writer may have them in one
        if said.verb == "left" and now.is_left_alone(said):
            return
        asks = now.asks.get(said.subject, {}).get(said.writer)
        if not said.name and not asks and (said.writer, LEFT_OUT) in now.reasons(said.subject):
            return  # They are closed by what it said before: whoever cancels that opens them. If it
            # has asked since, this is what it says last, also once another writer opens them.
        self.accept(said)
        # What a request has made that was stopped is its writer's still, and asked for by nobody:
        # only the service knows whether there is any, and then closes it.
        said.followed = bool(said.name) and said.subject in now.murky
        said.followed |= self.now().out.get(said.subject) == said.writer

    def wait(self, said: Said) -> None:
        """Take note of what counts from a time on."""
        self._take(said)
        said.state = "scheduled"
        self.waiting.append(said)

    def stop(self, said: Said, state: str) -> None:
        """Hold or cancel what was said. It keeps its place in the list."""
        said.state = state
        if said.made and said.verb in ("share", "seat"):
            self.unclear.add(said.root)
        self.waiting = [one for one in self.waiting if one is not said]
        if said not in self.log and said not in self.stopped:
            self.stopped.append(said)

    def release(self, said: Said) -> None:
        """Let go on what was held.

        A person is asked for anew, unless the same writer has asked for them, or closed them,
        since; else what was said since comes after it.
        """
        since = self.log[self.log.index(said) + 1 :] if said in self.log else []
        own = [one for one in since if self._is_newer(one, said)]
        if said in self.log and (said.verb != "ask" or own):
            said.state = "open"
        else:
            self.accept(said)

    def _is_newer(self, one: Said, said: Said) -> bool:
        own = (one.subject, one.writer, one.state) == (said.subject, said.writer, "open")
        return own and (one.verb == "ask" or (one.verb == "left" and one.followed))

    def _take(self, said: Said) -> None:
        self.waiting = [one for one in self.waiting if one is not said]
        self.log = [one for one in self.log if one is not said]
        self.stopped = [one for one in self.stopped if one is not said]

    def due(self, now: float) -> list[Said]:
        """List what has waited for its time, in its order."""
        return sorted((s for s in self.waiting if _begins(s) <= now), key=_begins)

    def end(self, now: float) -> list[Said]:
        """End the access whose date has come; return what follows from it."""
        before = len(self.log)
        for subject, said in self.now().dates().items():
            if said.until is not None and said.until <= now and not said.followed:
                said.followed = True
                verb = "unseat" if "/" in subject else "suspend"
                self.log.append(Said(said.writer, verb, subject, cause=ENDED))
        return self.log[before:]

    def begin(self) -> None:
        """Take note that a part of what is asked for may be made."""
        for said in self._counting():
            said.made = True

    def converge(self) -> None:
        """Take note of the people and allocations that exist by now."""
        now = self.now()
        self.begin()
        for said in self._counting():
            if said.verb in ("ask", "share") and said.name and not now.reasons(said.subject):
                self.made.add(said.subject)

    # What follows from it.

    def _counting(self) -> list[Said]:
        return [said for said in self.log if said.state == "open"]

    def now(self) -> Standing:
        """Return how everything stands."""
        now = Standing().say(
            said if said.state == "open" else replace(said, verb="stopped")
            for said in self.log
            if said.state == "open" or (said.made and said.verb in GIVING)
        )
        now.murky |= self.unclear
        return now

    def _asked_for(self, person: str) -> bool:
        """Return True if a request asks for a person's account."""
        return any(
            said.verb == "ask" and said.name and said.subject == person for said in self._counting()
        )

    def left_alone(self, writer: str, subject: str, since: int | None) -> bool:
        """Return True if a manifest leaves a subject alone, as its writer asked for it since.

        since: the number that the writer had reached when it read what the manifest says; None: it
        does not say.
        """
        own = [
            said
            for said in (*self.log, *self.waiting, *self.stopped)
            if (said.writer, said.root) == (writer, subject)
        ]
        later = [said for said in own if since is not None and said.number > since]
        spoke = [said for said in later if said.state not in ("cancelled", "refused")]
        return bool(spoke) or any(said.state == "held" for said in own)

    def is_as_listed(self, said: Said) -> bool:
        """Return True if nothing need follow from a line of a manifest."""
        now, subject = self.now(), said.subject
        if said.verb == "ask":
            asked_for = self._asked_for(subject) and subject not in now.out
            return asked_for or subject in self.unclear
        if subject in now.murky:
            return True
        share, seats = now.shares.get(subject), now.seats.get(subject, {})
        dated = [one for one in seats.values() if one is not share and one.until is not None]
        same = share is not None and share.until == said.until and set(seats) == set(said.users)
        return same and not dated

    def says_so(self, said: Said) -> bool:
        """Return True if a writer asks for a person already, until the same time."""
        before = self.now().asks.get(said.subject, {}).get(said.writer)
        return before is not None and before.until == said.until

    def has_claims(self, subject: str) -> bool:
        """Return True if a request asks for something of a subject, or has made it."""
        now = self.now()
        made = subject in self.made or subject in now.shares or bool(now.seats.get(subject))
        return made or self._asked_for(subject)

    def moments(self, now: float, until: float) -> list[float]:
        """List when something comes due, until a time."""
        dates = [said.until for said in self.log if said.until is not None]
        due = [*dates, *map(_begins, self.waiting)]
        return sorted(moment for moment in due if now < moment <= until)

    def has_account(self, person: str) -> bool:
        """Return True if a person's account is open."""
        return person in self.made and not self.now().reasons(person)

    def has_place(self, allocation: str, user: str) -> bool:
        """Return True if a user has access by an allocation."""
        return self.made >= {allocation, f"user:{user}"} and self.now().is_in(allocation, user)

    def closed_in(self, said: Said) -> dict[str, str]:
        """Return what a receipt says of users who are closed: the causes that its reader knows."""
        now = self.now()
        found: dict[str, str] = {}
        seats = now.seats[said.subject]
        for user in (user for user in said.users if seats.get(user) is said):
            whole = {"others" for who, _ in now.reasons(said.subject) if who != said.writer}
            causes = whole | {
                cause if who == said.writer else "others"
                for who, cause in now.reasons(f"user:{user}")
            }
            found |= {user: ", ".join(sorted(causes))} if causes else {}
        return found


def _begins(said: Said) -> float:
    return said.begins or 0.0
