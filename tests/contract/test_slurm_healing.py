"""Users whom slurmctld holds with a failed uid lookup: how they are found, and healed whole."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from handlers.slurm.handler import Slurm, build
from handlers.slurm.healing import MOST_OTHERS, heal
from provisioner.contract import (
    Completed,
    NotReady,
)
from provisioner.convergence.converge import Outcome
from provisioner.system import process
from tests.support import slurm_sites
from tests.support.slurm_ledger import Ledger, account, changes, faults
from tests.support.waiting import until

SPECS = "MaxJobs=3:MaxTRES=mem=1536G:MaxWall=1-12"
"""What Slurm prints otherwise than it takes: `mem=1.50T`, given back, is one of 1 MB."""

KEY = "slurm-a/assoc/cf1/one"


@dataclass(frozen=True)
class Fault:
    """A command with these words fails once, or its answer lacks once the lines with a text."""

    words: frozenset[str]
    drops: str | None = None


class Centre:
    """An emulated cluster where user one is in account cf1, and every call of a program."""

    def __init__(self, directory: Path, *users: str) -> None:
        self.cluster = slurm_sites.emulated(directory)
        self.calls: list[Sequence[str]] = []
        self.refused: list[str] = []
        self.faults: list[Fault] = []
        self.handler: Slurm = build(
            replace(slurm_sites.site(), run=self._run), self.cluster.settings
        )
        self.ledger = Ledger()
        self.ledger.want(self.handler, "allocation:1", account("cf1"))
        self.run()
        some = [{"account": "cf1", "user": user, "specs": SPECS} for user in users or ["one"]]
        self.ledger.want(self.handler, "allocation:1", *some)
        self.run()
        self.calls.clear()

    def _run(self, argv: Sequence[str], **more: Any) -> Completed:
        self.calls.append([Path(argv[0]).name, *argv[1:]])
        if argv[1] in self.refused:
            return Completed(tuple(argv), 1, "", "slurm_reconfigure error: Access denied")
        fault = next((one for one in self.faults if one.words <= set(argv)), None)
        if fault is None:
            return process.run(argv, **more)
        self.faults.remove(fault)
        if fault.drops is None:
            return Completed(tuple(argv), 1, "", "sacctmgr: error: slurmdbd: down")
        done = process.run(argv, **more)
        lines = done.stdout.splitlines(keepends=True)
        return replace(done, stdout="".join(one for one in lines if fault.drops not in one))

    def writes(self) -> list[str]:
        """Give what was written, in short."""
        called = [" ".join(argv[1 if argv[0] == "scontrol" else 2 :][:2]) for argv in self.calls]
        return [words for words in called if words.split()[0] in ("delete", "add", "reconfigure")]

    @property
    def kept(self) -> dict[str, Any]:
        assert self.cluster.state is not None
        kept: dict[str, Any] = json.loads(self.cluster.state.read_text())
        return kept

    def change(self, **values: object) -> None:
        assert self.cluster.state is not None
        self.cluster.state.write_text(json.dumps({**self.kept, **values}))

    def run(self) -> Mapping[str, Outcome]:
        return self.ledger.run(self.handler)


FAILED: dict[str, dict[str, object]] = {
    "both": {"failed": ["one"], "failed_rows": [["cf1", "one"]]},
    # So it is after anybody else's association was added: `sbatch` without -A is refused still.
    "the record": {"failed": ["one"]},
    # So it is when the directory was away while the association was added.
    "the association": {"failed_rows": [["cf1", "one"]]},
}


@pytest.mark.parametrize("which", FAILED)
def test_a_user_is_healed_whole_whichever_half_is_failed(tmp_path: Path, which: str) -> None:
    centre = Centre(tmp_path)
    before = centre.kept
    centre.change(**FAILED[which])
    outcomes = centre.run()
    assert faults(outcomes) == {}
    assert any("repair one" in text for text in changes(outcomes))
    assert centre.kept == before
    assert changes(centre.run()) == []


def test_a_failed_lookup_in_another_account_is_no_matter_of_this_one(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    centre.change(failed_rows=[["cf2", "one"]])
    assert changes(centre.run()) == []


def test_who_is_healed_is_not_deleted_and_has_their_default_account_in_slurmctld(
    tmp_path: Path,
) -> None:
    centre = Centre(tmp_path)
    before = centre.kept
    jobs = [{"account": "cf1", "user": "one"}]
    centre.change(failed=["one"], jobs=jobs)
    assert faults(centre.run()) == {}
    assert centre.kept == {**before, "jobs": jobs}
    assert centre.writes() == ["reconfigure"]
    # slurmctld 22.05.8 has `DefAccount=(null)` of them afterwards, and refuses sbatch without -A.
    after = [argv[2:] for argv in centre.calls if argv[2:3] == ["modify"]]
    said = "modify user where name=one cluster=a set defaultaccount=cf1"
    assert [" ".join(words) for words in after] == [said]


FAULTS = {
    "a list of associations lacks one": Fault(frozenset(["assoc", "user=one"]), drops="|old|"),
    "the list of rights is empty": Fault(frozenset(["withcoord"]), drops=""),
    "an add fails": Fault(frozenset(["add", "user"])),
    "a change of the default account fails": Fault(frozenset(["defaultaccount=cf1"])),
    "a list of default accounts is empty": Fault(frozenset(["user", "withassoc"]), drops=""),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("more", ["nothing", "a limit", "an account", "a right"])
def test_whoever_is_healed_loses_nothing_by_one_fault_of_sacctmgr(
    tmp_path: Path, fault: str, more: str
) -> None:
    centre = Centre(tmp_path)
    if more == "a limit":
        where = ["where", "name=one", "account=cf1", "cluster=a"]
        centre.cluster.admin(["modify", "user", *where, "set", "fairshare=77", "grpjobs=5"])
    elif more == "an account":
        centre.cluster.admin(["add", "account", "old", "cluster=a"])
        centre.cluster.admin(["add", "user", "one", "cluster=a", "account=old", "maxjobs=3"])
    elif more == "a right":
        users = centre.kept["users"]
        users["one"]["admin"] = "Administrator"
        centre.change(users=users)
    before = centre.kept
    centre.change(failed=["one"])
    centre.faults = [FAULTS[fault]]
    for _ in range(3):
        outcomes = centre.run()
    assert faults(outcomes) == {}
    assert centre.kept == before
    assert "delete user" not in centre.writes()


def test_who_was_looked_up_again_gets_their_default_account_after_a_kill(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    before = centre.kept
    centre.change(failed=["one"])
    centre.handler._tools.slurmctld.reconfigure()
    assert centre.kept["undefaulted"] == ["one"]
    assert changes(centre.run()) == ["default account of one: cf1, which slurmctld does not have"]
    assert centre.kept == before
    assert changes(centre.run()) == []


def test_who_is_suspended_gets_no_default_account(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    centre.ledger.suspend(True)
    centre.run()
    centre.change(undefaulted=["one"])
    assert changes(centre.run()) == []


def test_they_wait_where_slurmctld_may_not_be_told_to_read_again(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    centre.change(failed=["one"])
    before = centre.kept
    centre.refused = ["reconfigure"]
    fault = centre.run()[KEY].fault
    assert isinstance(fault, NotReady)
    assert "slurmctld holds a failed uid lookup of one" in fault.message
    assert "Access denied" in fault.message
    assert "`scontrol reconfigure`" in fault.advice
    assert centre.kept == before
    centre.refused = []
    assert faults(centre.run()) == {}


def test_a_slurmctld_that_would_look_up_hundreds_of_others_is_left_to_an_admin(
    tmp_path: Path,
) -> None:
    centre = Centre(tmp_path)
    others = [f"o{number}" for number in range(MOST_OTHERS)]
    users = centre.kept["users"] | {name: {"default": {"a": "cf1"}} for name in others}
    centre.change(users=users, failed=["one", *others])
    fault = centre.run()[KEY].fault
    assert isinstance(fault, NotReady)
    assert f"{MOST_OTHERS} others" in fault.message
    assert "`scontrol reconfigure`" in fault.advice
    assert centre.writes() == []
    centre.change(failed=["one", *others[1:]])
    assert faults(centre.run()) == {}


def test_many_users_are_healed_by_one_reconfigure(tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(30)]
    centre = Centre(tmp_path, *users)
    centre.change(failed=users)
    assert faults(centre.run()) == {}
    assert centre.writes() == ["reconfigure"]


@pytest.mark.parametrize("one", slurm_sites.REAL)
def test_who_is_healed_in_a_real_slurm_has_what_they_had(tmp_path: Path, one: str) -> None:
    cluster = slurm_sites.which(one, tmp_path)
    settings = {**cluster.settings, "scontrol": [slurm_sites.program("scontrol")]}
    tools = build(slurm_sites.site(), settings)._tools
    name = "t" + uuid.uuid4().hex[:10]
    where = [f"cluster={cluster.settings['cluster']}"]
    limits = ["maxjobs=3", "maxtres=mem=1536G", "maxwall=1-12", "qos+=normal", "fairshare=77"]
    try:
        cluster.admin(["add", "account", name, *where])
        cluster.admin(["add", "user", name, *where, f"account={name}", "partition=main", *limits])
        before = cluster.sacctmgr().associations_of([name])
        heal(tools, [name])
        assert cluster.sacctmgr().associations_of([name]) == before
        assert tools.slurmdbd.users([name]).defaults == {name: name}
        assert ("", name) in tools.slurmctld.held([name], [name]).failed
    finally:
        cluster.forget(name)


@pytest.mark.lab
@pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab")
def test_what_slurmctld_holds_of_who_resolves_nowhere_is_read() -> None:
    cluster = slurm_sites.real()
    name = "t" + uuid.uuid4().hex[:10]
    handler = build(
        slurm_sites.site(), {**cluster.settings, "scontrol": [slurm_sites.program("scontrol")]}
    )
    where = [f"cluster={cluster.settings['cluster']}"]
    try:
        cluster.admin(["add", "account", name, *where])
        cluster.admin(["add", "user", name, *where, f"account={name}"])
        held = partial(handler._tools.slurmctld.held, [name, "root"], [name, "root"])
        both = {("", name), (name, name)}
        # slurmdbd tells slurmctld of the user and of the association one after the other.
        until(lambda: held().failed == both, f"slurmctld has {both}")
    finally:
        cluster.forget(name)


def test_a_failed_uid_lookup_is_found_and_healed_with_nothing_lost(tmp_path: Path) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account("cf1"), account("cf2"))
    ledger.run(handler)
    users: list[Mapping[str, object]] = [
        {"account": "cf1", "user": "one", "specs": "MaxJobs=3"},
        {"account": "cf1", "user": "two"},
        {"account": "cf2", "user": "two", "specs": "MaxJobs=4"},
    ]
    ledger.want(handler, "allocation:1", *users)
    ledger.run(handler)
    assert cluster.state is not None
    state = json.loads(cluster.state.read_text())
    before = sorted(map(str, state["assocs"]))
    state["failed"] = ["one", "two"]
    cluster.state.write_text(json.dumps(state))
    outcomes = ledger.run(handler)
    assert faults(outcomes) == {}
    assert any("repair one" in text for text in changes(outcomes))
    after = json.loads(cluster.state.read_text())
    assert after["failed"] == []
    assert sorted(map(str, after["assocs"])) == before


@pytest.mark.parametrize("right", ["admin", "coord"])
def test_who_has_more_rights_than_an_association_is_healed_without_being_deleted(
    tmp_path: Path, right: str
) -> None:
    cluster = slurm_sites.emulated(tmp_path)
    handler, ledger = cluster.handler(), Ledger()
    ledger.want(handler, "allocation:1", account("cf1"))
    ledger.run(handler)
    ledger.want(handler, "allocation:1", {"account": "cf1", "user": "one"})
    ledger.run(handler)
    assert cluster.state is not None
    state = json.loads(cluster.state.read_text())
    state["failed"] = ["one"]
    state["users"]["one"][right] = "Operator" if right == "admin" else "cf1"
    cluster.state.write_text(json.dumps(state))
    assert faults(ledger.run(handler)) == {}
    after = json.loads(cluster.state.read_text())
    assert (after["failed"], after["users"]["one"]) == ([], state["users"]["one"])
