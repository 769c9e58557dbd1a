"""A service of the bench's own on a lab's backends, and what comparisons beside it need.

Runs inside the lab, as root (`deploy/lab/enter`). Both sides of each comparison run in one process,
in turn, and read back what they wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from provisioner.config import schema as configuration
from provisioner.contract import Claim, Handler
from provisioner.convergence.converge import converge
from provisioner.objects.items import Item
from provisioner.spool.spool import Spool
from provisioner.wiring import System, build
from tests.bench.into_slurm import Slurm

ROUTES = """\
user.provision:
  - name: account
    handler: ad
    with:
      name: "{{ user.name }}"
      surname: "{{ user.surname }}"
      uid: "{{ user.uid }}"
      gid: "{{ user.gid }}"
  - name: lds
    handler: lds
    with:
      name: "{{ user.name }}"
      sid: "{{ steps.account.output.sid }}"
      uid: "{{ steps.account.output.uid }}"
      gid: "{{ steps.account.output.gid }}"
  - name: home
    handler: homes
    with:
      name: "{{ user.name }}"
      uid: "{{ steps.account.output.uid }}"
      gid: "{{ steps.account.output.gid }}"
  - {name: resolves, handler: names, needs: [account], with: {user: "{{ user.name }}"}}
  - name: association
    handler: slurm-lab
    needs: [resolves]
    with: {account: bench, user: "{{ user.name }}"}
"""


def system_in(lab: Path, root: Path) -> tuple[System, Spool]:
    """Build a service of its own on the lab's backends."""
    config = yaml.safe_load((lab / "provisioner.yaml").read_text())
    config |= {
        "service": "bench",
        "spool": str(root / "spool"),
        "journal": str(root / "journal.db"),
        "routes": yaml.safe_load(ROUTES),
        "lanes": {"nss": {"first": 0.05}},
    }
    path = root / "provisioner.yaml"
    path.write_text(yaml.safe_dump(config))
    Spool.create(root / "spool").close()
    return build(configuration.load(path)), Spool.open(root / "spool")


def make(handler: Handler, params: Mapping[str, object]) -> Mapping[str, Any]:
    """Make what parameters want with a handler's own calls; return its outputs."""
    wants = handler.claims(params)
    items = [Item(key, (Claim("bench", want),)) for key, want in wants.items()]
    outcome = converge(handler, items, lambda _: None)[0]
    if outcome.fault is not None:
        raise outcome.fault
    assert outcome.state is not None
    return handler.outputs(outcome.state)


def slurm_of(lab: Path) -> Slurm:
    """Return the lab's Slurm as it is inside, where the programs are in their usual places."""
    known = json.loads((lab / "lab.json").read_text())["slurm"]
    return Slurm(known["conf"], "", known["cluster"])
