"""People who have something, and requests that take it away."""

from __future__ import annotations

from provisioner.journal.records import request_rows
from tests.support.engine_site import Site
from tests.support.policy_site import PORTAL, put


def people(count: int) -> str:
    return ", ".join(f"u{number}" for number in range(count))


SMALL = """\
policy:
  mass: {users: 3}
  rules:
  - {who: [uid-4711], actions: [allocation.*, membership.*, project.*, user.*, "request.*"]}
  - {who: [uid-4712], actions: ["*"], others: true}
"""


def each(site: Site, texts: list[str], uid: int = PORTAL) -> list[str]:
    """Let a user send requests at once; return what becomes of each."""
    for number, text in enumerate(texts):
        put(site, uid, text, f"{number:02}.yaml")
    site.take()
    site.drain()
    with site.system.journal.reading() as conn:
        found = [request_rows.newest(conn, f"{number:02}.yaml", "") for number in range(len(texts))]
    return [record.state for record in found if record is not None]


def members(site: Site) -> int:
    """Count who is in the allocation's account, on the first resource."""
    return len([key for key in site.first.rows if "/member/" in key])
