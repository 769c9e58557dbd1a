"""What tests do with a ColdFront: as people do it, through its own views."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldfront.core.allocation.models import (
    Allocation,
    AllocationAttribute,
    AllocationAttributeType,
    AllocationStatusChoice,
    AllocationUser,
)
from coldfront.core.project.models import Project, ProjectUserRoleChoice
from coldfront.core.resource.models import Resource, ResourceAttribute, ResourceAttributeType
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client, override_settings

from provisioner.coldfront.asking.heard import PACE
from provisioner.coldfront.models import Request
from provisioner.contract import Json
from tests.support import outbox


@dataclass
class Site:
    """A ColdFront with a staging directory."""

    staging: Path
    receipts: Path
    _clients: dict[str, Client] = field(default_factory=dict)

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
            yield site

    @contextlib.contextmanager
    def atomic_requests(self, on: bool) -> Iterator[None]:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = on
        try:
            yield
        finally:
            connections["default"].settings_dict["ATOMIC_REQUESTS"] = False

    # People.

    def client(self, user: str = "admin") -> Client:
        if user not in self._clients:
            client = Client()
            client.force_login(
                User.objects.get(username=user), "django.contrib.auth.backends.ModelBackend"
            )
            self._clients[user] = client
        return self._clients[user]

    def post(self, path: str, form: dict[str, Any], user: str = "admin") -> Any:
        """Send a form; a page that broke fails the test."""
        response = self.client(user).post(path, form)
        errors = (response.context or {}).get("errors", "")
        assert response.status_code == 302, f"{path}: {response.status_code} {errors}"
        return response

    def pick(self, path: str, form: str, *names: str, user: str = "admin") -> None:
        """Tick users of a form that lists several; without names, all of them."""
        formset = self.client(user).get(path).context["formset"]
        listed = [one.initial["username"] for one in formset]
        sent = {
            f"{form}-TOTAL_FORMS": formset.total_form_count(),
            f"{form}-INITIAL_FORMS": formset.initial_form_count(),
        }
        ticked = [listed.index(name) for name in names or listed]
        sent |= {f"{form}-{number}-selected": "on" for number in ticked}
        self.post(path, sent, user)

    def edit(self, path: str, *, by: str = "admin", **changes: object) -> None:
        """Change something in Django's admin: every field as shown, but for the changes."""
        shown = self.client(by).get(path).context
        forms = [shown["adminform"].form]
        for inline in shown["inline_admin_formsets"]:
            forms += [inline.formset.management_form, *inline.formset.forms]
        values = {field.html_name: field.value() for form in forms for field in form} | changes
        sent = {
            name: value
            for name, value in values.items()
            if value is not None and value is not False
        }
        self.post(path, sent, by)

    def delete_attribute(self, allocation: Any, attribute: str) -> None:
        """Delete an attribute of an allocation, as staff do."""
        path = f"/allocation/{allocation.pk}/allocationattribute/delete"
        formset = self.client().get(path).context["formset"]
        names = [one.initial["name"] for one in formset]
        sent = {
            "attributeform-TOTAL_FORMS": formset.total_form_count(),
            "attributeform-INITIAL_FORMS": formset.initial_form_count(),
            f"attributeform-{names.index(attribute)}-selected": "on",
            **{f"attributeform-{n}-pk": one.initial["pk"] for n, one in enumerate(formset)},
        }
        self.post(path, sent)

    def get(self, path: str, user: str = "admin") -> str:
        response = self.client(user).get(path)
        assert response.status_code == 200, response.status_code
        return str(response.content.decode())

    # What is there.

    def project(self, title: str = "Angular momentum in QGP holography") -> Project:
        found = Project.objects.get(title=title)
        Project.objects.filter(pk=found.pk).update(force_review=False)
        return found

    def allocation(self, resource: str) -> Allocation:
        return Allocation.objects.get(resources__name=resource)

    def says(self, resource: str, **attributes: str) -> None:
        """Give a resource attributes, as an admin does once."""
        for name, value in attributes.items():
            ResourceAttribute.objects.update_or_create(
                resource=Resource.objects.get(name=resource),
                resource_attribute_type=ResourceAttributeType.objects.get(name=name),
                defaults={"value": value},
            )

    def fill_in(self, allocation: Any, name: str, value: object) -> Any:
        """Give an allocation an attribute, as staff do."""
        kind = AllocationAttributeType.objects.get(name=name)
        made, _ = AllocationAttribute.objects.update_or_create(
            allocation=allocation, allocation_attribute_type=kind, defaults={"value": str(value)}
        )
        return made

    def users(self, allocation: Any) -> dict[str, str]:
        rows = AllocationUser.objects.filter(allocation=allocation)
        return dict(rows.values_list("user__username", "status__name"))

    def join(self, project: Any, name: str) -> None:
        project.add_user(
            User.objects.get(username=name), ProjectUserRoleChoice.objects.get(name="User")
        )

    def decide(self, allocation: Any, action: str = "update", status: str = "Active") -> None:
        """Press a button of an allocation's page, as an admin."""
        form = {
            "action": action,
            "status": AllocationStatusChoice.objects.get(name=status).pk,
            "start_date": "2026-01-01",
            "end_date": "2099-01-01",
            "description": "",
        }
        self.post(f"/allocation/{allocation.pk}/", form)

    def quietly(self, allocation: Any, status: str) -> None:
        """Change an allocation's status so that nobody hears of it."""
        Allocation.objects.filter(pk=allocation.pk).update(
            status=AllocationStatusChoice.objects.get(name=status)
        )

    def approved(self, resource: str, cluster: str) -> Any:
        """Give an allocation of cgray's project, that jjames is in, too, approved just now."""
        self.says(resource, slurm_cluster=cluster)
        allocation = self.allocation(resource)
        self.join(allocation.project, "jjames")
        allocation.add_user(User.objects.get(username="jjames"))
        self.quietly(allocation, "New")
        self.decide(allocation, "approve")
        return allocation

    # What was asked for.

    def rows(self, **about: Any) -> Sequence[Request]:
        return list(Request.objects.filter(**about))

    def files(self) -> list[dict[str, Any]]:
        """Read every request in staging, in the writer's order; each is right by the format."""
        return outbox.files(self.staging)

    def last(self, action: str) -> dict[str, Any]:
        return [document for document in self.files() if document["action"] == action][-1]

    def answer(
        self,
        row: Request,
        state: str,
        *steps: dict[str, Any],
        problems: Sequence[dict[str, Any]] = (),
        ulid: str = "i",
        **told: Json,
    ) -> None:
        """Answer as the service does. told: what the receipt says otherwise."""
        outbox.answer(self.receipts, row, state, *steps, problems=problems, id=ulid, **told)

    def followed(self) -> None:
        """Answer every manifest as a service does that has followed it."""
        for row in self.rows(action="reconcile"):
            self.answer(row, "done")
        self.sync()

    def sync(self) -> str:
        return outbox.sync()

    def clear(self) -> None:
        """Forget what was asked for so far, but not that it was asked for."""
        for path in self.staging.iterdir():
            path.unlink()
