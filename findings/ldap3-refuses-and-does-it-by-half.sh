#!/usr/bin/env bash
# ldap3 2.9.1, its mock server: a modify that is refused stays done by half.
#
# The changes of one modify are made all or none (RFC 4511, 4.6). So "take out the old number, put in the
# new one" is a compare-and-swap: who comes with a number that is no longer there is refused, and nothing has
# happened. The mock strategies, which stand in for a directory in tests, keep a copy of the entry to go back
# to; it is a copy of the names only, and the lists of values are the same ones. The refused swap has put its
# number in, a refused removal of two members has removed the first. And what a directory refuses as
# attributeOrValueExists, a member who is one already, is added a second time with success.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install ldap3==2.9.1 pyasn1==0.6.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import ldap3
from ldap3 import MODIFY_ADD, MODIFY_DELETE

TRIED = [
    ("uidNumber", [(MODIFY_DELETE, ["4999"]), (MODIFY_ADD, ["5001"])], "operationsError", ["5000", "5001"]),
    ("member", [(MODIFY_DELETE, ["cn=anna", "cn=zoe"])], "operationsError", ["cn=ben"]),
    ("member", [(MODIFY_ADD, ["cn=anna"])], "success", ["cn=anna", "cn=ben", "cn=anna"]),
]
print(f"ldap3 {ldap3.version.__version__}")
for attribute, changes, said, left in TRIED:
    connection = ldap3.Connection(ldap3.Server("none"), client_strategy=ldap3.MOCK_SYNC)
    connection.bind()
    entry = {"uidNumber": ["5000"], "member": ["cn=anna", "cn=ben"]}
    connection.strategy.add_entry("cn=next", {"objectClass": ["top"], **entry})
    connection.modify("cn=next", {attribute: changes})
    result = connection.result["description"]
    connection.search("cn=next", "(objectClass=*)", ldap3.BASE, attributes=[attribute])
    now = connection.response[0]["raw_attributes"][attribute]
    print(f"{attribute} {entry[attribute]}, {changes}: {result}, now {now}")
    assert result == said
    assert now == [value.encode() for value in left]
PYTHON
