"""Many new users in all backends, a request each, beside raw adds into Active Directory alone.

A raw add is what the handler sends for one person, sent again for another, by ldap3 alone.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ldap3

from provisioner.contract import Handler
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.wiring import System
from tests.bench.figure import Aim, Figure, Run, Setting
from tests.bench.into_slurm import Slurm
from tests.bench.lab import make, slurm_of, system_in
from tests.bench.place import fresh

USERS = 1000
HUNDRED = 100


@dataclass(frozen=True)
class Added:
    """One add of an account, as ldap3 was given it. connection: that it went over; idle again."""

    connection: Any
    dn: str
    attributes: Mapping[str, Any]
    name: str
    uid: int

    def again(self, name: str, uid: int) -> None:
        """Add the same for another person. Ends if the directory refuses it."""
        new = {self.name: name, str(self.uid): str(uid)}
        attributes = {key: renamed(values, new) for key, values in self.attributes.items()}
        if not self.connection.add(renamed(self.dn, new), attributes=attributes):
            raise SystemExit(f"{name}: {self.connection.result}")


def renamed(value: Any, new: Mapping[str, str]) -> Any:
    """Replace words in a text, or in each of some; other values stay as they are."""
    if isinstance(value, list):
        return [renamed(each, new) for each in value]
    if not isinstance(value, str):
        return value
    for old, word in new.items():
        value = value.replace(old, word)
    return value


def one_add(handler: Handler, name: str, uid: int) -> Added:
    """Make an account by the handler; return its add."""
    seen: list[Added] = []
    connections: Any = ldap3.Connection
    add = connections.add

    def noted(self: Any, dn: str, *words: Any, **options: Any) -> Any:
        seen.append(Added(self, dn, options["attributes"], name, uid))
        return add(self, dn, *words, **options)

    connections.add = noted
    try:
        make(handler, {"name": name, "surname": name, "uid": uid, "gid": 10000})
    finally:
        connections.add = add
    return next(each for each in seen if name in each.dn)


def raw_adds(handler: Handler, stem: str, first: int, number: int) -> float:
    """Return the seconds of so many accounts by one raw add each. first: the first's uid."""
    one = one_add(handler, f"{stem}x", first)
    began = time.perf_counter()
    for n in range(number):
        one.again(f"{stem}a{n}", first + 1 + n)
    return time.perf_counter() - began


def least(system: System, slurm: Slurm, stem: str, first: int, number: int) -> float:
    """Return the seconds of the same raw adds while, beside them, what each hundred needs next is
    done by as few calls as there are: this host looks their names up, which asks the same
    directory, and Slurm adds them. first: the first's uid."""
    one = one_add(system.handlers["ad"], f"{stem}x", first)
    names = system.handlers["names"]
    own = f"cluster={slurm.cluster}"

    def follow(users: Sequence[str]) -> None:
        names.observe([key for user in users for key in names.claims({"user": user})])
        slurm.sacctmgr("add", "user", ",".join(users), "account=bench", own)

    began = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        following = []
        for start in range(0, number, HUNDRED):
            users = [f"{stem}l{n}" for n in range(start, min(start + HUNDRED, number))]
            for n, user in enumerate(users, start):
                one.again(user, first + 1 + n)
            following.append(pool.submit(follow, users))
        for each in following:
            each.result()
    return time.perf_counter() - began


def by_requests(system: System, spool: Spool, stem: str, number: int) -> float:
    """Return the seconds of so many users by a request each, all of which wait.

    They name no number: one that is named costs another add. Ends if some are not done.
    """
    for n in range(number):
        path = spool.staging / f"{stem}r{n}.yaml"
        who = f"{{name: {stem}r{n}, surname: s, gid: 10000}}"
        path.write_text(f"provisioner: 1\naction: user.provision\nuser: {who}\n")
        path.chmod(0o600)
    service = Service(system, spool)
    began = time.perf_counter()
    service.drain(120)
    seconds = time.perf_counter() - began
    done = len(list((spool.root / "done").glob(f"*-{stem}r*.yaml.result.yaml")))
    if done != number:
        raise SystemExit(f"{done} of {number} users are done")
    return seconds


def rounds(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of new users by requests, and of the raw adds."""

    def work(system: System, spool: Spool, stem: str, _: int, number: int) -> float:
        return by_requests(system, spool, stem, number)

    return beside_adds(setting, random.randrange(20000, 21000), work)


def bare(setting: Setting) -> Iterator[Run]:
    """Yield the seconds of raw adds with what must follow them, and of raw adds alone."""
    assert setting.lab is not None
    slurm = slurm_of(setting.lab)

    def work(system: System, _: Spool, stem: str, first: int, number: int) -> float:
        return least(system, slurm, f"{stem}b", first, number)

    return beside_adds(setting, random.randrange(31100, 32000), work)


Work = Callable[[System, Spool, str, int, int], float]
"""Makes so many users (the last value) whose names begin so, from a uid on; returns the seconds."""


def beside_adds(setting: Setting, first: int, work: Work) -> Iterator[Run]:
    """Yield the seconds of some work for new users, and of raw adds of as many.

    first: of the directory's own numbers, each used once; `one_user` takes those above 36,000.
    """
    assert setting.lab is not None
    number = setting.size(USERS)
    while True:
        stem = "e" + uuid.uuid4().hex[:6]
        with fresh(setting.top) as top:
            system, spool = system_in(setting.lab, top)
            make(system.handlers["slurm-lab"], {"account": "bench", "description": "bench"})
            floor = raw_adds(system.handlers["ad"], stem, first, number)
            seconds = work(system, spool, stem, first + number + 1, number)
            first += 2 * (number + 1)
            yield Run(seconds, floor)


FIGURES = (
    Figure(
        "everywhere-least",
        "1,000 raw adds into AD, each hundred looked up by the host and added to Slurm beside",
        "raw adds into AD alone, one a person",
        "s",
        bare,
        needs="lab",
    ),
    Figure(
        "everywhere",
        "1,000 new users in AD, AD LDS, homes and Slurm, a request each",
        "raw adds into AD alone, one a person",
        "s",
        rounds,
        (Aim("ratio", 1.1, most=True),),
        needs="lab",
    ),
)
