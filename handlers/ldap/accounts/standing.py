"""Whether an account in Active Directory lets its person log in.

Promises: if the campus has disabled somebody's account, or it has expired, a request for them says
so in its result. Leaves out: opening such an account (`ad_account`), and passwords, which expire by
the domain's policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from provisioner.contract import State

_NEVER = (0, 0x7FFFFFFFFFFFFFFF)
"""`accountExpires` of an account that never expires (MS-ADA1 2.2)."""

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def expired(expires: int | None, now: datetime) -> str | None:
    """Return the day since which an account has expired; None if it has not.

    expires: `accountExpires`, in 100 ns since 1601 (MS-ADA1 2.2); now: with a time zone.
    """
    if expires is None or expires in _NEVER:
        return None
    try:
        end = _EPOCH + timedelta(microseconds=expires // 10)
    except OverflowError:
        return None
    return end.date().isoformat() if end <= now else None


def shut_out(state: State, *, enables: bool) -> Sequence[str]:
    """Return why an account that is wanted lets nobody in.

    state: as `ad_account` observes it; enables: True if this handler enables a disabled account.
    """
    if not state["present"]:
        return ()
    reasons = []
    if not enables and not state["enabled"]:
        reasons.append("is disabled")
    if state.get("expired"):
        reasons.append(f"has expired on {state['expired']} (accountExpires)")
    why = " and ".join(reasons)
    return (f"the account {why} in Active Directory: the person cannot log in",) if reasons else ()
