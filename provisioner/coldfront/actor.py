"""Who is at work: the person whose page ColdFront is serving.

Promises: a name that a request may bear, or none; outside of a page, as in a command, there is
none. Leaves out: what the service believes of it, which its policy says.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError
from simple_history.models import HistoricalRecords

from provisioner.request.values import Person

_PERSON: TypeAdapter[str] = TypeAdapter(Person)


def acting() -> str:
    """Name who is at work; '' where that is nobody, or has a name that no request may bear."""
    # ColdFront's own history takes the person from here, too.
    request = getattr(HistoricalRecords.context, "request", None)
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return ""
    name = str(user.get_username())
    return name if nameable(name) else ""


def nameable(name: str) -> bool:
    """Return True if a request may bear a name."""
    try:
        _PERSON.validate_python(name)
    except ValidationError:
        return False
    return True
