#!/usr/bin/env bash
# ldap3 2.9.1 and Active Directory's accountExpires: of the two values for "never" one becomes 1601.
#
# An account expires never where accountExpires is 0 or 9223372036854775807 (AD schema): those that
# never had a date and those whose date was taken away. ldap3 turns both into times: the second into the
# last moment of 9999, the first into 1601-01-01. Whoever asks "expires < now" finds the first kind, most
# accounts of many a domain, expired for four hundred years. -1, which is no time either, is 1601, too.
# Only raw_attributes tell them apart. The schema is ldap3's own of Windows Server 2012 R2.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install ldap3==2.9.1 pyasn1==0.6.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
from datetime import UTC, datetime

import ldap3

server = ldap3.Server("none", get_info=ldap3.OFFLINE_AD_2012_R2)
connection = ldap3.Connection(server, client_strategy=ldap3.MOCK_SYNC)
connection.bind()
print(f"ldap3 {ldap3.version.__version__}")
years = {}
for value in ("0", "9223372036854775807", "-1", "133801632000000000"):
    dn = f"CN=u{value},DC=example,DC=org"
    connection.strategy.add_entry(dn, {"objectClass": ["user"], "accountExpires": value})
    assert connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=["accountExpires"])
    found = connection.response[0]
    expires = found["attributes"]["accountExpires"]
    years[value] = expires.year
    print(f"accountExpires {value:>19}: {expires}, before now: {expires < datetime.now(UTC)}")
    assert found["raw_attributes"]["accountExpires"] == [value.encode()]
assert years == {"0": 1601, "9223372036854775807": 9999, "-1": 1601, "133801632000000000": 2025}
PYTHON
