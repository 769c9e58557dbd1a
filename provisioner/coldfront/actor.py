"""The person whose page ColdFront is serving.

Promises: whoever is logged in has a name; outside of a page, as in a command, the name is ''.
Leaves out: whether the service believes the name; its policy decides that.
"""

from __future__ import annotations

from simple_history.models import HistoricalRecords


def acting() -> str:
    """Return the user name of the acting person; '' if there is none."""
    # ColdFront's own history reads the person from the same place.
    request = getattr(HistoricalRecords.context, "request", None)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return ""
    return str(user.get_username())
