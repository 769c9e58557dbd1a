"""Who is let in, after whatever happens in ColdFront: its own tables are the oracle.

What people and timers do runs in a real ColdFront, the sandbox serves it, and Slurm, the project's
group and the campus accounts are then read back. Locked users are told from users who are in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from coldfront.core.allocation.models import Allocation, AllocationStatusChoice, AllocationUser
from coldfront.core.allocation.tasks import update_statuses
from coldfront.core.project.models import (
    Project,
    ProjectStatusChoice,
    ProjectUser,
    ProjectUserStatusChoice,
)
from coldfront.core.resource.models import Resource
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import override_settings

from provisioner.coldfront.asking.heard import PACE
from provisioner.system.users import user_name
from tests.coldfront.allocations import HPC
from tests.coldfront.site import Site
from tests.support.cli_site import Desk

ENTITLED = ("Active", "Renewal Requested")
DISABLED = 2
"""ACCOUNTDISABLE of userAccountControl (MS-ADTS 2.2.16)."""

Members = dict[str, set[str]]


@dataclass(frozen=True)
class Centre:
    """A ColdFront, the sandbox that it asks, and an allocation that was approved."""

    site: Site
    desk: Desk
    number: int

    @property
    def allocation(self) -> Allocation:
        return Allocation.objects.get(pk=self.number)

    def serve(self) -> None:
        """Serve what was asked for, and let time pass, as it does between changes by people."""
        PACE.begin_anew()
        self.desk("run", "--drain", "--patience", "20", code=None)
        self.site.sync()

    def reconcile(self) -> None:
        call_command("provisioner_reconcile")
        self.serve()

    def toggle(self, name: str) -> None:
        """Bring somebody into the allocation, or out of it who is in."""
        user = User.objects.get(username=name)
        if self.site.users(self.allocation).get(name) == "Active":
            self.allocation.remove_user(user)
            return
        if not ProjectUser.objects.filter(project=self.allocation.project, user=user).exists():
            self.site.join(self.allocation.project, name)
        self.allocation.add_user(user)

    def status(self, name: str) -> None:
        self.site.decide(self.allocation, status=name)

    def written(self) -> dict[str, bytes]:
        files = ("ad.json", "lds.json", "slurm/slurmdbd.json", "gpfs/state.json")
        return {name: (self.desk.root / name).read_bytes() for name in files}


Act = Callable[[Centre], object]


@pytest.fixture
def centre(site: Site, tmp_path: Path) -> Iterator[Centre]:
    desk = Desk(tmp_path / "box")
    sacctmgr = desk.root / "slurm/bin/sacctmgr"
    subprocess.run([sacctmgr, "-i", "add", "qos", "supporters"], check=True, capture_output=True)
    receipts = desk.spool / "receipts" / user_name(os.geteuid())
    asking = Site(desk.spool / "staging", receipts)
    for resource in Resource.objects.exclude(name=HPC):
        asking.says(resource.name, provisioner_resource="-")
    with override_settings(
        PROVISIONER_STAGING=str(asking.staging), PROVISIONER_RECEIPTS=str(receipts)
    ):
        centre = Centre(asking, desk, asking.approved(HPC, "cluster-a").pk)
        centre.serve()
        centre.reconcile()
        yield centre


# What is so, and what should be.


def in_slurm(desk: Desk) -> tuple[Members, Members]:
    """Read who may run jobs, and who is locked, by account."""
    words = "-nP show assoc cluster=a format=account,user,maxjobs,maxsubmit,grpjobs,grpsubmit"
    sacctmgr = desk.root / "slurm/bin/sacctmgr"
    shown = subprocess.run([sacctmgr, *words.split()], check=True, capture_output=True, text=True)
    rows = [line.split("|") for line in shown.stdout.splitlines()]
    closed = {row[0] for row in rows if not row[1] and row[4:6] == ["0", "0"]}
    free: Members = {}
    locked: Members = {}
    for account, user, jobs, submitted, *_ in rows:
        if user not in ("", "root"):
            shut = account in closed or (jobs, submitted) == ("0", "0")
            (locked if shut else free).setdefault(account, set()).add(user)
    return free, locked


def directory(desk: Desk) -> tuple[Members, set[str], set[str]]:
    """Read the groups with their members, the accounts that are enabled, and the others."""
    entries: dict[str, Any] = {}
    for line in (desk.root / "ad.json").read_text().splitlines():
        said = json.loads(line)
        if "dn" in said:
            entries[said["dn"].lower()] = said["entry"]
    groups: Members = {}
    enabled: set[str] = set()
    disabled: set[str] = set()
    for entry in filter(None, entries.values()):
        kinds, [name] = entry["objectClass"], entry.get("sAMAccountName", [""])
        if "group" in kinds:
            groups[name] = {re.split("[=,]", one)[1] for one in entry.get("member", ())}
        elif "user" in kinds:
            off = int(entry["userAccountControl"][0]) & DISABLED
            (disabled if off else enabled).add(name)
    return groups, enabled, disabled


def entitled(project: Project | None = None) -> Iterator[tuple[Allocation, set[str]]]:
    """Say of ColdFront's allocations that let in whom they do."""
    found = Allocation.objects.filter(status__name__in=ENTITLED, resources__name=HPC)
    found = found.exclude(project__status__name="Archived")
    for allocation in found.filter(project=project) if project else found:
        rows = AllocationUser.objects.filter(
            allocation=allocation, status__name="Active", user__is_active=True
        )
        yield allocation, set(rows.values_list("user__username", flat=True))


def wanted_in_slurm() -> Members:
    found: Members = {}
    for allocation, names in entitled():
        [account] = allocation.get_attribute_list("slurm_account_name")
        found.setdefault(account.lower(), set()).update(names)
    return found


def wanted_in_groups() -> Members:
    found: Members = {}
    for project in Project.objects.exclude(status__name="Archived"):
        rows = ProjectUser.objects.filter(project=project, status__name="Active")
        rows = rows.filter(user__is_active=True)
        names = {project.pi.username, *rows.values_list("user__username", flat=True)}
        found[f"cf{project.pk}"] = names.union(*(users for _, users in entitled(project)))
    return found


def differences(centre: Centre) -> list[str]:
    """Compare what is so with what ColdFront's tables say."""
    groups, enabled, disabled = directory(centre.desk)
    allowed = set(User.objects.filter(is_active=True).values_list("username", flat=True))
    found = [
        f"{what} {name}: {sorted(has.get(name, ()))}, not {sorted(should.get(name, ()))}"
        for what, should, has in (
            ("account", wanted_in_slurm(), in_slurm(centre.desk)[0]),
            ("group", wanted_in_groups(), groups),
        )
        for name in sorted(should.keys() | has.keys())
        if should.get(name, set()) != has.get(name, set())
    ]
    found += [f"{name} may log in" for name in sorted(enabled - allowed)]
    found += [f"{name} may not log in" for name in sorted(disabled & allowed)]
    return found


def expires(centre: Centre) -> None:
    Allocation.objects.filter(pk=centre.number).update(end_date="2026-01-02")
    update_statuses()


def is_archived(centre: Centre) -> None:
    centre.site.post(f"/project/{centre.allocation.project.pk}/archive", {})


def comes_back(centre: Centre) -> None:
    active = ProjectStatusChoice.objects.get(name="Active")
    Project.objects.filter(pk=centre.allocation.project.pk).update(status=active)
    centre.status("Active")


def corrected(*statuses: str) -> Act:
    def act(centre: Centre) -> None:
        for name in statuses:
            centre.status(name)

    return act


def of_project(name: str) -> Act:
    def act(centre: Centre) -> None:
        rows = ProjectUser.objects.filter(project=centre.allocation.project)
        status = ProjectUserStatusChoice.objects.get(name=name)
        rows.filter(user__username="jjames").update(status=status)

    return act


def renamed(old: str, new: str) -> Act:
    return lambda centre: User.objects.filter(username=old).update(username=new)


def moved(title: str) -> Act:
    project = {"title__startswith": title}
    return lambda centre: Allocation.objects.filter(pk=centre.number).update(
        project=Project.objects.get(**project)
    )


def quietly(status: str) -> Act:
    return lambda centre: centre.site.quietly(centre.allocation, status)


def may_log_in(name: str, may: bool) -> Act:
    return lambda centre: User.objects.filter(username=name).update(is_active=may)


def led_by(name: str) -> Act:
    return lambda centre: Project.objects.filter(pk=centre.allocation.project.pk).update(
        pi=User.objects.get(username=name)
    )


HEARD: Sequence[tuple[str, Act]] = [
    ("it expires at night", expires),
    ("staff renew it", corrected("Active")),
    ("a wrong status is corrected at once", corrected("Denied", "Active")),
    ("a correction is taken back at once", corrected("Expired", "Active", "Expired")),
    ("it is active again", corrected("Active")),
    ("its project is archived", is_archived),
    ("it is active in an archived project", corrected("Active")),
    ("it is deleted", lambda centre: centre.allocation.delete()),
]

SILENT: Sequence[tuple[str, Act]] = [
    ("a member is to be removed from the project", of_project("Pending - Remove")),
    ("a member is removed from the project alone", of_project("Removed")),
    ("a member is back", of_project("Active")),
    ("a user has another name", renamed("jjames", "jj2")),
    ("a user has the old name again", renamed("jj2", "jjames")),
    ("it is another project's", moved("Measuring")),
    ("it is its own project's again", moved("Angular")),
    ("its project is archived", is_archived),
    ("its project comes back", comes_back),
    ("the PI is another", led_by("sfoster")),
    ("a user may not log in", may_log_in("jjames", False)),
    ("a user may log in again", may_log_in("jjames", True)),
    ("a user is deleted", lambda centre: User.objects.get(username="jjames").delete()),
    ("the last allocation of all is revoked", quietly("Revoked")),
    ("it is active again", quietly("Active")),
    ("its project is deleted", lambda centre: centre.allocation.project.delete()),
]


def test_a_status_lets_in_or_locks_and_who_comes_and_goes_meanwhile_counts_then(
    centre: Centre,
) -> None:
    for status in AllocationStatusChoice.objects.order_by("name"):
        centre.status(status.name)
        centre.toggle("csimmons")
        centre.serve()
        free, locked = in_slurm(centre.desk)
        assert (bool(free), bool(locked)) == (status.name in ENTITLED, status.name not in ENTITLED)
        assert differences(centre) == [], status.name
    quiet(centre)


def test_what_an_event_tells_is_so_without_a_reconcile(centre: Centre) -> None:
    for what, act in HEARD:
        act(centre)
        centre.serve()
        assert differences(centre) == [], what
    quiet(centre)


def test_what_no_event_tells_is_so_after_a_reconcile(centre: Centre) -> None:
    for what, act in SILENT:
        act(centre)
        centre.reconcile()
        assert differences(centre) == [], what
    quiet(centre)


def quiet(centre: Centre) -> None:
    """Reconcile what is as it should be: nothing is written."""
    before = centre.written()
    centre.reconcile()
    assert [name for name, had in before.items() if centre.written()[name] != had] == []
