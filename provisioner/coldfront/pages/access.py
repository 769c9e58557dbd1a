"""Who may see and do what on the staff's pages, by Django's permissions.

Leaves out: in which role somebody looks at a project, which each version of ColdFront knows.
"""

from __future__ import annotations

from typing import Any, Literal

Role = Literal["staff", "manager", "member", "none"]
"""Staff see everything; the PI and managers see their project, in plain words; members see
themselves."""


def sees(user: Any) -> bool:
    """Return True if a user sees the staff's pages: as staff, or with Django's view permission."""
    return _staff(user) or bool(user.has_perm("provisioner_coldfront.view_request"))


def steers(user: Any) -> bool:
    """Return True if a user may press buttons: as staff, or with Django's change permission."""
    return _staff(user) or bool(user.has_perm("provisioner_coldfront.change_request"))


def _staff(user: Any) -> bool:
    return bool(user.is_active and (user.is_staff or user.is_superuser))
