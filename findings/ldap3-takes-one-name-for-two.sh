#!/usr/bin/env bash
# ldap3 2.9.1: a DN in another of its spellings is another one, to its parser and to its mock server.
#
# `CN=Team\;A` and `CN=Team\3BA` are one DN (RFC 4514, 2.4). escape_rdn writes the first; Samba's AD
# answers with the second. parse_dn and safe_dn keep each as it was written, case of the hex digits
# included, so that a DN that was made is never the one that comes back. The mock strategy, which stands in
# for a directory in tests, looks entries up by that text: it says noSuchObject where a directory finds
# the entry; so tests pass by the one spelling that real servers do not use.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install ldap3==2.9.1 pyasn1==0.6.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import ldap3
from ldap3.utils.dn import escape_rdn, parse_dn, safe_dn

print(f"ldap3 {ldap3.version.__version__}")
made = f"cn={escape_rdn('Team;A')},dc=example,dc=org"
spellings = [made, "cn=Team\\3BA,dc=example,dc=org", "cn=Team\\3bA,dc=example,dc=org"]
connection = ldap3.Connection(ldap3.Server("none"), client_strategy=ldap3.MOCK_SYNC)
connection.bind()
connection.strategy.add_entry(made, {"objectClass": ["group"]})
found = []
for dn in spellings:
    found.append(connection.search(dn, "(objectClass=*)", ldap3.BASE))
    print(f"{dn:32} {parse_dn(dn)[0]} {safe_dn(dn)} mock: {connection.result['description']}")
assert made == "cn=Team\\;A,dc=example,dc=org"
assert len({parse_dn(dn)[0][1] for dn in spellings}) == 3
assert len({safe_dn(dn) for dn in spellings}) == 3
assert found == [True, False, False]
PYTHON
