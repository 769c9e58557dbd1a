"""When people last logged on, as Active Directory notes it for the whole domain.

Promises: all accounts in one paged search. AD writes `lastLogonTimestamp` only if the one before is
older than msDS-LogonTimeSyncInterval (14 days if it is not set), so that a logon may be later by
that than what is noted (MS-ADA1 2.352, MS-ADTS 3.1.1.1.1). Leaves out: `lastLogon`, which each
domain controller keeps for itself, and logins by SSH keys, which no domain controller sees.
"""

from __future__ import annotations

from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.dialects import ACCOUNTS, AccountSchema
from provisioner.contract import Permanent, Unavailable, Uses

STAMP = "lastLogonTimestamp"
INTERVAL = "msDS-LogonTimeSyncInterval"

_USUAL = 14
_DAY = 86400.0
_EPOCH = 11_644_473_600
"""Seconds from 1601, where AD begins, to 1970."""


def last_logons(directory: Directory, schema: AccountSchema) -> Uses:
    """Return when the accounts of a directory last logged on. Raises a Fault if it does not say."""
    if schema is not ACCOUNTS["ad"]:
        raise Permanent(
            "this directory does not note when people log on",
            advice="remove it from `idle.sources`; an `ad_account` knows it",
        )
    base = directory.settings.base
    interval = _interval(directory, base)
    last: dict[str, float] = {}
    for entry in directory.search(base, schema.filter, [schema.name, STAMP]):
        ticks = entry.number(STAMP)
        if ticks:
            name = (entry.text(schema.name) or "").lower()
            last[name] = max(last.get(name, 0.0), ticks / 1e7 - _EPOCH)
    if not last:
        raise Unavailable(
            f"no account below {base} has a {STAMP}",
            advice=f"check that {directory.settings.bind_dn or 'the service'} may read it: "
            "an attribute that may not be read is left out without a word",
        )
    return Uses(last, interval * _DAY)


def _interval(directory: Directory, base: str) -> int:
    """Return for how many days a later logon may not be noted."""
    parts = [part.strip() for part in base.split(",")]
    domain = ",".join(part for part in parts if part.upper().startswith("DC="))
    entry = directory.read(domain, [INTERVAL])
    if entry is None:
        raise Unavailable(f"{domain or base} cannot be read", advice="check `base`")
    found = entry.number(INTERVAL)
    days = _USUAL if found is None else found
    if days <= 0:
        raise Permanent(
            f"{domain} has {INTERVAL} {days}: it does not note logons",
            advice="have the domain's admins remove it, or remove this source from `idle.sources`",
        )
    return days
