"""The app's settings. Each default fits ColdFront and the service on one host."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from django.conf import settings

from provisioner.coldfront.asking import mapping as in_requests
from provisioner.coldfront.asking.mapping import Options
from provisioner.system.users import user_name


def _setting(name: str, default: Any) -> Any:
    return getattr(settings, f"PROVISIONER_{name}", default)


def mapping() -> Options:
    """Return a centre's options for its requests."""
    default = Options()
    return Options(
        instance=_setting("INSTANCE", default.instance),
        allocation_id=_setting("ALLOCATION_ID", default.allocation_id),
        project_code=_setting("PROJECT_CODE", default.project_code),
        projects=_setting("PROJECTS", default.projects),
        quota_unit=_setting("QUOTA_UNIT", default.quota_unit),
        attributes={**default.attributes, **_setting("ATTRIBUTES", {})},
    )


def allocation(pk: int) -> str:
    """Return the subject of an allocation in requests."""
    return f"allocation:{in_requests.allocation_id(pk, mapping())}"


def staging() -> Path:
    """Return the directory for new requests."""
    return Path(_setting("STAGING", "/var/spool/provisioner/staging"))


def receipts() -> Path:
    """Return the directory with the receipts of this process's user."""
    import os

    beside = staging().parent / "receipts" / user_name(os.geteuid())
    return Path(_setting("RECEIPTS", beside))


def pending() -> bool:
    """Return True if allocation users are `Pending` until everything is in place."""
    return cast(bool, _setting("PENDING", False))


def words() -> dict[str, str]:
    """Return a centre's names for what its steps make, for PIs and users, by step."""
    return {str(name): str(phrase) for name, phrase in dict(_setting("WORDS", {})).items()}


def pages() -> bool:
    """Return True if ColdFront's own pages show how users stand."""
    return cast(bool, _setting("PAGES", True))


def help_address() -> str:
    """Return the address for questions: ColdFront's CENTER_HELP_URL, or its ticket mail address.

    '' if ColdFront has neither.
    """
    ticket = getattr(settings, "EMAIL_TICKET_SYSTEM_ADDRESS", "")
    page = getattr(settings, "CENTER_HELP_URL", "")
    return str(page or (f"mailto:{ticket}" if ticket else ""))


def at_once() -> int:
    """Return how many files one event writes at most; the next event or the timer writes more."""
    return cast(int, _setting("AT_ONCE", 50))
