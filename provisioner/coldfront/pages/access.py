"""Who may see and do what on the pages, by the permissions in ColdFront and Django.

Promises: a user sees nothing about a thing that ColdFront itself does not show to the user.
"""

from __future__ import annotations

from typing import Any, Literal

from coldfront.core.project.models import ProjectPermission

Role = Literal["staff", "manager", "member", "none"]
"""Staff see everything; the PI and managers see their project, in plain words; members see
themselves."""


def sees(user: Any) -> bool:
    """Return True if a user sees the staff's pages: as staff, or with Django's view permission."""
    return _staff(user) or bool(user.has_perm("provisioner_coldfront.view_request"))


def steers(user: Any) -> bool:
    """Return True if a user may press buttons: as staff, or with Django's change permission."""
    return _staff(user) or bool(user.has_perm("provisioner_coldfront.change_request"))


def role(user: Any, project: Any) -> Role:
    """Return the role in which a user looks at a project."""
    if sees(user):
        return "staff"
    held = project.user_permissions(user)
    if ProjectPermission.MANAGER in held or ProjectPermission.PI in held:
        return "manager"
    return "member" if ProjectPermission.USER in held else "none"


def _staff(user: Any) -> bool:
    return bool(user.is_active and (user.is_staff or user.is_superuser))
