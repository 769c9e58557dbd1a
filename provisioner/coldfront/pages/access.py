"""Who may see and do what on the pages, by what ColdFront and Django know of them.

Promises: nothing is seen by somebody whom ColdFront would not show the thing itself.
"""

from __future__ import annotations

from typing import Any, Literal

from coldfront.core.project.models import ProjectPermission

Role = Literal["staff", "manager", "member", "none"]
"""Staff see all of it; a PI and managers their own project in plain words; a member themselves."""


def sees(user: Any) -> bool:
    """Return True if somebody sees the staff's pages: staff, or by Django's permission to view."""
    return _staff(user) or bool(user.has_perm("provisioner_coldfront.view_request"))


def steers(user: Any) -> bool:
    """Return True if somebody may press buttons: staff, or by Django's permission to change."""
    return _staff(user) or bool(user.has_perm("provisioner_coldfront.change_request"))


def role(user: Any, project: Any) -> Role:
    """Say as what somebody looks at a project."""
    if sees(user):
        return "staff"
    held = project.user_permissions(user)
    if ProjectPermission.MANAGER in held or ProjectPermission.PI in held:
        return "manager"
    return "member" if ProjectPermission.USER in held else "none"


def _staff(user: Any) -> bool:
    return bool(user.is_active and (user.is_staff or user.is_superuser))
