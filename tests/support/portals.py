"""Two portals and more that ask for one person, and what retention leaves of it."""

from __future__ import annotations

import time

from provisioner.config.keeping import RetentionConfig
from provisioner.recovery.retention import Keeper
from tests.support.engine_site import Site
from tests.support.manifest_site import Line, reconcile, told

A, B, C, ROOT = 4711, 4712, 4713, 0
"""Three portals, by their uids, and root."""

POLICY = """\
policy:
  mass: {users: 3, share: 20}
  rules:
  - {who: [uid-4711, uid-4712, uid-4713], actions: ["*"], numbers: true, others: true}
"""


def person(name: str = "ann", uid: int = 1001) -> Line:
    return {"action": "user.provision", "user": {"name": name, "uid": uid}}


def left_out(site: Site, portal: int, *lines: Line) -> str:
    """Let a portal send a manifest with these users alone; return what its result says."""
    return told(reconcile(site, *lines, uid=portal, kinds=["user"]))


def is_open(site: Site, name: str = "ann") -> bool:
    limits = {site.limit(f"{lane}/account/{name}", lane) for lane in ("first", "second")}
    return limits.isdisjoint({"0", None})


def forget(site: Site) -> None:
    """Remove every row that retention removes at all."""
    forever = {"done_days": 1e4, "events_days": 1e4, "journal_floor": 1, "journal_days": 1}
    settings = RetentionConfig.model_validate(forever)
    keeper = Keeper(site.spool, site.system.journal, settings)
    sum(keeper.portions(time.time() + 400 * 86400))
