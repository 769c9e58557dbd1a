"""Whatever staging does, nothing is lost and no page of ColdFront breaks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from coldfront.core.allocation.models import (
    Allocation,
    AllocationUser,
    AllocationUserStatusChoice,
)
from coldfront.core.allocation.signals import allocation_activate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from provisioner.coldfront import signals
from provisioner.coldfront.asking import sending
from provisioner.coldfront.models import Request
from tests.coldfront.site import Site

HPC = "University HPC"

pytestmark = pytest.mark.database

Fault = Callable[[Site], AbstractContextManager[None]]


@pytest.fixture
def new(site: Site) -> Allocation:
    site.says(HPC, slurm_cluster="a")
    allocation = site.allocation(HPC)
    site.quietly(allocation, "New")
    return allocation


@contextmanager
def _missing(site: Site) -> Iterator[None]:
    site.staging.rmdir()
    yield
    site.staging.mkdir()


@contextmanager
def _a_file(site: Site) -> Iterator[None]:
    site.staging.rmdir()
    site.staging.touch()
    yield
    site.staging.unlink()
    site.staging.mkdir()


@contextmanager
def _full(site: Site) -> Iterator[None]:
    """Mount a file system with room for nothing."""
    place = str(site.staging)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "tmpfs", place], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@contextmanager
def _read_only(site: Site) -> Iterator[None]:
    place = str(site.staging)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
FAULTS = [
    _missing,
    _a_file,
    pytest.param(_full, marks=_mounts),
    pytest.param(_read_only, marks=_mounts),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_staging_does_not_take_is_kept_and_written_later(
    site: Site,
    new: Allocation,
    fault: Fault,
    atomic_requests: bool,
) -> None:
    with fault(site):
        with site.atomic_requests(atomic_requests):
            site.decide(new, "approve")
        waiting = site.rows(state="new")
        assert {row.action for row in waiting} == {"user.provision", "allocation.provision"}
        assert [row.error for row in waiting if row.error] != []
        with pytest.raises(
            CommandError, match="2 requests wait, because ColdFront cannot write to staging"
        ):
            call_command("provisioner_flush")
    call_command("provisioner_flush")
    assert [one["id"] for one in site.files()] == [f"cf-{row.number}" for row in waiting]
    assert site.rows(state="new") == []


def test_the_next_event_catches_up(site: Site, new: Allocation) -> None:
    with _missing(site):
        site.decide(new, "approve")
    site.project().add_user(
        User.objects.get(username="jjames"), new.project.projectuser_set.get().role
    )
    assert {one["action"] for one in site.files()} == {
        "user.provision",
        "allocation.provision",
        "project.provision",
    }


def test_an_event_writes_a_few_files_and_leaves_the_rest_to_the_timer(
    site: Site, new: Allocation
) -> None:
    status = AllocationUserStatusChoice.objects.get(name="Active")
    AllocationUser.objects.bulk_create(
        AllocationUser(allocation=new, user=user, status=status)
        for user in User.objects.exclude(username="cgray")[:20]
    )
    site.quietly(new, "Active")
    with override_settings(PROVISIONER_AT_ONCE=5):
        allocation_activate.send(sender=None, allocation_pk=new.pk)
    assert len(site.files()) == 5
    site.sync()
    assert site.rows(state="new") == []
    assert len(site.files()) == 1 + len(site.users(new))


def test_a_database_without_our_tables_breaks_no_page(site: Site, new: Allocation) -> None:
    with connection.schema_editor() as editor:
        editor.alter_db_table(Request, "provisioner_coldfront_request", "elsewhere")
    site.decide(new, "approve")
    assert Allocation.objects.get(pk=new.pk).status.name == "Active"


def test_what_cannot_be_understood_breaks_no_page(site: Site, new: Allocation) -> None:
    with override_settings(PROVISIONER_PROJECT_CODE="{nonsense}"):
        site.decide(new, "approve")
    assert Allocation.objects.get(pk=new.pk).status.name == "Active"
    assert "Active" in site.get(f"/allocation/{new.pk}/")


def test_a_name_that_no_backend_takes_breaks_nothing_and_is_told(
    site: Site, new: Allocation
) -> None:
    User.objects.filter(username="jjames").update(username="J James@campus")
    site.join(new.project, "J James@campus")
    new.add_user(User.objects.get(username="J James@campus"))
    site.decide(new, "approve")
    asked = site.last("allocation.provision")["allocation"]
    assert asked["users"] == ["cgray"]
    [row] = site.rows(action="allocation.provision")
    assert "'J James@campus' is left out" in row.problems[0]
    [lacking] = site.rows(state="incomplete")
    assert lacking.subject == "user:J James@campus"


def test_who_is_listened_to_does_not_matter_and_once_is_enough(site: Site, new: Allocation) -> None:
    signals.connect()
    site.quietly(new, "Active")
    allocation_activate.send(sender=object, allocation_pk=new.pk)
    assert len(site.rows(action="allocation.provision")) == 1


def test_nothing_is_said_of_a_change_that_is_rolled_back(site: Site, new: Allocation) -> None:
    from django.db import transaction

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        site.quietly(new, "Active")
        allocation_activate.send(sender=None, allocation_pk=new.pk)
        raise ZeroDivisionError
    assert site.rows() == []


def test_what_failed_is_asked_for_again(site: Site, new: Allocation) -> None:
    site.decide(new, "approve")
    Request.objects.filter(action="allocation.provision").update(state="failed")
    allocation_activate.send(sender=None, allocation_pk=new.pk)
    assert [row.state for row in site.rows(action="allocation.provision")] == ["failed", "written"]


def test_what_a_killed_process_began_is_said_anew(site: Site, new: Allocation) -> None:
    site.quietly(new, "Active")
    begun = Request.objects.create(event="x", key=f"allocation-{new.pk}", allocation=new.pk)
    Request.objects.filter(pk=begun.pk).update(created="2020-01-01T00:00:00Z")
    sending.flush()
    assert site.last("allocation.provision")["order"]["number"] > begun.number


def test_the_files_are_the_writers_alone(site: Site, new: Allocation) -> None:
    site.decide(new, "approve")
    assert {path.stat().st_mode & 0o777 for path in site.staging.iterdir()} == {0o600}
    assert all(path.name.startswith("cf-") for path in site.staging.iterdir())


def test_two_processes_that_write_the_same_row_write_the_same(site: Site, new: Allocation) -> None:
    site.decide(new, "approve")
    Request.objects.filter(action="allocation.provision").update(state="new")
    sending.flush()
    asked = [one for one in site.files() if one["action"] == "allocation.provision"]
    assert len(asked) == 2 and asked[0] == asked[1]


def test_no_errno_escapes(site: Site, new: Allocation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        site.decide(new, "approve")
        assert site.files() == []
    call_command("provisioner_flush")
    assert len(site.files()) == 2


def test_the_plugin_is_loaded_by_coldfronts_own_command(site: Site) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("coldfront"), "help", "provisioner_reconcile"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Write the manifest" in done.stdout


def test_the_migrations_are_what_the_models_say(site: Site) -> None:
    call_command("makemigrations", "provisioner_coldfront", "--check", "--dry-run", verbosity=0)
