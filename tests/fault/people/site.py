"""What the walk does to a site: its time, its house, what it is sent, and what it tells of people.

Promises: the clock is the walk's, and each look of the service at dates is asked for. Leaves out:
the service and its backends (`model.site`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.cards import objects
from provisioner.config.keeping import RetentionConfig
from provisioner.journal.queries import dates
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from provisioner.recovery.rebuilding.rebuild import rebuild
from provisioner.recovery.retention import Keeper
from provisioner.system import ulid
from provisioner.system.ulid import RequestId
from tests.fault.model.site import Site
from tests.fault.people.draws import USERS
from tests.fault.people.oracle import Said
from tests.support.clocks import Clocks

DAY = 86400.0

CONFIG = """\
policy:
  rules:
  - {who: [uid-4711, uid-4712], actions: ["*"], numbers: true, others: true}
  - {who: [uid-4713], actions: [user.provision], numbers: true, others: true, review: true}
  - {who: [uid-4713], actions: [user.suspend, user.resume, "allocation.*", "membership.*",
     reconcile, "request.*"], others: true}
drift: {repair: true, others: 60}
"""

BYSTANDER = "provisioner: 1\naction: user.provision\nuser: {name: zoe, uid: 1009}\n"

RELEASE = "provisioner: 1\naction: journal.release\n"


@contextmanager
def ticking() -> Iterator[Clocks]:
    """Give clocks that the walk moves, also to the ids of requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ulid, "_sequence", ulid._Sequence())
        yield Clocks(patch)


def look(site: Site) -> None:
    """Let the service look at what has come due."""
    intake = site.service.house.intake
    intake._look_again = intake._look_at_ends = 0.0
    site.take()


def repair(site: Site) -> None:
    """Let the service look for drift, as its schedule says, and repair it."""
    site.service.house.reporter.rounds.walk(time.time())
    site.take()
    site.drain()


def lose_journal(site: Site) -> None:
    """Lose the journal, rebuild it from its copy and the redo log, and let it be released."""
    site.system.journal.close()
    for path in site.config.spool.parent.glob("journal.db*"):
        path.unlink()
    rebuild(site.config, site.spool, copy=None, empty=False)
    site.restart()
    site.send(RELEASE)


def forget(site: Site) -> None:
    """Let retention remove every row that it removes at all."""
    forever = {"done_days": 1e4, "events_days": 1e4, "journal_floor": 1, "journal_days": 1}
    settings = RetentionConfig.model_validate(forever)
    keeper = Keeper(site.spool, site.system.journal, settings)
    sum(keeper.portions(time.time() + 400 * DAY))


def state(site: Site, request: str) -> str:
    """Return the state of a request; '' if retention has removed it."""
    return record.state if (record := load(site, request)) else ""


def load(site: Site, request: str) -> Record | None:
    """Return a request as it is; None if retention has removed it."""
    with site.system.journal.reading() as conn:
        return request_rows.load(conn, [RequestId(request)]).get(RequestId(request))


def ending(site: Site, subject: str) -> str:
    """Return the newest request that the service made for a date of a subject."""
    name = subject.replace(":", "-").replace("/", "-")
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, f"ended-{name}.json", "")
    return found.id if found is not None else ""


def told_reasons(site: Site, subject: str) -> set[tuple[str, str]]:
    """Return who suspended a subject for what cause, as `provisioner status` says."""
    told = objects.suspensions(site.system, subject, ())
    return {(one.source, one.cause) for one in told if one.subject == subject}


def told_dates(site: Site) -> dict[str, tuple[str, float]]:
    """Return whose word ends the access of whom, and when, as `provisioner list ends` says."""
    with site.system.journal.reading() as conn:
        return {end.subject: (end.writer, end.at) for end in dates.ends_until(conn, 1e12)}


def receipt(site: Site, writer: str, request: str) -> dict[str, Any]:
    """Return what a writer reads of its request."""
    path: Path = site.config.spool / "receipts" / writer / f"{request}.yaml"
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return found


# What it reads.


def allocation(number: int, users: Sequence[str]) -> dict[str, object]:
    """Return an allocation as a request states it."""
    return {
        "id": str(number),
        "resource": "one",
        "project": {"code": f"cf{number}"},
        "users": list(users),
    }


def membership(number: int, name: str) -> dict[str, object]:
    """Return a user's place in an allocation."""
    place = {key: value for key, value in allocation(number, ()).items() if key != "users"}
    return {"membership": {"user": name, "allocation": place}}


def line(said: Said) -> str:
    """Return what is said as a line of a manifest."""
    kind, _, name = said.subject.partition(":")
    body: dict[str, object] = {"name": name, "uid": USERS.get(name)}
    if kind == "allocation":
        body = allocation(int(name), said.users)
    return json.dumps({"action": f"{kind}.provision", **written({"ends": said.until}), kind: body})


def written(times: Mapping[str, float | None]) -> dict[str, str]:
    """Return the times that there are as a request states them."""
    return {
        key: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for key, at in times.items()
        if at is not None
    }
