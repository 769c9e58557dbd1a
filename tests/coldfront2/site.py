"""What tests do with a ColdFront 2: by its flow, its rows, its pages and its API."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from coldfront.ras.flows import AllocationStatusFlow
from coldfront.ras.models import Allocation, Project, ProjectUser
from coldfront.slurm.models import SlurmAccount, SlurmAssociation, SlurmCluster
from coldfront.storage.models import StorageQuota, StorageResource
from coldfront.users.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone

from provisioner.coldfront.asking.heard import PACE
from provisioner.coldfront.models import OPEN, Request
from tests.support import outbox

CLUSTER, STORE = "cluster-a", "store"


@dataclass
class Site:
    """A ColdFront with a staging directory."""

    staging: Path
    receipts: Path

    @classmethod
    @contextlib.contextmanager
    def at(cls, top: Path) -> Iterator[Site]:
        site = cls(top / "staging", top / "receipts")
        site.staging.mkdir()
        site.receipts.mkdir()
        PACE.begin_anew()
        settings = {
            "PROVISIONER_STAGING": str(site.staging),
            "PROVISIONER_RECEIPTS": str(site.receipts),
            "PROVISIONER_INSTANCE": "cf",
        }
        with override_settings(**settings):
            for name in ("pi", "anna", "carl"):
                User.objects.create(username=name, email=f"{name}@campus.test")
            User.objects.create(username="boss", is_superuser=True, is_staff=True)
            project = Project.objects.create(name="Protein folding", owner=site.user("pi"))
            ProjectUser.objects.create(project=project, user=site.user("anna"))
            site.clear()
            yield site

    # What is there.

    @property
    def project(self) -> Project:
        return Project.objects.get(name="Protein folding")

    def user(self, name: str) -> User:
        return User.objects.get(username=name)

    def member(self, name: str) -> ProjectUser:
        return ProjectUser.objects.get(user__username=name)

    def on_cluster(self, **about: Any) -> Allocation:
        """Request an allocation on a cluster, with its Slurm association."""
        cluster, _ = SlurmCluster.objects.get_or_create(name=CLUSTER)
        account, _ = SlurmAccount.objects.get_or_create(name="folding", cluster=cluster)
        allocation = self._requested(cluster)
        SlurmAssociation.objects.create(allocation=allocation, slurm_account=account, **about)
        return allocation

    def on_storage(self, **about: Any) -> Allocation:
        """Request an allocation on storage, with its quota."""
        store, _ = StorageResource.objects.get_or_create(
            name="project-storage", custom_field_data={"provisioner_resource": STORE}
        )
        allocation = self._requested(store)
        StorageQuota.objects.create(
            allocation=allocation, storage=store, path="/mnt/folding/data", **about
        )
        return allocation

    def _requested(self, resource: Any) -> Allocation:
        return Allocation.objects.create(
            project=self.project,
            owner=self.user("anna"),
            resource_object_type=ContentType.objects.get_for_model(type(resource)),
            resource_object_id=resource.pk,
            end_date=timezone.now() + datetime.timedelta(days=300),
        )

    # What people do.

    def move(self, allocation: Allocation, transition: str) -> None:
        """Move an allocation by ColdFront's own flow."""
        allocation.refresh_from_db()
        getattr(AllocationStatusFlow(allocation), transition)()

    def quietly(self, allocation: Allocation, **values: Any) -> None:
        """Change an allocation so that nobody hears of it."""
        Allocation.objects.filter(pk=allocation.pk).update(**values)

    def client(self, name: str = "boss") -> Client:
        client = Client()
        client.force_login(self.user(name), "coldfront.auth.backends.ObjectPermissionBackend")
        return client

    def get(self, path: str, name: str = "boss") -> str:
        response = self.client(name).get(path)
        assert response.status_code == 200, response.status_code
        return str(response.content.decode())

    # What was asked for.

    def rows(self, **about: Any) -> Sequence[Request]:
        return list(Request.objects.filter(**about))

    def files(self) -> list[dict[str, Any]]:
        return outbox.files(self.staging)

    def asked(self, action: str) -> list[dict[str, Any]]:
        return [document for document in self.files() if document["action"] == action]

    def last(self, action: str) -> dict[str, Any]:
        return self.asked(action)[-1]

    def answer(self, row: Request, state: str, *steps: dict[str, Any]) -> None:
        outbox.answer(self.receipts, row, state, *steps)

    def done(self) -> str:
        """Answer everything that waits as done, and bring the answers home."""
        outbox.sync()
        for row in Request.objects.filter(state__in=OPEN):
            self.answer(row, "done")
        return outbox.sync()

    def reconcile(self) -> list[str]:
        """Print the manifest's subjects."""
        said = StringIO()
        call_command("provisioner_reconcile", "--print", stdout=said, stderr=StringIO())
        return [line for line in said.getvalue().splitlines() if '"allocation.provision"' in line]

    def clear(self) -> None:
        """Forget what was asked for so far, but not that it was asked for."""
        for path in self.staging.iterdir():
            path.unlink()
