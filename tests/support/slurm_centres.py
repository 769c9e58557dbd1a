"""A user with partitions in Slurm, in tests: what was asked for, and what an admin did."""

from __future__ import annotations

import json
from collections.abc import Mapping

from provisioner.contract import Key
from provisioner.convergence.converge import Outcome, converge
from provisioner.objects.items import Item
from tests.support.slurm_ledger import Ledger, account, faults
from tests.support.slurm_sites import Cluster

GPU, CPU, BIG, ANY = "gpu", "cpu", "big", ""


def change(cluster: Cluster, **values: object) -> None:
    """Change what an emulated slurmdbd keeps."""
    assert cluster.state is not None
    cluster.state.write_text(json.dumps({**json.loads(cluster.state.read_text()), **values}))


class Centre:
    """An account and a user in it, both of one name, and what has been asked for."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.handler = cluster.handler()
        self.ledger = Ledger()
        self.identity: dict[Key, Mapping[str, object]] = {}
        self.key = f"slurm-a/assoc/{name}/{name}"
        self.ledger.want(self.handler, "allocation:1", account(name))
        assert faults(self.ledger.run(self.handler)) == {}
        self.ledger.claims = {}

    def admin(self, *words: str) -> None:
        """Run sacctmgr as an admin does; `add` and `modify` are about the user in the account."""
        where = [f"cluster={self.cluster.settings['cluster']}", f"account={self.name}"]
        if words[0] == "add":
            self.cluster.admin(["add", "user", self.name, *where, *words[1:]])
        else:
            self.cluster.admin(["modify", "user", "where", f"name={self.name}", *where, *words[1:]])

    def ask(self, *partitions: str, claimant: str = "allocation:1", **more: object) -> None:
        params = {"account": self.name, "user": self.name, "partitions": partitions, **more}
        self.ledger.want(self.handler, claimant, params)

    def leave(self) -> None:
        self.ledger.claims[self.key] = ()

    def run(self) -> Outcome:
        """Converge the user, as the engine does: what was last as wanted is kept."""
        item = Item(
            self.key,
            self.ledger.claims[self.key],
            self.ledger.priors.get(self.key),
            identity=self.identity.get(self.key),  # type: ignore[arg-type]
        )
        [outcome] = converge(self.handler, [item], self.ledger.save)
        assert outcome.fault is None, outcome.fault
        if outcome.identity is not None:
            self.identity[self.key] = outcome.identity
        return outcome

    def rows(self) -> dict[str, str]:
        """Give the user's associations, and how many jobs each may run."""
        rows = self.handler._tools.slurmdbd.associations([self.name])
        return {row.partition: str(row.limits.get("MaxJobs", "")) for row in rows if row.user}
