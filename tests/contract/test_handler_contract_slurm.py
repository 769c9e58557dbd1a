"""The handler of Slurm keeps the contract, over the emulated slurmdbd and over the lab's."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from handlers.emulators.slurm import programs as emulator
from handlers.slurm import handler as slurm
from provisioner.agent.client import runner
from provisioner.contract import Handler, Site
from provisioner.testing import HandlerContract, site
from tests.support import agent_sites, slurm_sites
from tests.support.acls import AS_ROOT
from tests.support.slurm_sites import Cluster


class _OfSlurm(HandlerContract):
    """On a cluster of its own, or on the lab's under names that nobody had before."""

    names = ["account"]
    owns = False  # Slurm has no place for a mark

    def prepare(self, directory: Path) -> None:
        self.cluster = self.make_cluster(directory)
        self.name = self.make_name()
        self.speak()

    def make_cluster(self, directory: Path) -> Cluster:
        return slurm_sites.emulated(directory, ("main", "gpu", "cpu", "big"))

    def make_name(self) -> str:
        return "cf3"

    def speak(self) -> None:
        """Set the parameters, and make what they need."""
        raise NotImplementedError

    def handler(self) -> Handler:
        return slurm.build(self._site(), self.cluster.settings)

    def away(self) -> Handler:
        gone = {"sacctmgr": ["/nowhere/sacctmgr"], "slurmrestd": "unix:/nowhere/slurmrestd"}
        return slurm.build(self._site(), {**self.cluster.settings, **gone})

    def _site(self) -> Site:
        return site(self.instance, secrets=self.cluster.secrets)

    def write(self, *words: str) -> None:
        """Run sacctmgr as an admin would."""
        self.cluster.admin(list(words))


class TestAccounts(_OfSlurm):
    def speak(self) -> None:
        one = {"account": self.name, "description": "Protein folding", "organization": "physics"}
        self.params = {**one, "specs": "GrpTRES=cpu=64:MaxJobs=10", "fairshare": 5}
        self.other_params = {**self.params, "specs": "GrpTRES=cpu=96:MaxJobs=10"}
        self.more_params = [{**one, "account": f"{self.name}-{n}"} for n in "ab"]
        self.bad_params = [
            ("account", {}),
            ("account", {**one, "account": "root"}),
            ("specs", {**one, "specs": "AdminLevel=Administrator"}),
            ("fairshare", {**one, "fairshare": -1}),
            ("description", {**one, "description": ["a"]}),
        ]

    def disturb(self) -> None:
        where = ["where", f"name={self.name}", f"cluster={self.cluster.settings['cluster']}"]
        self.write("modify", "account", *where, "set", "MaxJobs=11")


class TestAssociations(_OfSlurm):
    names = ["account", "user"]
    removes = True

    def speak(self) -> None:
        self.where = f"cluster={self.cluster.settings['cluster']}"
        self.write("add", "account", self.name, self.where)
        one = {"account": self.name, "user": self.name}
        self.params = {**one, "specs": "MaxJobs=10", "fairshare": 5, "default": True}
        self.other_params = {**self.params, "specs": "MaxJobs=20"}
        self.more_params = [{**one, "user": f"{self.name}-{n}"} for n in "ab"]
        self.bad_params = [("user", {**one, "user": ""}), ("specs", {**one, "specs": "MaxJobs"})]

    def rearrange(self) -> None:
        where = ["where", f"name={self.name}", f"account={self.name}", self.where]
        self.write("modify", "user", *where, "set", "MaxSubmitJobs=7")

    def disturb(self) -> None:
        where = ["where", f"name={self.name}", f"account={self.name}", self.where]
        self.write("modify", "user", *where, "set", "MaxJobs=11")


class TestPartitions(TestAssociations):
    """Associations with partitions, which have one without, or others, put in their place."""

    def speak(self) -> None:
        super().speak()
        self.params = {**self.params, "partitions": ["gpu", "cpu"]}
        self.other_params = {**self.params, "partitions": ["gpu", "big"]}
        self.bad_params = [("partitions.0", {**self.params, "partitions": ["a b"]})]


class _ByAnAgent(_OfSlurm):
    """With the agent's configuration that is shipped."""

    pytestmark = AS_ROOT

    def prepare(self, directory: Path) -> None:
        super().prepare(directory)
        programs = {name: str(Path(directory, "bin", name)) for name in emulator.PROGRAMS}
        places = {f"/usr/bin/{name}": path for name, path in programs.items()}
        self.run = runner({"agent": agent_sites.shipped(directory, places)})
        self.words = {name: ["agent", name] for name in programs}

    def handler(self) -> Handler:
        return slurm.build(site(self.instance, run=self.run), {"cluster": "a", **self.words})

    def away(self) -> Handler:
        gone = {**self.words, "sacctmgr": ["agent:nowhere", "sacctmgr"]}
        return slurm.build(site(self.instance, run=self.run), {"cluster": "a", **gone})


class TestAccountsByAnAgent(_ByAnAgent, TestAccounts):
    pass


class TestAssociationsByAnAgent(_ByAnAgent, TestAssociations):
    pass


class TestPartitionsByAnAgent(_ByAnAgent, TestPartitions):
    pass


class _InTheLab(_OfSlurm):
    """Under names that nobody had before; what was made is taken out after the last test."""

    pytestmark = [
        pytest.mark.lab,
        pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
    ]
    varying = ["account", "user", "default_account"]
    prefix: str
    made: int

    @classmethod
    def setup_class(cls) -> None:
        cls.prefix = "t" + uuid.uuid4().hex[:10]
        cls.made = 0

    @classmethod
    def teardown_class(cls) -> None:
        slurm_sites.real().forget(cls.prefix)

    def make_cluster(self, directory: Path) -> Cluster:
        return slurm_sites.real()

    def make_name(self) -> str:
        type(self).made += 1
        return f"{self.prefix}n{self.made}"


class TestAccountsInTheLab(_InTheLab, TestAccounts):
    pass


class TestAssociationsInTheLab(_InTheLab, TestAssociations):
    pass


class TestPartitionsInTheLab(_InTheLab, TestPartitions):
    pass


if "rest" in slurm_sites.TRANSPORTS:

    class _ByRest(_OfSlurm):
        def make_cluster(self, directory: Path) -> Cluster:
            return slurm_sites.by_rest(directory, ("main", "gpu", "cpu", "big"))

    class TestAccountsByRest(_ByRest, TestAccounts):
        pass

    class TestAssociationsByRest(_ByRest, TestAssociations):
        pass

    class TestPartitionsByRest(_ByRest, TestPartitions):
        pass


if "rest" in slurm_sites.TRANSPORTS and slurm_sites.has_slurmrestd():

    class _InTheLabByRest(_InTheLab):
        def make_cluster(self, directory: Path) -> Cluster:
            return slurm_sites.real_by_rest()

    class TestAccountsInTheLabByRest(_InTheLabByRest, TestAccounts):
        pass

    class TestAssociationsInTheLabByRest(_InTheLabByRest, TestAssociations):
        pass

    class TestPartitionsInTheLabByRest(_InTheLabByRest, TestPartitions):
        pass
