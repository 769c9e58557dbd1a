"""Sequences: what may happen to a site, drawn by a seed, played to the service and to the oracle.

Leaves out: many sequences, and shrinking one that fails (`walks`).
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fault.model.asks import Ask
from tests.fault.model.backends import KINDS
from tests.fault.model.oracle import RETURNS, Oracle, person, project, seat, share
from tests.fault.model.site import Site
from tests.fault.walks import MEMORY, Event, Mismatch, Walk

USERS = ("ann", "bob", "cem", "dan")
CODES = {1: "cf1", 2: "cf1", 3: "cf3"}
"""The project of each allocation: two of them share one."""
ELSEWHERE = "cf4"
"""The project that an allocation moves to, and comes back from."""

_FIT = {
    "hold": ("accepted", "deferred"),
    "cancel": ("accepted", "deferred", "held"),
    "release": ("held",),
    "retry": ("failed", "cancelled"),
}
"""States in which steering is worth the trial."""

RECONCILE = "provisioner: 1\naction: reconcile\n"


def draw(seed: int, length: int = 28) -> list[Event]:
    """Draw a sequence."""
    rng = random.Random(seed)
    return [_event(rng) for _ in range(length)]


def _event(rng: random.Random) -> Event:
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    number, name = rng.choice(list(CODES)), rng.choice(USERS)
    users = sorted(rng.sample(USERS, rng.randint(0, 3)))
    drawn: dict[str, Callable[[], Event]] = {
        "person": lambda: (name, str(rng.randint(1001, 1003))),
        "share": lambda: (number, users, _maybe(rng), _maybe(rng)),
        "move": lambda: (number, users, _maybe(rng), _maybe(rng)),
        "project": lambda: (CODES[number], users),
        "archive": lambda: (CODES[number],),
        "seat": lambda: (number, name),
        "unseat": lambda: (number, name),
        "suspend": lambda: (rng.choice([f"user:{name}", f"allocation:{number}"]),),
        "resume": lambda: (rng.choice([f"user:{name}", f"allocation:{number}"]),),
        "manifest": lambda: (
            [
                (n, sorted(rng.sample(USERS, rng.randint(0, 3))), _maybe(rng), _maybe(rng))
                for n in sorted(rng.sample(list(CODES), rng.randint(1, 3)))
            ],
        ),
        "steer": lambda: (
            rng.choice(["hold", "release", "cancel", "cancel", "retry", "hold", "release"]),
            rng.randint(0, 5),
        ),
        "away": lambda: (rng.choice(list(KINDS)),),
        "damage": lambda: (rng.choice(["remove", "open", "value", "other", "other"]), rng.random()),
    }
    return (kind, *drawn.get(kind, tuple)())


def _maybe(rng: random.Random) -> str:
    """Draw a value, or none, which leaves it out."""
    return str(rng.randint(1, 9)) if rng.random() < 0.6 else ""


WEIGHTS = {
    "person": 4,
    "share": 8,
    "move": 2,
    "project": 2,
    "archive": 1,
    "seat": 3,
    "unseat": 3,
    "suspend": 3,
    "resume": 3,
    "steer": 12,
    "drain": 8,
    "away": 3,
    "back": 3,
    "restart": 1,
    "reconcile": 4,
    "damage": 3,
    "manifest": 3,
}


@contextmanager
def played(events: Sequence[Event]) -> Iterator[Game]:
    """Play a sequence, fix and drain everything, and check everything."""
    where = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="provisioner-model.", dir=where) as top:
        game = Game(Site(Path(top)))
        try:
            for event in [*events, ("back",), ("drain",), ("reconcile",), ("drain",)]:
                game.done[event[0]] += 1
                getattr(game, event[0])(*event[1:])
            yield game
        finally:
            game.site.close()


def play(events: Sequence[Event]) -> Counter[str]:
    """Play a sequence to its end; return counts of what was done in it. Raises Mismatch if a
    backend differs from what the oracle says."""
    with played(events) as game:
        game.compare()
        return game.done


class Game:
    """One sequence under way.

    asks: what was asked for, oldest first; done: how often each thing was done.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.oracle = Oracle()
        self.asks: list[Ask] = []
        self.done: Counter[str] = Counter()

    # What writers and operators ask for.

    def person(self, name: str, uid: str) -> None:
        text = f"action: user.provision\nuser: {{name: {name}, uid: {uid}}}\n"
        self._ask(text, f"user:{name}", person(name, uid))

    def share(self, number: int, users: list[str], quota: str, fair: str) -> None:
        self._share(number, CODES[number], ELSEWHERE, users, quota, fair)

    def move(self, number: int, users: list[str], quota: str, fair: str) -> None:
        """Move an allocation to another project: nobody claims what it had, and it is closed."""
        self._share(number, ELSEWHERE, CODES[number], users, quota, fair)

    def _share(
        self, number: int, code: str, leaves: str, users: list[str], quota: str, fair: str
    ) -> None:
        text = (
            "action: allocation.provision\nallocation:\n"
            f"  {_of(number, code)}\n  users: [{', '.join(users)}]\n"
            f"  storage: {{leaves: {leaves}}}\n"
            + (f"  quota: {{files: {quota}}}\n" if quota else "")
            + (f"  slurm: {{fairshare: {fair}}}\n" if fair else "")
        )
        self._ask(
            text, f"allocation:{number}", share(number, code, users, quota or None, fair or None)
        )

    def project(self, code: str, users: list[str]) -> None:
        text = (
            f"action: project.provision\nproject: {{code: {code}, users: [{', '.join(users)}]}}\n"
        )
        self._ask(text, f"project:{code}", project(code, users))

    def archive(self, code: str) -> None:
        self._ask(f"action: project.archive\nproject: {{code: {code}}}\n", f"project:{code}", None)

    def seat(self, number: int, user: str) -> None:
        self._ask(_member("add", number, user), *_seat(number, user))

    def unseat(self, number: int, user: str) -> None:
        self._ask(_member("remove", number, user), f"allocation:{number}/user:{user}", None)

    def suspend(self, subject: str) -> None:
        ask = Ask(self._send(_access("suspend", subject)), subject, reason="request")
        self.asks.append(ask)
        self.oracle.suspend(ask)

    def resume(self, subject: str) -> None:
        self._send(_access("resume", subject))
        self.oracle.resume(subject, "request")

    def steer(self, verb: str, pick: int) -> None:
        """Steer one of the latest requests; the service decides whether that is allowed."""
        states = [(ask, self.site.state(ask.name)) for ask in self.asks]
        fit = [one for one in states if one[1] in _FIT[verb]] or states
        if not fit:
            return
        ask, was = fit[-1 - pick % len(fit)]
        told = self.site.send(f"provisioner: 1\naction: request.{verb}\nrequest: {ask.name}\n")
        if told.state != "done":
            return
        self.done[verb] += 1
        if verb in ("hold", "cancel"):
            self.oracle.stop(ask)
        elif verb == "release":
            self.oracle.release(ask)
        elif was == "cancelled":
            if ask.reason:
                self.oracle.suspend(ask)
            else:
                self.oracle.accept(ask)
        elif was == "failed":
            self.oracle.again(ask)

    def reconcile(self) -> None:
        self.site.send(RECONCILE)

    def manifest(self, lines: list[tuple[int, list[str], str, str]]) -> None:
        """Reconcile with all allocations that should exist."""
        wanted = {
            f"allocation:{n}": share(n, CODES[n], u, q or None, f or None) for n, u, q, f in lines
        }
        held = {a.subject.partition("/")[0] for a in self.asks if self._is_held(a)}
        gone = {who for who, why in self.oracle.suspended if why == "reconcile"}
        before = {subject: self.oracle.listed(subject, wanted[subject]) for subject in wanted}
        left_out = self.oracle.claimed("allocation") - wanted.keys() - gone - held
        state, followed = self.site.send_manifest([_line(*line) for line in lines])
        assert state not in ("refused", "failed", "held"), state
        asked = {r.subject for r in followed if r.action == "allocation.provision"}
        expected = {s for s, same in before.items() if not same and s not in held}
        self._same("a manifest asks for", asked, expected)
        suspended = {r.subject for r in followed if r.action == "allocation.suspend"}
        self._same("a manifest suspends", suspended, left_out if lines else set())
        resumed = {r.subject for r in followed if r.action == "allocation.resume"}
        self._same("a manifest resumes", resumed, gone & wanted.keys() - held)
        for order in followed:
            ask = Ask(order.id, order.subject)
            if order.action == "allocation.resume":
                self.oracle.resume(order.subject, "reconcile")
                continue
            self.asks.append(ask)
            if order.action == "allocation.suspend":
                ask.reason = "reconcile"
                self.oracle.suspend(ask)
            else:
                ask.parts = wanted[order.subject]
                self.oracle.accept(ask)

    def _is_held(self, ask: Ask) -> bool:
        return self.site.state(ask.name) == "held"

    def _same(self, what: str, found: set[str], expected: set[str]) -> None:
        if found != expected:
            raise Mismatch(f"{what} {sorted(found)}, the oracle says {sorted(expected)}")

    # What befalls the site.

    def drain(self) -> None:
        self.site.drain()
        self.oracle.converge()
        for key, row in self.site.world.rows.items():
            if not row["open"]:
                self.oracle.stays_closed(key, row["value"])

    def away(self, lane: str) -> None:
        self.site.world.away.add(lane)
        self.oracle.away.add(lane)

    def back(self) -> None:
        self.site.world.away.clear()
        self.oracle.away.clear()

    def restart(self) -> None:
        self.site.restart()

    def damage(self, how: str, where: float) -> None:
        """Damage one object behind the service's back, and let the service check everything."""
        self.back()
        self.drain()
        rows = self.site.world.rows
        # What nobody wants to have a certain value, nobody mends: what another sets there stays.
        fit: dict[str, Callable[[str], bool]] = {
            "value": self.oracle.names,
            "other": lambda key: key.startswith(RETURNS) and self.oracle.left_out(key),
        }
        whole = sorted(key for key in rows if rows[key]["open"] and fit.get(how, bool)(key))
        if not whole:
            return
        key = whole[int(where * len(whole))]
        if how == "remove":
            del rows[key]
            # What is made anew has nothing of what another had set there.
            del self.oracle.rows[key]
        elif how == "open":
            rows[key]["open"] = False
        elif how == "other":
            rows[key]["value"] = "88"
            self.oracle.rows[key] = (True, "88")
        else:
            rows[key]["value"] = "0"
        self.reconcile()
        self.drain()

    # What has to be so.

    def compare(self) -> None:
        """Raise Mismatch if a backend differs from what the oracle says."""
        is_there = {k: (row["open"], row["value"]) for k, row in self.site.world.rows.items()}
        wrong = [
            f"{key}: the oracle says {self.oracle.rows.get(key)}, there is {is_there.get(key)}"
            for key in sorted(is_there.keys() | self.oracle.rows.keys())
            if is_there.get(key) != self.oracle.rows.get(key)
        ]
        if wrong:
            raise Mismatch("\n".join(wrong))

    def _send(self, text: str) -> str:
        told = self.site.send("provisioner: 1\n" + text)
        assert told.state != "refused", (text, told.problems)
        return told.id

    def _ask(self, text: str, subject: str, parts: Any) -> None:
        ask = Ask(self._send(text), subject, parts or {}, removes=parts is None)
        self.asks.append(ask)
        self.oracle.accept(ask)


def _of(number: int, code: str) -> str:
    return f"id: {number}\n  resource: one\n  project: {{code: {code}}}"


def _line(number: int, users: list[str], quota: str, fair: str) -> str:
    body = {
        "id": str(number),
        "resource": "one",
        "project": {"code": CODES[number]},
        "users": users,
        "storage": {"leaves": ELSEWHERE},
        **({"quota": {"files": quota}} if quota else {}),
        **({"slurm": {"fairshare": fair}} if fair else {}),
    }
    return json.dumps({"action": "allocation.provision", "allocation": body})


def _seat(number: int, user: str) -> tuple[str, Any]:
    return f"allocation:{number}/user:{user}", seat(number, CODES[number], user)


def _member(verb: str, number: int, user: str) -> str:
    code = CODES[number]
    return (
        f"action: membership.{verb}\nmembership:\n  user: {user}\n"
        f"  allocation: {{id: {number}, resource: one, project: {{code: {code}}}}}\n"
    )


def _access(verb: str, subject: str) -> str:
    kind, _, name = subject.partition(":")
    if kind == "user":
        return f"action: user.{verb}\nuser: {{name: {name}}}\n"
    code = CODES[int(name)]
    body = f"{{id: {name}, resource: one, project: {{code: {code}}}}}"
    return f"action: allocation.{verb}\nallocation: {body}\n"


WALK = Walk("model", draw, play)
