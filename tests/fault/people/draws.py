"""Draws: what may happen to people whom two portals share, as plain data, by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from tests.fault.model.backends import KINDS
from tests.fault.people.oracle import IDLE, LEFT_OUT, SERVICE
from tests.fault.walks import Event

PORTALS = {"uid-4711": 4711, "uid-4712": 4712, "uid-4713": 4713}
"""What the third one asks for of persons waits for a review."""
OWNERS = {1: "uid-4711", 2: "uid-4712"}
"""The portal of each allocation."""
USERS = {"ann": 1001, "bob": 1002, "cem": 1003}
CAUSES = ("request", "leave", "ended", LEFT_OUT, IDLE)

WEIGHTS = {
    "ask": 9,
    "share": 5,
    "seat": 3,
    "unseat": 2,
    "suspend": 3,
    "resume": 5,
    "manifest": 12,
    "later": 3,
    "steer": 8,
    "drain": 6,
    "away": 3,
    "back": 2,
    "restart": 1,
    "rebuild": 1,
    "forget": 1,
    "day": 6,
    "damage": 2,
}


def draw(seed: int, length: int = 24) -> list[Event]:
    """Draw a sequence."""
    rng = random.Random(seed)
    return [_event(rng, WEIGHTS) for _ in range(length)]


def _event(rng: random.Random, weights: Mapping[str, int]) -> Event:
    kind = rng.choices(list(weights), list(weights.values()))[0]
    portal, name, number = (rng.choice(list(some)) for some in (PORTALS, USERS, OWNERS))
    people = sorted(rng.sample(list(USERS), rng.randint(0, 3)))
    whom = rng.choice([f"user:{name}", f"user:{name}", f"allocation:{number}"])
    drawn: dict[str, Callable[[], Event]] = {
        "ask": lambda: (rng.choice([portal] * 9 + [SERVICE]), name, _days(rng)),
        "share": lambda: (number, people, _days(rng)),
        "seat": lambda: (number, name, _days(rng)),
        "unseat": lambda: (number, name),
        "suspend": lambda: (
            rng.choice([portal, portal, SERVICE]),
            whom,
            rng.choice(["request", "leave"] if whom.startswith("user:") else ["request", LEFT_OUT]),
        ),
        "resume": lambda: (
            rng.choice([portal, portal, SERVICE]),
            whom,
            rng.choice(CAUSES),
            rng.choice(list(PORTALS)),
        ),
        "manifest": lambda: (
            portal,
            {one: _days(rng) for one in people},
            {n: _list(rng) for n in OWNERS if OWNERS[n] == portal and rng.random() < 0.7},
            rng.choice([None, 0, 0, 1, 2]),
        ),
        "later": lambda: (rng.randint(1, 6), _event(rng, _LATER)),
        "steer": lambda: (
            rng.choice(["hold", "release", "cancel", "retry", "release", "cancel"]),
            rng.randint(0, 3),
            rng.random() < 0.3,
        ),
        "away": lambda: (rng.choice([*KINDS, *[""] * len(KINDS)]),),
        "day": lambda: (rng.randint(1, 6), rng.random() < 0.2),
        "damage": lambda: (rng.random(), rng.random() < 0.3),
    }
    return (kind, *drawn.get(kind, tuple)())


_LATER = {kind: WEIGHTS[kind] for kind in ("ask", "share", "seat", "unseat", "suspend", "resume")}


def _days(rng: random.Random) -> int | None:
    """Draw in how many days access ends; 0: as its writer said before."""
    return rng.randint(0, 12) if rng.random() < 0.6 else None


def _list(rng: random.Random) -> tuple[list[str], int | None]:
    return sorted(rng.sample(list(USERS), rng.randint(0, 3))), _days(rng)


def subjects(portal: str) -> list[str]:
    """List what a portal's manifests may say something of."""
    own = [f"allocation:{number}" for number in OWNERS if OWNERS[number] == portal]
    return [*(f"user:{name}" for name in USERS), *own]
