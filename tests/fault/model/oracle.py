"""The oracle: what has to be in each backend, told from the list of what was asked for alone.

Promises: it imports nothing of the service. It keeps no ledger: each time it asks again, of every
request in the order of acceptance, what it says of each claim, and leaves out those that were held
or cancelled before they made it. Leaves out: outcomes, results and files.

The rules, as docs/cli.md and docs/adr tell them:
- a request replaces what its subject claims, and its claims count when what they need is done;
- what it made stays its own, and what it did not make counts while it is neither held nor
  cancelled;
- what it takes away stays so, but for what nobody ever had and an open request waits for;
- a removal, a suspension and a resume count from their acceptance;
- an object is open while a claim on it is not suspended, and as the largest of those wants it;
- one that only waiting claims have stays as it is, and is closed once all of these are suspended;
- where none of those wants a value any more, one that is as it was set goes back to what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.fault.model.asks import Ask, Pair, Part

CLOSED, OPEN = False, True

Row = tuple[bool, str | None]
"""An object that is there: whether it is open, and its value."""

RETURNS = ("fs/fileset/", "slurm/account/")
"""Objects whose value goes back when nobody names one any more."""


@dataclass
class Setting:
    """The value that was set on an object, and the earlier one."""

    ours: str | None
    before: str | None


class Oracle:
    """What was asked for, and what must exist."""

    def __init__(self) -> None:
        self.log: list[Ask] = []
        self.rows: dict[str, Row] = {}
        self.had: set[str] = set()
        self.settings: dict[str, Setting] = {}
        self.away: set[str] = set()
        self.suspended: dict[tuple[str, str], str] = {}
        self._suspends: list[Ask] = []
        self._clock = 0

    # What is asked for.

    def accept(self, ask: Ask) -> None:
        """Accept a request; one that comes again comes last."""
        self._clock += 1
        if ask in self.log:
            self.log.remove(ask)
            for part in ask.parts.values():
                part.over = part.failed = False
                part.begun = part.begun if part.made else 0
        ask.running, ask.accepted = True, self._clock
        ask.missed = self._leaves_out(ask, self.log)
        self.log.append(ask)
        self._begin()

    def suspend(self, ask: Ask) -> None:
        """Accept a suspension; a second one for the same reason stands in for the first one."""
        self._suspends.append(ask)
        self.suspended.setdefault((ask.subject, ask.reason), ask.name)

    def resume(self, subject: str, cause: str) -> None:
        """Accept a resume."""
        self.suspended.pop((subject, cause), None)
        self._suspends = [a for a in self._suspends if (a.subject, a.reason) != (subject, cause)]

    def stop(self, ask: Ask) -> None:
        """Hold or cancel a request. Who lost something by it does not get what had not begun."""
        ask.running = False
        ask.taken -= {pair for pair in ask.taken if self._waits(pair, ask)}
        lost = {claimant for _, claimant in ask.taken}
        ask.taken |= {pair for pair in ask.missed if pair[1] in lost and self._value(pair) is None}
        self._suspends = [another for another in self._suspends if another is not ask]
        for reason, who in list(self.suspended.items()):
            if who == ask.name:
                others = [a.name for a in self._suspends if (a.subject, a.reason) == reason]
                self.suspended.pop(reason)
                if others:
                    self.suspended[reason] = others[-1]

    def _waits(self, pair: Pair, taken_by: Ask) -> bool:
        """Return True if an open request waits for what nobody ever had, and no newer one says
        something about it."""
        later = self.log[self.log.index(taken_by) + 1 :] if taken_by in self.log else []
        if any(pair in ask.parts or _within(pair[1], ask.subject) for ask in later):
            return False
        said = [ask for ask in self.log if ask.running and pair in ask.parts]
        return pair[0] not in self.had and any(_awaits(ask, pair) for ask in said)

    def release(self, ask: Ask) -> None:
        """Let a held request go on."""
        ask.missed |= self._leaves_out(ask, self.log[: self.log.index(ask)])
        ask.running = True
        self.again(ask)

    def _leaves_out(self, ask: Ask, earlier: Sequence[Ask]) -> set[Pair]:
        """Return what an earlier request has claimed, and this one does not list."""
        mine = {p for p in self._pairs() if _within(p[1], ask.subject)} - ask.parts.keys()
        return {pair for pair in mine if self._owner(pair) in earlier}

    def again(self, ask: Ask) -> None:
        """Try again what a request has not made, after the part that it takes its values from."""
        late = {part.late for part in ask.parts.values() if not part.made} - self.rows.keys()
        for pair, part in ask.parts.items():
            part.over = part.over and pair[0] not in late
        for part in ask.parts.values():
            part.failed = False
            if not part.made:
                part.begun, part.over = 0, False
        self._begin()

    def listed(self, subject: str, parts: dict[Pair, Part]) -> bool:
        """Return True if the claims of a subject are those that a manifest lists."""
        mine = {p: who for p in self._pairs() if _within(p[1], subject) and (who := self._owner(p))}
        if mine.keys() != parts.keys():
            return False
        values = {pair: self._value(pair) for pair in mine}
        # What waits for a request that is over waits for ever, unless it is requested.
        waits = all(
            value is not None or (mine[pair].running and not mine[pair].ended())
            for pair, value in values.items()
        )
        same = all(
            self._asked(mine[pair], pair, subject, value) in (None, (parts[pair].value,))
            for pair, value in values.items()
            if parts[pair].known
        )
        return waits and same

    def _asked(
        self, owner: Ask, pair: Pair, subject: str, value: tuple[str | None] | None
    ) -> tuple[str | None] | None:
        """Return what is asked for: of an open request what it says, whatever it has begun."""
        if not owner.running or owner.ended():
            return value
        return (owner.parts[pair].value,) if owner.subject == subject else None

    def claimed(self, kind: str) -> set[str]:
        """Return the subjects of a kind with claims."""
        roots = {pair[1].partition("/")[0] for pair in self._pairs() if self._owner(pair)}
        return {root for root in roots if root.startswith(kind + ":")}

    def left_out(self, key: str) -> bool:
        """Return True if an object is open, and nobody names a value of it."""
        wanted = self._wanted(key)
        return wanted is not None and wanted[1] == (OPEN, None)

    def names(self, key: str) -> bool:
        """Return True if somebody names a value of an object."""
        wanted = self._wanted(key)
        return wanted is not None and wanted[1][1] is not None

    # What is wanted.

    def _pairs(self) -> set[Pair]:
        return {pair for ask in self.log for pair in ask.parts}

    def _said(self, pair: Pair) -> Iterator[Ask]:
        """Yield the requests that say something about a claim that counts, oldest first."""
        for ask in self.log:
            speaks = pair in ask.parts or _within(pair[1], ask.subject)
            if speaks and ask.counts(pair):
                yield ask

    def _owner(self, pair: Pair) -> Ask | None:
        said = list(self._said(pair))
        return said[-1] if said and pair in said[-1].parts else None

    def _value(self, pair: Pair) -> tuple[str | None] | None:
        """Return what is wanted for a claim; None: it counts for nobody."""
        later: list[int] = []
        for ask in reversed(list(self._said(pair))):
            part = ask.parts.get(pair)
            if part is None:
                return None
            if part.begun and all(accepted > part.begun for accepted in later):
                return (part.value,)
            later.append(ask.accepted)
        return None

    def _closed(self, claimant: str) -> bool:
        root, _, leaf = claimant.partition("/")
        return any(subject in (root, leaf, claimant) for subject, _ in self.suspended)

    def _wanted(self, key: str) -> tuple[bool, Row] | None:
        """Return whether an object is claimed, and as what; None: it stays unchanged."""
        owned = [pair for pair in self._pairs() if pair[0] == key and self._owner(pair)]
        claimed = {p[1]: value for p in owned if (value := self._value(p)) is not None}
        if owned and not claimed:
            # Who is suspended has no access, whatever waits.
            return (False, (CLOSED, None)) if all(self._closed(c) for _, c in owned) else None
        live = [value for claimant, (value,) in claimed.items() if not self._closed(claimant)]
        values = [value for value in live if value is not None]
        return bool(claimed), (bool(live), max(values, default=None))

    # What is made.

    def converge(self) -> None:
        """Make everything that can be made, until nothing more can."""
        while True:
            before = dict(self.rows), self._marks()
            for key in sorted({key for key, _ in self._pairs()}):
                # Where only waiting steps claim it, there is nothing to look at, away or not.
                looks = self._wanted(key) is not None
                if looks and self._backend(key) in self.away:
                    continue
                if self._make(key):
                    if key in self.rows:
                        self.had.add(key)
                    self._settle(key)
                else:
                    self._take(key)
            self._begin()
            if before == (self.rows, self._marks()):
                return

    def stays_closed(self, key: str, value: str | None) -> None:
        """Take note that an object is there, closed, if a suspended claim may keep it so.

        A member who is left out of one allocation, and waits suspended in another, is taken out or
        stays closed: whichever claim the lane comes upon first. Nobody has access by either.
        """
        owners = [pair[1] for pair in self._pairs() if pair[0] == key and self._owner(pair)]
        if key not in self.rows and owners and all(map(self._closed, owners)):
            self.rows[key] = (CLOSED, value)

    def _marks(self) -> list[tuple[bool, bool, bool]]:
        return [(bool(p.begun), p.over, p.made) for a in self.log for p in a.parts.values()]

    def _backend(self, key: str) -> str:
        return key.partition("/")[0]

    def _make(self, key: str) -> bool:
        """Make one object as it is wanted; return False if it is not ready."""
        wanted = self._wanted(key)
        if wanted is None:
            return True
        claimed, (is_open, value) = wanted
        now = self.rows.get(key)
        if key.startswith("nss/"):
            return not is_open or f"lds/account/{key.split('/')[2]}" in self.rows
        if not claimed and key.split("/")[1] in ("member", "assoc"):
            self.rows.pop(key, None)
        elif now is None and is_open:
            if not all(other in self.rows for other in _needs(key)):
                return False
            self.settings.pop(key, None)
            self.rows[key] = (OPEN, self._set(key, value, None))
        elif now is not None:
            self.rows[key] = (is_open, self._set(key, value, now[1]) if is_open else now[1])
        return True

    def _set(self, key: str, value: str | None, now: str | None) -> str | None:
        """Return the value of an open object, and remember what is ours of it."""
        if not key.startswith(RETURNS):
            return now if value is None else value
        if value is not None:
            known = self.settings.setdefault(key, Setting(value, now))
            known.ours = value
            return value
        known = self.settings.pop(key, Setting(None, None))
        return known.before if now == known.ours else now

    def _settle(self, key: str) -> None:
        """Mark an object as wanted for all parts that wait for it."""
        unbound = self._wanted(key) is None
        for ask in self.log:
            if not ask.running:
                continue
            ask.taken |= {pair for pair in ask.missed if pair[0] == key}
            for pair, part in ask.parts.items():
                if pair[0] == key and part.begun and not part.over:
                    part.over = True
                    part.made = not unbound and self._owner(pair) is ask
                    last = list(self._said(pair))[-1]
                    if pair not in last.parts:
                        # It is left out by that one, and by now nobody has it.
                        last.taken.add(pair)

    def _take(self, key: str) -> None:
        """Note that claims on an object are gone that is not ready, as others wait for it."""
        for ask in self.log:
            if ask.running:
                ask.taken |= {pair for pair in ask.missed if pair[0] == key}

    def _begin(self) -> None:
        """Begin the parts of requests whose needs are over."""
        for ask in self.log:
            over = {pair[0] for pair, part in ask.parts.items() if part.over}
            for part in ask.parts.values():
                waits = ask.running and not part.begun and not part.failed
                if waits and over.issuperset(part.after):
                    part.failed = bool(part.late) and part.late not in self.rows
                    if part.failed:
                        continue
                    if part.takes:
                        part.value = self.rows[part.late][1]
                    self._clock += 1
                    part.begun = self._clock


def _awaits(ask: Ask, pair: Pair) -> bool:
    """Return True if a part of a request is not over, or one that begins after it is not."""
    if not ask.parts[pair].over:
        return True
    later = [part for part in ask.parts.values() if pair[0] in part.after]
    return not ask.ended() and any(not part.over for part in later)


def _within(claimant: str, subject: str) -> bool:
    return claimant == subject or claimant.startswith(subject + "/")


def _needs(key: str) -> tuple[str, ...]:
    backend, kind, *names = key.split("/")
    if backend == "lds":
        return (f"ad/account/{names[0]}",)
    if kind == "member":
        return (f"groups/group/{names[0]}", f"ad/account/{names[1]}")
    if kind == "assoc":
        return (f"slurm/account/{names[0]}", f"lds/account/{names[1]}")
    return ()


# What requests of each kind ask for.


def person(name: str, uid: str) -> dict[Pair, Part]:
    """Return the parts of a user."""
    subject, ad, lds = f"user:{name}", f"ad/account/{name}", f"lds/account/{name}"
    return {
        (ad, subject): Part(uid),
        (lds, subject): Part(None, (ad,), ad, takes=True, known=False),
        (f"nss/resolves/{name}", subject): Part(None, (ad, lds), known=False),
        (f"home/home/{name}", subject): Part(None, (ad, lds), ad, takes=True, known=False),
    }


def project(code: str, users: list[str]) -> dict[Pair, Part]:
    """Return the parts of a project: its group, and its members."""
    root, group = f"project:{code}", f"groups/group/{code}"
    parts = {(group, root): Part(None)}
    for user in users:
        parts[f"groups/member/{code}/{user}", f"{root}/user:{user}"] = Part(None, (group,))
    return parts


def share(
    number: int, code: str, users: list[str], quota: str | None, fair: str | None
) -> dict[Pair, Part]:
    """Return the parts of an allocation. quota, fair: None leaves it out."""
    root, group, account = f"allocation:{number}", f"groups/group/{code}", f"slurm/account/{code}"
    parts = {
        (group, root): Part(None),
        (f"fs/fileset/{code}", root): Part(quota, (group,), late=group),
        (account, root): Part(fair),
    }
    for user in users:
        parts |= seat(number, code, user, (group,), (account,))
    return parts


def seat(
    number: int,
    code: str,
    user: str,
    group: tuple[str, ...] = (),
    account: tuple[str, ...] = (),
) -> dict[Pair, Part]:
    """Return the parts of one user in an allocation. group, account: what these begin after."""
    claimant, gate = f"allocation:{number}/user:{user}", f"nss/resolves/{user}"
    return {
        (f"groups/member/{code}/{user}", claimant): Part(None, group),
        (gate, claimant): Part(None),
        (f"slurm/assoc/{code}/{user}", claimant): Part(None, (gate, *account)),
    }
