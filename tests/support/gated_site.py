"""A site where each user has to be known to the second backend before the first lets them in."""

from __future__ import annotations

from provisioner.convergence.next_try import Patience
from tests.support.engine_site import CONFIG, Site

GATED = CONFIG.replace(
    """\
    - name: members
      handler: accounts
      each: user
      needs: [account]
""",
    """\
    - {name: resolves, handler: second, each: user, with: {account: gate, user: "{{ user }}"}}
    - name: members
      handler: accounts
      each: user
      needs: [account, resolves]
""",
)


def members(site: Site) -> set[str]:
    """Name those who are in the account."""
    return {key.rpartition("/")[2] for key in site.first.rows if "/member/" in key}


def impatient(site: Site) -> None:
    """Let lanes give up at once what is not ready."""
    for lane in site.service.lanes.values():
        lane._patience = Patience(first=0.01, most=0.02, tries=3, days=0.0)
