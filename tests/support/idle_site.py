"""A site that closes people who use nothing: ann, who stops at some time, and bob, who does not."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from provisioner.journal.records import ledger, request_rows
from provisioner.journal.records.request_rows import Record
from tests.support.clocks import Clocks
from tests.support.engine_site import Site, user
from tests.support.mail_site import queue, tell

DAY = 86400.0


def seen(root: Path, **days: float) -> None:
    """Let the site's program say how many days ago people used something."""
    lines = [f"{name}\t{_date(ago)}\n" for name, ago in days.items()]
    (root / "homes").write_text("#!/bin/sh\nprintf '" + "".join(lines).replace("\n", "\\n") + "'\n")
    (root / "homes").chmod(0o755)


def _date(ago: float) -> str:
    return datetime.fromtimestamp(time.time() - ago * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


NOTIFY = """\
notify:
  mail:
    directory: mail
    sender: hpc@campus.test
    domain: campus.test
    operators: [ops@campus.test]
    digest: ""
"""


def config(root: Path, more: str = "", *, source: str = "") -> str:
    homes = f"{{program: [{root / 'homes'}]{source}}}"
    (root / "mail").mkdir(exist_ok=True)
    return NOTIFY + (
        f"idle:\n  after: 180\n  warn: [30, 7, 1]\n  cap: 2\n  sources: {{homes: {homes}}}\n{more}"
    )


def idle_site(root: Path) -> Site:
    """Return a site where ann and bob came long ago."""
    made = Site(root, config(root))
    for name in ("ann", "bob"):
        made.request(user(name, uid=7), f"{name}.yaml")
    seen(root, ann=0, bob=0)
    return made


def walk(site: Site) -> None:
    """Let a round take place, and what follows from it."""
    tell(site)
    site.service.house.idle.walk(time.time())
    site.take()
    site.drain()
    tell(site)


def live(site: Site, clocks: Clocks, days: float, *, step: float = 1.0, bob: bool = True) -> None:
    """Let some days pass with a round on each, on which bob uses something."""
    for _ in range(int(days / step)):
        clocks.go(step * DAY)
        began = (site.root / "began").stat().st_mtime if (site.root / "began").exists() else 0.0
        seen(site.root, **({"bob": 0.0} if bob else {}), ann=(time.time() - began) / DAY)
        walk(site)


def leave(site: Site) -> None:
    """Let ann use something for the last time."""
    (site.root / "began").touch()
    os.utime(site.root / "began", (time.time(), time.time()))


def reasons(site: Site, name: str) -> list[str]:
    with site.system.journal.reading() as conn:
        return ledger.reasons(conn, f"user:{name}")


def newest(site: Site, name: str) -> Record:
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def warnings(site: Site) -> list[int]:
    """List for how many days ann was warned before."""
    found = [m for m in queue(site) if m.event == "idle_warning" and m.person == "ann"]
    return [m.facts["idle"]["days"] for m in sorted(found, key=lambda m: m.made)]


def ask(site: Site, clocks: Clocks) -> None:
    """Let a round ask for the closing of ann, and nobody take the request yet."""
    clocks.go(1.5 * DAY)
    seen(site.root, bob=0, ann=190)
    site.service.house.idle.walk(time.time())


def to_a_closing(site: Site, clocks: Clocks) -> None:
    """Let ann be warned until a round asks for her closing."""
    leave(site)
    live(site, clocks, 150, step=50)
    live(site, clocks, 31)
    ask(site, clocks)
