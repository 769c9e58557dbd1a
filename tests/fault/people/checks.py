"""Checks: who has access in the backends, and what is told of people, beside what the oracle says.

Promises: lines for people, one for each difference. Leaves out: what nobody can tell from what was
said alone, as a request was stopped when a part of it was made (`oracle.Oracle.unclear`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tests.fault.model.site import Site
from tests.fault.people import site as house
from tests.fault.people.draws import OWNERS, PORTALS, USERS, subjects
from tests.fault.people.oracle import Oracle


def access(site: Site, oracle: Oracle, failed: Collection[str]) -> Iterator[str]:
    """Yield who has access, or has none, other than the oracle says. failed: subjects whose request
    has, so that they may be closed."""
    now = oracle.now()
    for name in USERS:
        user = f"user:{name}"
        if user in oracle.unclear:
            continue
        if user not in now.murky or now.reasons(user):
            for key in (f"ad/account/{name}", f"lds/account/{name}", f"home/home/{name}"):
                yield from _differs(site, key, oracle.has_account(user), user in failed)
        for number in OWNERS:
            subject = f"allocation:{number}"
            waits = not {subject, user, f"{subject}/{user}"}.isdisjoint(failed)
            if subject in now.murky and not now.reasons(user):
                continue
            is_in = oracle.has_place(subject, name)
            if user in now.murky and now.is_in(subject, name) and not is_in:
                continue  # the part of the account that was made may be all that a place waits for
            for key in (f"groups/member/cf{number}/{name}", f"slurm/assoc/cf{number}/{name}"):
                yield from _differs(site, key, is_in, waits)


def _differs(site: Site, key: str, expected: bool, failed: bool) -> Iterator[str]:
    is_open = site.world.rows.get(key, {}).get("open", False)
    if is_open != expected and not (expected and failed):
        words = {True: "open", False: "closed"}
        yield f"{key}: the oracle says {words[expected]}, it is {words[is_open]}"


def told(site: Site, oracle: Oracle) -> Iterator[str]:
    """Yield what operators and portals are told, other than the oracle says."""
    now = oracle.now()
    for subject in sorted({name for portal in PORTALS for name in subjects(portal)} - now.murky):
        found, reasons = house.told_reasons(site, subject), now.reasons(subject)
        if found != reasons:
            yield f"{subject}: suspended by {sorted(reasons)}, told {sorted(found)}"
    ends = house.told_dates(site)
    dates = {s: (d.writer, d.until) for s, d in now.dates().items() if not d.followed}
    for subject in sorted(dates.keys() | ends.keys()):
        date, told_date = dates.get(subject), ends.get(subject)
        if date != told_date and subject.partition("/")[0] not in now.murky:
            yield f"{subject}: access ends {date}, told {told_date}"
    for said in now.shares.values():
        if said.subject not in now.murky and house.state(site, said.name) == "done":
            receipt = house.receipt(site, said.writer, said.name).get("closed", {})
            seated = {user for user, by in now.seats[said.subject].items() if by is said}
            clear = {user for user in seated if f"user:{user}" not in oracle.unclear}
            shown = {user: why for user, why in receipt.items() if user in clear}
            closed = {u: why for u, why in oracle.closed_in(said).items() if u in clear}
            if shown != closed:
                yield f"{said.subject}: closed are {closed}, its receipt says {shown}"
