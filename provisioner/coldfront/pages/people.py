"""What people are called: their full names in ColdFront, beside the names of their accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.contrib.auth import get_user_model

_CHUNK = 500


def full_names(names: Iterable[str]) -> dict[str, str]:
    """Return the full name of each user, by user name; '' for a user without one."""
    wanted = sorted({name for name in names if name})
    full: dict[str, str] = {}
    for start in range(0, len(wanted), _CHUNK):
        rows = get_user_model().objects.filter(username__in=wanted[start : start + _CHUNK])
        full |= {row.username: row.get_full_name() for row in rows}
    return full


def called(name: str, full: Mapping[str, str]) -> str:
    """Return a user as `Jane James (jjames)`, or as the user name if that is all there is."""
    return f"{full[name]} ({name})" if full.get(name) else name
