"""What the service answers is brought home, for every user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from coldfront.core.allocation.models import (
    Allocation,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.resource.models import Resource
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from provisioner.coldfront.answering import answers
from provisioner.coldfront.models import Request, Standing
from provisioner.system.users import user_name
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database


@pytest.fixture
def active(site: Site) -> Allocation:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    site.decide(allocation, "approve")
    return allocation


def stands(allocation: Any) -> dict[str, str]:
    rows = Standing.objects.filter(allocation=allocation.pk)
    return dict(rows.values_list("user", "state"))


def answer_all(site: Site, state: str = "done") -> None:
    for row in Request.objects.filter(state__in=["written", "accepted", "deferred"]):
        site.answer(row, state)
    site.sync()


def test_a_user_is_ready_when_account_and_allocation_are(site: Site, active: Allocation) -> None:
    site.sync()
    assert stands(active) == {"cgray": "waiting"}
    site.answer(site.rows(action="allocation.provision")[0], "done")
    site.sync()
    assert stands(active) == {"cgray": "waiting"}
    site.answer(site.rows(action="user.provision")[0], "done")
    site.sync()
    assert stands(active) == {"cgray": "ready"}


def test_each_step_of_each_user_is_recorded(site: Site, active: Allocation) -> None:
    active.add_user(User.objects.get(username="jjames"))
    [row] = site.rows(action="allocation.provision", key=f"allocation-{active.pk}")[-1:]
    for one in site.rows(action="user.provision"):
        site.answer(one, "done")
    step = {
        "step": "associations",
        "handler": "slurm-a",
        "state": "failed",
        "users": {"cgray": "done", "jjames": "failed"},
        "problems": [{"user": "jjames", "message": "no uid", "advice": "make the account"}],
    }
    site.answer(row, "failed", step)
    site.sync()
    assert stands(active) == {"cgray": "ready", "jjames": "failed"}
    standing = Standing.objects.get(user="jjames")
    assert (standing.message, standing.advice) == ("associations: no uid", "make the account")
    steps = row.steps.values_list("name", "user", "handler", "state")
    assert ("associations", "jjames", "slurm-a", "failed") in list(steps)


def test_what_failed_and_was_tried_again_is_seen(site: Site, active: Allocation) -> None:
    answer_all(site, "failed")
    assert stands(active) == {"cgray": "failed"}
    for row in site.rows(state="failed"):
        site.answer(row, "done")
    site.sync()
    assert stands(active) == {"cgray": "ready"}


@pytest.mark.parametrize(
    ("leaving", "left"), [(["jjames"], ["cgray"]), (["jjames", "cgray"], [])], ids=["one", "all"]
)
def test_who_is_removed_stands_nowhere(
    site: Site, active: Allocation, leaving: list[str], left: list[str]
) -> None:
    active.add_user(User.objects.get(username="jjames"))
    answer_all(site)
    for name in leaving:
        active.remove_user(User.objects.get(username=name))
    site.sync()
    assert list(stands(active)) == left


def test_an_allocation_that_is_closed_closes_its_users(site: Site, active: Allocation) -> None:
    answer_all(site)
    site.decide(active, status="Revoked")
    answer_all(site)
    assert stands(active) == {"cgray": "closed"}


def test_no_receipts_yet_is_no_error(site: Site, active: Allocation) -> None:
    site.receipts.rmdir()
    assert "0 answers" in site.sync()


# Pending, where a centre opts in.


@pytest.fixture
def opted_in(site: Site, active: Allocation) -> Allocation:
    answer_all(site)
    with override_settings(PROVISIONER_PENDING=True):
        site.sync()
        yield active


def test_who_is_active_at_first_stays_so(site: Site, opted_in: Allocation) -> None:
    site.sync()
    assert site.users(opted_in) == {"cgray": "Active"}


def test_who_was_the_last_user_and_comes_back_is_pending(site: Site, opted_in: Allocation) -> None:
    user = User.objects.get(username="cgray")
    opted_in.remove_user(user)
    answer_all(site)
    opted_in.add_user(user)
    site.sync()
    assert site.users(opted_in) == {"cgray": "Pending"}


def test_who_comes_in_is_pending_until_everything_is_in_place(
    site: Site, opted_in: Allocation
) -> None:
    opted_in.add_user(User.objects.get(username="jjames"))
    site.sync()
    assert site.users(opted_in) == {"cgray": "Active", "jjames": "Pending"}
    assert site.last("allocation.provision")["allocation"]["users"] == ["cgray", "jjames"]
    answer_all(site)
    assert site.users(opted_in) == {"cgray": "Active", "jjames": "Active"}
    row = AllocationUser.objects.get(user__username="jjames", allocation=opted_in)
    number = site.rows(action="allocation.provision")[-1].number
    assert row.history.first().history_change_reason == f"provisioner: cf-{number}"
    answer_all(site)
    assert site.users(opted_in)["jjames"] == "Active"


@pytest.mark.parametrize("status", ["Removed", "Error", "DeclinedEULA"])
def test_nobody_is_revived(site: Site, opted_in: Allocation, status: str) -> None:
    opted_in.add_user(User.objects.get(username="jjames"))
    site.sync()
    AllocationUser.objects.filter(allocation=opted_in, user__username="jjames").update(
        status=AllocationUserStatusChoice.objects.get(name=status)
    )
    answer_all(site)
    assert site.users(opted_in)["jjames"] == status


def test_nobody_becomes_active_in_an_allocation_that_is_not(
    site: Site, opted_in: Allocation
) -> None:
    opted_in.add_user(User.objects.get(username="jjames"))
    site.sync()
    site.quietly(opted_in, "Expired")
    answer_all(site)
    assert site.users(opted_in)["jjames"] == "Pending"


@pytest.fixture
def opted_out(site: Site, active: Allocation) -> Allocation:
    """Give an allocation in which jjames is Pending, of a centre that has opted out since."""
    answer_all(site)
    with override_settings(PROVISIONER_PENDING=True):
        site.sync()
        active.add_user(User.objects.get(username="jjames"))
        site.sync()
    return active


def set_status(allocation: Allocation, status: str) -> None:
    choice, _ = AllocationUserStatusChoice.objects.get_or_create(name=status)
    AllocationUser.objects.filter(allocation=allocation, user__username="jjames").update(
        status=choice
    )


def wanted(site: Site, allocation: Allocation) -> list[str]:
    """List the users of an allocation whom the next manifest names."""
    call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
    [manifest] = site.staging.glob("*.jsonl")
    for line in map(json.loads, manifest.read_text().splitlines()):
        if line.get("allocation", {}).get("id") == str(allocation.pk):
            return list(line["allocation"]["users"])
    raise AssertionError(f"the manifest leaves out allocation {allocation.pk}")


def test_opting_out_takes_access_from_nobody(site: Site, opted_out: Allocation) -> None:
    assert wanted(site, opted_out) == ["cgray", "jjames"]


def test_after_opting_out_the_next_sync_lets_everybody_in_who_was_pending(
    site: Site, opted_out: Allocation
) -> None:
    assert "0 Pending, 1 Active" in site.sync()
    assert site.users(opted_out) == {"cgray": "Active", "jjames": "Active"}
    row = AllocationUser.objects.get(user__username="jjames", allocation=opted_out)
    why = row.history.first().history_change_reason
    assert why == "provisioner: PROVISIONER_PENDING is off"


@pytest.mark.parametrize("status", ["Removed", "Error", "DeclinedEULA"])
def test_opting_out_revives_nobody(site: Site, opted_out: Allocation, status: str) -> None:
    set_status(opted_out, status)
    site.sync()
    assert site.users(opted_out)["jjames"] == status
    assert wanted(site, opted_out) == ["cgray"]


def test_after_opting_out_who_is_in_an_expired_allocation_waits_for_its_renewal(
    site: Site, opted_out: Allocation
) -> None:
    site.quietly(opted_out, "Expired")
    site.sync()
    assert site.users(opted_out)["jjames"] == "Pending"
    site.quietly(opted_out, "Active")
    site.sync()
    assert site.users(opted_out)["jjames"] == "Active"


def test_who_is_active_when_a_centre_opts_in_again_stays_so(
    site: Site, opted_out: Allocation
) -> None:
    site.sync()
    with override_settings(PROVISIONER_PENDING=True):
        site.sync()
        site.sync()
    assert site.users(opted_out) == {"cgray": "Active", "jjames": "Active"}


def test_a_centres_own_status_of_that_name_gives_no_access(site: Site, active: Allocation) -> None:
    active.add_user(User.objects.get(username="jjames"))
    set_status(active, "Pending")
    site.sync()
    assert wanted(site, active) == ["cgray"]
    call_command("provisioner_uninstall", "--yes", stdout=StringIO())
    assert site.users(active)["jjames"] == "Pending"


# The whole chain, with the service over emulated backends.


def test_from_approval_to_ready_and_back(site: Site, tmp_path: Path) -> None:
    provisioner = Path(sys.executable).with_name("provisioner")
    top = tmp_path / "site"

    def run(*arguments: object) -> None:
        environment = {**os.environ, "PROVISIONER_CONFIG": str(top / "provisioner.yaml")}
        subprocess.run(
            [provisioner, *map(str, arguments)], check=True, env=environment, capture_output=True
        )

    run("sandbox", top)
    resources = yaml.safe_load((top / "provisioner.yaml").read_text())["resources"]
    cluster = next(name for name in resources if "cluster" in name)
    for other in Resource.objects.exclude(name=HPC):
        site.says(other.name, provisioner_resource="-")
    site.says(HPC, slurm_cluster=cluster)
    allocation = site.allocation(HPC)
    # Of the QOS of ColdFront's test data the sandbox's Slurm knows none.
    specs = allocation.allocationattribute_set.filter(allocation_attribute_type__name="slurm_specs")
    specs.update(value="Fairshare=100")
    site.quietly(allocation, "New")
    spool = {
        "PROVISIONER_STAGING": str(top / "spool" / "staging"),
        "PROVISIONER_RECEIPTS": str(top / "spool" / "receipts" / user_name(os.geteuid())),
    }
    with override_settings(**spool):
        site.decide(allocation, "approve")
        run("run", "--drain")
        site.sync()
        assert stands(allocation) == {"cgray": "ready"}
        call_command("provisioner_reconcile", stdout=StringIO(), stderr=StringIO())
        run("run", "--drain")
        site.sync()
        [reconciled] = site.rows(action="reconcile")
        assert reconciled.state == "done", reconciled.answer
        site.decide(allocation, status="Revoked")
        run("run", "--drain")
        site.sync()
        [closed] = site.rows(action="allocation.suspend")
        assert (closed.state, stands(allocation)) == ("done", {"cgray": "closed"})
        site.decide(allocation, status="Active")
        run("run", "--drain")
        site.sync()
        assert stands(allocation) == {"cgray": "ready"}


# Taking the app out.


def rows() -> dict[str, list[tuple[Any, ...]]]:
    """Read the whole database, but for sessions."""
    with connection.cursor() as cursor:
        tables = sorted(connection.introspection.table_names(cursor))
        found = {}
        for table in tables:
            if table not in ("django_session", "sqlite_sequence"):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
                found[table] = sorted(cursor.fetchall(), key=repr)
    return found


def test_uninstalling_leaves_coldfront_as_it_was(site: Site) -> None:
    call_command("migrate", "provisioner_coldfront", "zero", verbosity=0)
    from django.contrib.contenttypes.models import ContentType

    ContentType.objects.filter(app_label="provisioner_coldfront").delete()
    before = rows()
    call_command("migrate", verbosity=0)
    assert rows() != before
    with override_settings(PROVISIONER_PENDING=True):
        site.sync()
    call_command("provisioner_schedule", stdout=StringIO())
    call_command("provisioner_uninstall", "--yes", stdout=StringIO())
    assert rows() == before


def test_uninstalling_says_first_what_goes(site: Site, active: Allocation) -> None:
    site.fill_in(active, "fileset_name", "folding")
    said = StringIO()
    with pytest.raises(CommandError, match="nothing was removed"):
        call_command("provisioner_uninstall", stdout=said)
    assert "1 values of allocation.AllocationAttributeType" in said.getvalue()
    assert active.get_attribute("fileset_name") == "folding"


def test_uninstalling_lets_everybody_in_who_was_pending(site: Site, opted_in: Allocation) -> None:
    opted_in.add_user(User.objects.get(username="jjames"))
    site.sync()
    call_command("provisioner_uninstall", "--yes", stdout=StringIO())
    assert site.users(opted_in)["jjames"] == "Active"
    assert not AllocationUserStatusChoice.objects.filter(name="Pending").exists()


def test_a_newer_use_in_the_receipt_of_what_is_done_is_read(site: Site, active: Allocation) -> None:
    [row] = site.rows(action="allocation.provision", allocation=active.pk)
    for used in (5, 7):
        step = {"step": "fileset", "handler": "fs1", "state": "done", "use": {"space": used}}
        site.answer(row, "done", step)
        assert " 1 answers" in site.sync()
        row.refresh_from_db()
        assert answers.use(row.answer) == answers.Use(space=used)
    assert " 0 answers" in site.sync()
